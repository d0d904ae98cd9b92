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
	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/safefile"
	"golang.org/x/term"
)

// fpmLog writes the error log as php-fpm does (php-src sapi/fpm/fpm/zlog.c).
type fpmLog struct {
	mu      sync.Mutex // guards the fields below
	path    string     // of the file; empty: none
	file    *os.File
	toFile  *linelog.Writer // to file or syslog; nil: to none
	stderr  *linelog.Writer // nil: no longer
	tied    bool            // standard error is the file
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
	l := &fpmLog{}
	l.stderr = linelog.New(linelog.KeepOpen(stderr), l.lines())
	l.configure(conf)
	switch {
	case !background && (forceStderr || isTerminal(stderr)):
	case strings.EqualFold(conf.Global.ErrorLog, "syslog"):
		system, err := openSyslog("", "", conf.Global.SyslogFacility, conf.Global.SyslogIdent)
		if err != nil {
			return nil, fmt.Errorf("cannot reach syslog: %w", err)
		}
		l.toFile = linelog.New(&syslogLines{system}, linelog.Config{Lost: func(n uint64) []byte {
			return systemLine(fpmconf.LevelWarning, "[WARNING] "+lostText(n))
		}})
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
	f, err := safefile.OpenAppend(l.path, 0o600)
	if err != nil {
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			text := errno.Error()
			err = fmt.Errorf("%s (%d)", strings.ToUpper(text[:1])+text[1:], int(errno))
		}
		return fmt.Errorf("failed to open error_log (%s): %w", l.path, err)
	}
	l.mu.Lock()
	l.file = f
	out := l.toFile
	if out == nil {
		l.toFile = linelog.New(f, l.lines())
	}
	tied := l.tied
	l.mu.Unlock()
	if out != nil {
		out.Replace(f)
	}
	if tied {
		return tieStderr(f)
	}
	return nil
}

// lines is how lines are written. There is nowhere to tell of a failure, only behind it.
func (l *fpmLog) lines() linelog.Config {
	return linelog.Config{Lost: func(n uint64) []byte { return []byte(l.stamp() + "WARNING: " + lostText(n) + "\n") }}
}

// lostText says that lines are missing.
func lostText(n uint64) string {
	if n == 1 {
		return "1 line of this log was lost, because it could not be written in time"
	}
	return fmt.Sprintf("%d lines of this log were lost, because they could not be written in time", n)
}

// stamp is the time as it begins a line.
func (l *fpmLog) stamp() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stampLocked()
}

func (l *fpmLog) stampLocked() string {
	layout := "02-Jan-2006 15:04:05"
	if l.level == fpmconf.LevelDebug {
		layout += ".000000"
	}
	return "[" + time.Now().Format(layout) + "] "
}

// awaitRoom has who can write without end wait for a moment.
func (l *fpmLog) awaitRoom() {
	l.mu.Lock()
	outs := []*linelog.Writer{l.toFile, l.stderr}
	l.mu.Unlock()
	for _, out := range outs {
		if out != nil {
			out.AwaitRoom()
		}
	}
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
	if l.toFile == nil {
		l.mu.Unlock()
		return nil
	}
	stderr, file := l.stderr, l.file
	l.stderr, l.tied = nil, background
	l.mu.Unlock()
	if stderr != nil {
		_ = stderr.Close() // who does not read it has the file
	}
	switch {
	case !background:
		return nil
	case file != nil:
		return tieStderr(file)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return tieStderr(null)
}

// Flush waits a while until all is written.
func (l *fpmLog) Flush() {
	l.mu.Lock()
	outs := []*linelog.Writer{l.toFile, l.stderr}
	l.mu.Unlock()
	for _, out := range outs {
		if out != nil {
			out.Flush()
		}
	}
}

// Close writes what waits, within a bound, and closes what was opened.
func (l *fpmLog) Close() {
	l.mu.Lock()
	outs := []*linelog.Writer{l.toFile, l.stderr}
	l.toFile, l.stderr, l.file = nil, nil, nil
	l.mu.Unlock()
	for _, out := range outs {
		if out != nil {
			_ = out.Close() // there is nowhere to tell of a failure
		}
	}
}

// Print writes one message; the level counts.
func (l *fpmLog) Print(level fpmconf.Level, text string) {
	l.print(level, linelog.VisibleLines(text), 0)
}

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
	stamp := l.stampLocked()
	if level == fpmconf.LevelPlain {
		stamp = ""
	}
	switch {
	case l.toFile != nil && l.file == nil:
		short := text
		if level != fpmconf.LevelPlain {
			short = cutLine(fmt.Sprintf("[%s] %s%s", level, l.origin(pc), text), l.limit)
		}
		_, _ = l.toFile.Write(systemLine(level, short)) // it never fails
	case l.toFile != nil:
		_, _ = io.WriteString(l.toFile, stamp+line+"\n")
	}
	if l.stderr != nil {
		_, _ = io.WriteString(l.stderr, stamp+line+"\n")
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
	case manager.MessageNoEffect, manager.MessageDiffers, manager.MessageChroot:
		h.log.print(fpmLevel(r.Level), linelog.Visible("[pool "+pool+"] "+values["why"]), r.PC)
		return nil
	case eventStarted, eventEnded:
		level, text := workerEvent(r.Message, values)
		h.log.print(level, linelog.Visible("[pool "+pool+"] "+text), r.PC)
		return nil
	}
	text := linelog.Visible(r.Message + rest.String())
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
		h.log.print(fpmconf.LevelNotice, "PHP message: "+linelog.VisibleLines(text), pc)
	}
}
