package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// outputFilter is a log that keeps to catch_workers_output and decorate_workers_output of the pools.
type outputFilter struct {
	slog.Handler
	plain slog.Handler                             // without the attributes of the logger
	pool  string                                   // of the records, where their logger knows it
	pools *atomic.Pointer[map[string]workerOutput] // by name; a reload replaces them
	await func()                                   // is called before what scripts say, who can do so without end
}

// filterOutput has a logger keep to what pools says.
func filterOutput(logger *slog.Logger, pools *atomic.Pointer[map[string]workerOutput], await func()) *slog.Logger {
	return slog.New(&outputFilter{Handler: logger.Handler(), plain: logger.Handler(), pools: pools, await: await})
}

func (h *outputFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithAttrs(attrs)
	next.pool = poolAttr(h.pool, attrs)
	return &next
}

// poolAttr is the pool that one of the attributes names, else known.
func poolAttr(known string, attrs []slog.Attr) string {
	for _, a := range attrs {
		if a.Key == "pool" {
			known = a.Value.String()
		}
	}
	return known
}

// WithGroup ignores groups: phpserve has none.
func (h *outputFilter) WithGroup(string) slog.Handler { return h }

func (h *outputFilter) Handle(ctx context.Context, r slog.Record) error {
	if r.Message != "php message" && r.Message != "php output" {
		return h.Handler.Handle(ctx, r)
	}
	h.await()
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	output, known := (*h.pools.Load())[poolAttr(h.pool, attrs)]
	switch {
	case !known || output.caught && output.decorated:
		return h.Handler.Handle(ctx, r)
	case !output.caught:
		return nil
	}
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	for _, a := range attrs {
		if a.Key == "text" {
			plain.AddAttrs(a)
		}
	}
	return h.plain.Handle(ctx, plain)
}
