package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/manager"
)

const (
	// repeatWindow is how long lines of one kind are counted together.
	repeatWindow = 10 * time.Second
	// repeatBurst is how many of them are written within it; a load could cause any number.
	repeatBurst = 10
	// repeatKinds bounds the kinds that are counted at the same time; more are written.
	repeatKinds = 1000
)

// repeats counts log lines that say the same again and again. Two are of one kind when they have the same level, pool, message and
// error, whatever numbers are in these, such as pids, and whatever else they tell.
type repeats struct {
	mu    sync.Mutex
	kinds map[string]*repeated
}

// repeated is a kind of line in its window.
type repeated struct {
	began         time.Time
	timer         *time.Timer // closes the window
	written, more int
	last          slog.Record // of those that were not written
	handler       slog.Handler
}

// repeatHandler is a log whose repeated lines are counted.
type repeatHandler struct {
	slog.Handler
	pool string
	all  *repeats
}

// countRepeats has a logger count lines that are repeated. What scripts say is written as it is. tell writes the counts of the windows
// that are open, for the end of the log.
func countRepeats(h slog.Handler) (counting slog.Handler, tell func()) {
	all := &repeats{kinds: map[string]*repeated{}}
	return &repeatHandler{Handler: h, all: all}, all.closeAll
}

func (h *repeatHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &repeatHandler{h.Handler.WithAttrs(attrs), poolAttr(h.pool, attrs), h.all}
}

// WithGroup ignores groups: phpserve has none.
func (h *repeatHandler) WithGroup(string) slog.Handler { return h }

func (h *repeatHandler) Handle(ctx context.Context, r slog.Record) error {
	switch r.Message {
	case "php message", "php output", manager.MessageStartup, manager.MessageNoEffect:
		return h.Handler.Handle(ctx, r)
	}
	if r.Level < slog.LevelInfo || h.all.write(h, r) {
		return h.Handler.Handle(ctx, r)
	}
	return nil
}

// write says whether a line is to be written, else it is counted.
func (c *repeats) write(h *repeatHandler, r slog.Record) bool {
	kind := h.kind(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kinds[kind]
	if k == nil {
		if len(c.kinds) < repeatKinds {
			c.kinds[kind] = &repeated{began: time.Now(), written: 1, timer: time.AfterFunc(repeatWindow, func() { c.close(kind) })}
		}
		return true
	}
	if k.written < repeatBurst {
		k.written++
		return true
	}
	k.more++
	k.last, k.handler = r.Clone(), h.Handler
	return false
}

// close ends a window and tells how many lines were not written, with the last of them.
func (c *repeats) close(kind string) {
	c.mu.Lock()
	k := c.kinds[kind]
	delete(c.kinds, kind)
	c.mu.Unlock()
	if k != nil {
		k.tell(repeatWindow)
	}
}

// closeAll ends all windows before their time.
func (c *repeats) closeAll() {
	c.mu.Lock()
	kinds := c.kinds
	c.kinds = map[string]*repeated{}
	c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		k.timer.Stop()
		k.tell(max(time.Second, time.Since(k.began).Round(time.Second)))
	}
}

// tell writes how many lines were not written in a window that was so long.
func (k *repeated) tell(long time.Duration) {
	if k.more > 0 {
		k.last.Message += fmt.Sprintf(" … %d more times in the last %v", k.more, long)
		_ = k.handler.Handle(context.Background(), k.last) // there is nowhere to tell of a failure
	}
}

// kind is what lines that are counted together have in common.
func (h *repeatHandler) kind(r slog.Record) string {
	pool, failure := h.pool, ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "pool":
			pool = a.Value.String()
		case "error", "how", "cause":
			failure += a.Value.String()
		}
		return true
	})
	message := r.Message
	if i := strings.IndexAny(message, `'"`); i >= 0 { // names of scripts and requests
		message = message[:i]
	}
	return fmt.Sprintf("%d|%s|%s", r.Level, pool, strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, message+"|"+failure))
}
