package certs

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"
)

// zapToSlog is a zapcore.Core that writes to a slog handler, for certmagic, which logs through zap alone. Its steps
// (level info) are details here (level debug): the results are logged by store.go.
type zapToSlog struct {
	handler slog.Handler
	prefix  string // of keys, from zap.Namespace
}

func newZapCore(log *slog.Logger) zapcore.Core { return zapToSlog{handler: log.Handler()} }

// slogLevel translates a level.
func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled implements zapcore.LevelEnabler.
func (z zapToSlog) Enabled(l zapcore.Level) bool {
	return z.handler.Enabled(context.Background(), slogLevel(l))
}

// With implements zapcore.Core.
func (z zapToSlog) With(fields []zapcore.Field) zapcore.Core {
	attrs, prefix := slogAttrs(fields, z.prefix)
	return zapToSlog{z.handler.WithAttrs(attrs), prefix}
}

// Check implements zapcore.Core.
func (z zapToSlog) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(e.Level) {
		return ce.AddCore(e, z)
	}
	return ce
}

// Write implements zapcore.Core.
func (z zapToSlog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	attrs, _ := slogAttrs(fields, z.prefix)
	r.AddAttrs(attrs...)
	return z.handler.Handle(context.Background(), r)
}

// Sync implements zapcore.Core.
func (z zapToSlog) Sync() error { return nil }

// slogAttrs translates fields; a namespace among them becomes a prefix of the keys that follow it.
func slogAttrs(fields []zapcore.Field, prefix string) ([]slog.Attr, string) {
	var attrs []slog.Attr
	for _, f := range fields {
		if f.Type == zapcore.NamespaceType {
			prefix += f.Key + "."
			continue
		}
		enc := zapcore.NewMapObjectEncoder()
		f.AddTo(enc)
		for _, key := range slices.Sorted(maps.Keys(enc.Fields)) {
			if !strings.HasSuffix(key, "Verbose") { // an error's second text, with its stack
				attrs = append(attrs, slog.Any(prefix+key, enc.Fields[key]))
			}
		}
	}
	return attrs, prefix
}
