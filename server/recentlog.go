package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
)

const (
	// recentLogKept is how many records the dashboard has to show.
	recentLogKept = 100
	// recentTextMost bounds one text of a record, in bytes.
	recentTextMost = 4 << 10
)

// recentRecord is a record of the log, for the dashboard.
type recentRecord struct {
	Number uint64            `json:"n"`
	Time   time.Time         `json:"time"`
	Level  string            `json:"level"`
	Text   string            `json:"text"`
	Attrs  map[string]string `json:"attrs,omitempty"`
}

// recentLog remembers the last warnings and errors.
type recentLog struct {
	mu      sync.Mutex
	records []recentRecord // the newest last
	last    uint64
}

// since are the records behind the one with a number.
func (l *recentLog) since(number uint64) []recentRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.records, func(r recentRecord) bool { return r.Number > number })
	if at < 0 {
		return nil
	}
	return slices.Clone(l.records[at:])
}

// before are the records up to the one with a number.
func (l *recentLog) before(number uint64) []recentRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.records, func(r recentRecord) bool { return r.Number > number })
	if at < 0 {
		at = len(l.records)
	}
	return slices.Clone(l.records[:at])
}

func (l *recentLog) add(r recentRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	r.Number = l.last
	if len(l.records) == recentLogKept {
		l.records = slices.Delete(l.records, 0, 1)
	}
	l.records = append(l.records, r)
}

// recentHandler passes records on and has those worth it remembered.
type recentHandler struct {
	slog.Handler
	to    *recentLog
	attrs []slog.Attr // of WithAttrs
}

// Enabled implements [slog.Handler]: warnings are remembered also where they are not logged.
func (h *recentHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, level)
}

// Handle implements [slog.Handler]. Slow requests are not among the errors: the dashboard has a place for them.
func (h *recentHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && !strings.HasSuffix(r.Message, manager.SlowNotice) {
		attrs := make(map[string]string, r.NumAttrs()+len(h.attrs))
		text := shorten(linelog.VisibleLines(r.Message))
		take := func(a slog.Attr) bool {
			value := shorten(linelog.VisibleLines(a.Value.Resolve().String()))
			switch {
			case a.Key == "text" && r.Message == "php message":
				text = value
			case value != "":
				attrs[a.Key] = value
			}
			return true
		}
		for _, a := range h.attrs {
			take(a)
		}
		r.Attrs(take)
		h.to.add(recentRecord{Time: r.Time, Level: strings.ToLower(r.Level.String()), Text: text, Attrs: attrs})
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *recentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &recentHandler{h.Handler.WithAttrs(attrs), h.to, slices.Concat(h.attrs, attrs)}
}

// WithGroup implements [slog.Handler].
func (h *recentHandler) WithGroup(name string) slog.Handler {
	return &recentHandler{h.Handler.WithGroup(name), h.to, h.attrs}
}

// shown is what a client or a script said, in a line for a person.
func shown(s string) string { return linelog.Visible(shorten(s)) }

func shorten(s string) string {
	if len(s) > recentTextMost {
		s = strings.ToValidUTF8(s[:recentTextMost], "") + " …"
	}
	return s
}
