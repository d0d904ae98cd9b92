package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"golang.org/x/term"
)

// fpmLog writes the error log as php-fpm does (php-src sapi/fpm/fpm/zlog.c).
type fpmLog struct {
	mu      sync.Mutex // guards the fields below
	path    string     // of the file; empty: none
	file    *os.File
	system  systemLog // syslog, in the place of a file; nil: none
	stderr  io.Writer // nil: no longer
	tied    bool      // standard error is the file
	level   fpmconf.Level
	limit   int
	output  map[string]workerOutput // by pool
	startup map[string]bool         // what PHP said at the start of pools, since the last reload
}

// workerOutput is what becomes of what the workers of a pool say.
type workerOutput struct {
	caught    bool // catch_workers_output
	decorated bool // decorate_workers_output
}

// openFPMLog opens the log of a configuration. The file is not used in the foreground of a terminal, as in php-fpm
// (fpm_stdio.c:fpm_use_error_log).
func openFPMLog(conf *fpmconf.Config, background, forceStderr bool, stderr io.Writer) (*fpmLog, error) {
	l := &fpmLog{stderr: stderr}
	l.configure(conf)
	switch {
	case !background && (forceStderr || isTerminal(stderr)):
	case strings.EqualFold(conf.Global.ErrorLog, "syslog"):
		system, err := openSyslog("", "", conf.Global.SyslogFacility, conf.Global.SyslogIdent)
		if err != nil {
			return nil, fmt.Errorf("cannot reach syslog: %w", err)
		}
		l.system = system
	default:
		l.path = conf.Global.ErrorLog
		if err := l.open(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// isTerminal says whether w is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// configure takes over what a reload may change.
func (l *fpmLog) configure(conf *fpmconf.Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.level, l.limit = conf.Global.LogLevel, conf.Global.LogLimit; l.level == fpmconf.LevelUnset {
		l.level = fpmconf.LevelNotice
	}
	l.output, l.startup = map[string]workerOutput{}, map[string]bool{}
	for _, p := range conf.Pools {
		l.output[p.Name] = workerOutput{caught: p.CatchWorkersOutput, decorated: p.DecorateWorkersOutput}
	}
}

// configurePool is configure for what is of one pool.
func (l *fpmLog) configurePool(conf *fpmconf.Config, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range conf.Pools {
		if p.Name == name {
			l.output[name] = workerOutput{caught: p.CatchWorkersOutput, decorated: p.DecorateWorkersOutput}
		}
	}
}

func (l *fpmLog) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			text := errno.Error()
			err = fmt.Errorf("%s (%d)", strings.ToUpper(text[:1])+text[1:], int(errno))
		}
		return fmt.Errorf("failed to open error_log (%s): %w", l.path, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // every line was written at once
	}
	l.file = f
	if l.tied {
		return tieStderr(f)
	}
	return nil
}

// Reopen opens the file again, which logrotate may have renamed. When that fails, the old one stays.
func (l *fpmLog) Reopen() error {
	if l.path == "" {
		return nil
	}
	return l.open()
}

// started ends the doubling of messages on standard error, where they go elsewhere too. In the background that is let go.
func (l *fpmLog) started(background bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil && l.system == nil {
		return nil
	}
	l.stderr, l.tied = nil, background
	switch {
	case !background:
		return nil
	case l.file != nil:
		return tieStderr(l.file)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return tieStderr(null)
}

// Close closes what was opened.
func (l *fpmLog) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // every line was written at once
		l.file = nil
	}
	if l.system != nil {
		_ = l.system.Close()
		l.system = nil
	}
}

// Print writes one message; the level counts.
func (l *fpmLog) Print(level fpmconf.Level, text string) { l.print(level, text, 0) }

// print is Print for the place that pc is in, which log_level = debug tells.
func (l *fpmLog) print(level fpmconf.Level, text string, pc uintptr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level < l.level && level != fpmconf.LevelPlain {
		return
	}
	line := text
	if level != fpmconf.LevelPlain {
		line = fmt.Sprintf("%s: %s%s", level, l.origin(pc), text)
	}
	line = cutLine(line, l.limit)
	stamp := "[" + time.Now().Format("02-Jan-2006 15:04:05") + "] "
	switch {
	case level == fpmconf.LevelPlain:
		stamp = ""
	case l.level == fpmconf.LevelDebug:
		stamp = "[" + time.Now().Format("02-Jan-2006 15:04:05.000000") + "] "
	}
	// There is nowhere to tell of a failure.
	if l.system != nil {
		l.toSystem(level, cutLine(fmt.Sprintf("[%s] %s%s", level, l.origin(pc), text), l.limit), text)
	}
	if l.file != nil {
		_, _ = io.WriteString(l.file, stamp+line+"\n")
	}
	if l.stderr != nil {
		_, _ = io.WriteString(l.stderr, stamp+line+"\n")
	}
}

// systemLog is syslog, with a method for each level.
type systemLog interface {
	Debug(string) error
	Notice(string) error
	Warning(string) error
	Err(string) error
	Alert(string) error
	Close() error
}

// toSystem sends a line to syslog at its own level; php-fpm sends all at that of log_level. plain is what a line without a level
// says.
func (l *fpmLog) toSystem(level fpmconf.Level, line, plain string) {
	// There is nowhere to tell of a failure.
	switch level {
	case fpmconf.LevelPlain:
		_ = l.system.Notice(plain)
	case fpmconf.LevelDebug:
		_ = l.system.Debug(line)
	case fpmconf.LevelWarning:
		_ = l.system.Warning(line)
	case fpmconf.LevelError:
		_ = l.system.Err(line)
	case fpmconf.LevelAlert:
		_ = l.system.Alert(line)
	default:
		_ = l.system.Notice(line)
	}
}

// origin is where a message comes from, for log_level = debug.
func (l *fpmLog) origin(pc uintptr) string {
	if l.level != fpmconf.LevelDebug || pc == 0 {
		return ""
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	name := frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
	return fmt.Sprintf("pid %d, %s(), line %d: ", os.Getpid(), name, frame.Line)
}

// cutLine shortens a line to log_limit, not within a character, and ends it with "...".
func cutLine(line string, limit int) string {
	if limit <= 0 || len(line) < limit {
		return line
	}
	end := max(0, limit-len("...")-1)
	for end > 0 && !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end] + "..."
}

// Handler has slog write to the log.
func (l *fpmLog) Handler() slog.Handler { return &fpmHandler{log: l} }

// fpmHandler writes records in php-fpm's form: "[pool NAME] message name=value".
type fpmHandler struct {
	log   *fpmLog
	pool  string
	attrs []slog.Attr
}

func (h *fpmHandler) Enabled(_ context.Context, level slog.Level) bool {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	// Workers come and go silently elsewhere, while php-fpm tells when one is replaced.
	return fpmLevel(level) >= h.log.level || level == slog.LevelDebug
}

func (h *fpmHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		if a.Key == "pool" {
			next.pool = a.Value.String()
		} else {
			next.attrs = append(next.attrs, a)
		}
	}
	return &next
}

// WithGroup ignores groups: phpserve has none.
func (h *fpmHandler) WithGroup(string) slog.Handler { return h }

// fpmLevel is php-fpm's level for slog's.
func fpmLevel(level slog.Level) fpmconf.Level {
	switch {
	case level < slog.LevelInfo:
		return fpmconf.LevelDebug
	case level < slog.LevelWarn:
		return fpmconf.LevelNotice
	case level < slog.LevelError:
		return fpmconf.LevelWarning
	case level == slog.LevelError:
		return fpmconf.LevelError
	}
	return fpmconf.LevelAlert
}

func (h *fpmHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := append([]slog.Attr(nil), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	pool, values := h.pool, map[string]string{}
	var rest strings.Builder
	for _, a := range attrs {
		value := a.Value.String()
		if a.Key == "pool" {
			pool = value
			continue
		}
		values[a.Key] = value
		if strings.ContainsAny(value, " \t\r\n\"=") || value == "" {
			value = fmt.Sprintf("%q", value)
		}
		fmt.Fprintf(&rest, " %s=%s", a.Key, value)
	}
	switch r.Message {
	case "php message", "php output":
		h.said(pool, r.Message == "php message", values)
		return nil
	case manager.MessageStartup:
		h.startup(values["text"], r.PC)
		return nil
	case manager.MessageNoEffect, manager.MessageDiffers:
		h.log.print(fpmLevel(r.Level), "[pool "+pool+"] "+values["why"], r.PC)
		return nil
	case eventStarted, eventEnded:
		level, text := workerEvent(r.Message, values)
		h.log.print(level, "[pool "+pool+"] "+text, r.PC)
		return nil
	}
	text := r.Message + rest.String()
	if pool != "" && !strings.HasPrefix(r.Message, "[pool ") {
		text = "[pool " + pool + "] " + text
	}
	h.log.print(fpmLevel(r.Level), text, r.PC)
	return nil
}

// startup writes what PHP said at its start, whatever catch_workers_output is: php-fpm's master says it. Most pools say the same.
func (h *fpmHandler) startup(text string, pc uintptr) {
	h.log.mu.Lock()
	told := h.log.startup[text]
	h.log.startup[text] = true
	h.log.mu.Unlock()
	if !told {
		h.log.print(fpmconf.LevelNotice, "PHP message: "+text, pc)
	}
}

// said writes what a worker said, if catch_workers_output is on (fpm_stdio.c:fpm_stdio_child_said): each line by itself, whole.
func (h *fpmHandler) said(pool string, message bool, values map[string]string) {
	h.log.mu.Lock()
	output := h.log.output[pool]
	h.log.mu.Unlock()
	if !output.caught {
		return
	}
	for i, line := range strings.Split(values["text"], "\n") {
		if message && i == 0 {
			line = "NOTICE: PHP message: " + line
		}
		prefix, level := "", fpmconf.LevelPlain
		if output.decorated {
			level = fpmconf.LevelWarning
			prefix = "[pool " + pool + "] child "
			if pid := values["pid"]; pid != "" {
				prefix += pid + " "
			}
			prefix += "said into stderr: "
		}
		for _, piece := range pieces(line, h.log.room(prefix, output.decorated)) {
			if output.decorated {
				piece = `"` + piece + `"`
			}
			h.log.Print(level, prefix+piece)
		}
	}
}

// room is how much of a line of a worker's output goes into one of the log, where log_limit bounds the whole with the time and the
// newline (zlog.c:zlog_stream_buf_append).
func (l *fpmLog) room(prefix string, decorated bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.limit - len("\n")
	if decorated {
		room -= len(`[02-Jan-2006 15:04:05] WARNING: ""`) + len(prefix)
		if l.level == fpmconf.LevelDebug {
			room -= len(".000000")
		}
	}
	return max(room, 64)
}

// pieces splits a line into those of at most size bytes, not within a character.
func pieces(line string, size int) (all []string) {
	for len(line) > size {
		end := size
		for back := 0; back < utf8.UTFMax-1 && !utf8.RuneStart(line[end]); back++ {
			end--
		}
		all, line = append(all, line[:end]), line[end:]
	}
	return append(all, line)
}
