package safetext

import (
	"context"
	"fmt"
	"log/slog"
)

// NewHandler returns a handler that cleans every message and attribute as Text does, cuts it to MaxAttr code points, and passes it to
// next.
func NewHandler(next slog.Handler) slog.Handler { return handler{next} }

type handler struct{ next slog.Handler }

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, bounded(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(attr(a))
		return true
	})
	return h.next.Handle(ctx, out)
}

func (h handler) WithAttrs(as []slog.Attr) slog.Handler {
	safe := make([]slog.Attr, len(as))
	for n, a := range as {
		safe[n] = attr(a)
	}
	return handler{h.next.WithAttrs(safe)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.next.WithGroup(name)} }

func attr(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(bounded(a.Value.String()))
	case slog.KindGroup:
		var safe []slog.Attr
		for _, in := range a.Value.Group() {
			safe = append(safe, attr(in))
		}
		a.Value = slog.GroupValue(safe...)
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			a.Value = slog.StringValue(bounded(v.Error()))
		case []string:
			a.Value = slog.StringValue(bounded(fmt.Sprint(v)))
		}
	}
	return a
}

func bounded(s string) string { return clean(s, MaxAttr, func(r rune) rune { return r }) }
