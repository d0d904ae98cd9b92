package server

import (
	"context"
	"log/slog"
	"strings"
)

// phpMessages splits what PHP wrote to FCGI_STDERR into its messages. php-cgi ends each with a line break, but messages
// hold line breaks of their own: the stack trace of an uncaught exception.
func phpMessages(text string) []string {
	var messages []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if n := len(messages); n > 0 && continuesMessage(line) {
			messages[n-1] += "\n" + line
			continue
		}
		messages = append(messages, line)
	}
	return messages
}

// continuesMessage says whether a line belongs to the one before, as PHP writes them (Zend/zend_exceptions.c).
func continuesMessage(line string) bool {
	if line == "Stack trace:" || strings.HasPrefix(line, "  thrown in ") || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
		return true
	}
	if line[0] == '#' && len(line) > 2 && line[1] >= '0' && line[1] <= '9' {
		return true
	}
	return strings.HasPrefix(line, "Next ") && strings.Contains(line, " in ")
}

// phpLevel is the level of a message of PHP's error handler (main/main.c:php_error_cb); what scripts say themselves with
// error_log() is informational.
func phpLevel(message string) slog.Level {
	rest, ok := strings.CutPrefix(message, "PHP ")
	if !ok {
		return slog.LevelInfo
	}
	kind, _, _ := strings.Cut(rest, ":")
	switch kind {
	case "Fatal error", "Parse error", "Recoverable fatal error", "Core error", "Compile error":
		return slog.LevelError
	case "Warning", "Core Warning", "Compile Warning", "Notice", "Deprecated", "Strict Standards":
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// logPHP logs the messages of one request, each as one record.
func logPHP(log *slog.Logger, x *exchange, messages []string) {
	for _, m := range messages {
		log.LogAttrs(context.Background(), phpLevel(m), "php message", slog.String("pool", x.pool), slog.Int("pid", x.pid),
			slog.String("script", x.script), slog.String("request_id", x.id), slog.String("text", m))
	}
}
