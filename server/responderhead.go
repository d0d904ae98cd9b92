package server

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// maxErrorHead is the most of a response's head that is held back so that fastcgi.error_header can be put in. A longer one goes as it is.
const maxErrorHead = 64 << 10

// errorHeader puts fastcgi.error_header into the head of a response whose script ended with a fatal error, as php-fpm does
// (fpm_main.c); php-cgi does not know the setting. It is the operator's, who tells errors of scripts from others' by it.
type errorHeader struct {
	line string
	// everySeen says that messages of PHP come here, so that a fatal error is one that was told. Else it is told by the status
	// alone: PHP answers 500 by itself.
	everySeen bool
	fatal     bool   // one was told
	held      []byte // the beginning of the head, until it is whole
}

// newErrorHeader returns nil where the pool has none.
func newErrorHeader(p *poolInUse) *errorHeader {
	if p.errorHeader == "" {
		return nil
	}
	return &errorHeader{line: p.errorHeader, everySeen: p.messagesSeen}
}

// note looks at a message of PHP.
func (h *errorHeader) note(message string) {
	if h == nil {
		return
	}
	for _, kind := range []string{"PHP Fatal error:", "PHP Parse error:", "PHP Recoverable fatal error:"} {
		h.fatal = h.fatal || strings.HasPrefix(message, kind)
	}
}

// head takes a part of the response's head, with what is behind it, and returns what is to be sent now.
func (h *errorHeader) head(p []byte) (now []byte, done bool) {
	if h == nil || h.everySeen && !h.fatal {
		return p, true
	}
	h.held = append(h.held, p...)
	end := bytes.Index(h.held, []byte("\r\n\r\n"))
	switch {
	case end < 0 && len(h.held) < maxErrorHead:
		return nil, false
	case end < 0:
		held := h.held
		*h = errorHeader{everySeen: true} // there is nothing to put in any more
		return held, true
	case !h.everySeen && !bytes.HasPrefix(h.held, []byte("Status: 500 ")):
		return h.held, true
	}
	name, value := "Status", ""
	if strings.HasPrefix(strings.ToUpper(h.line), "HTTP/") {
		_, value, _ = strings.Cut(h.line, " ")
	} else {
		name, value, _ = strings.Cut(h.line, ":")
	}
	var lines []string
	for line := range strings.SplitSeq(string(h.held[:end]), "\r\n") {
		if old, _, _ := strings.Cut(line, ":"); !strings.EqualFold(old, name) {
			lines = append(lines, line)
		}
	}
	line := name + ": " + strings.TrimSpace(value)
	if name == "Status" {
		lines = append([]string{line}, lines...) // where PHP puts it
	} else if last := len(lines) - 1; last >= 0 && len(lines[last]) > 8 && strings.EqualFold(lines[last][:8], "Content-") {
		lines = slices.Insert(lines, last, line) // PHP's own Content-type is the last
	} else {
		lines = append(lines, line)
	}
	return append([]byte(strings.Join(lines, "\r\n")), h.held[end:]...), true
}

// validStatus is a status that a line of HTTP can have.
var validStatus = regexp.MustCompile(`^[1-5]\d\d( |$)`)

// errorHeaderLine is the setting without the quotes that a -d leaves around it. One that is no header is none: PHP would refuse it.
func errorHeaderLine(text string) string {
	if len(text) > 1 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		text = text[1 : len(text)-1]
	}
	name, _, _ := strings.Cut(text, ":")
	switch {
	case strings.ContainsAny(text, "\r\n\x00"):
		return ""
	case strings.HasPrefix(strings.ToUpper(text), "HTTP/"):
		if _, status, _ := strings.Cut(text, " "); !validStatus.MatchString(status) {
			return ""
		}
		return text
	case name == text || name == "" || strings.ContainsAny(name, " \t"):
		return ""
	}
	return text
}

// awaitHead looks for the end of the response's head and returns what of p belongs to it.
func (q *responderRequest) awaitHead(p []byte) (head []byte, done bool) {
	const blank = "\r\n\r\n"
	seen := append(q.tail, p...)
	at := bytes.Index(seen, []byte(blank))
	if at < 0 {
		q.tail = bytes.Clone(seen[max(0, len(seen)-len(blank)+1):])
		return p, false
	}
	q.headDone = true
	return p[:at+len(blank)-len(q.tail)], true
}
