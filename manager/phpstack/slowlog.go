package phpstack

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/phpserve/phpserve/linelog"
)

// Slow is one slow request, for a slow log.
type Slow struct {
	Time time.Time // of the trace
	Pool string
	// Stack is what Trace returned, and Err what it returned instead.
	Stack Stack
	Err   error
	// Depth is request_slowlog_trace_depth: at most so many frames are written. 0 is php-fpm's default, 20.
	Depth int

	// The rest is for WriteReport; what is empty is left out.

	Running   time.Duration // since the request began
	Method    string
	URI       string
	Client    string
	RequestID string
}

// DefaultDepth is php-fpm's default of request_slowlog_trace_depth (sapi/fpm/fpm/fpm_conf.c).
const DefaultDepth = 20

// fpmBuffer is how much php-fpm reads of a name (buf_size in fpm_php_trace.c:fpm_php_trace_dump), with the zero byte at its end.
const fpmBuffer = 1024

// WriteSlowLog writes the block that php-fpm would write (sapi/fpm/fpm/fpm_php_trace.c:fpm_php_trace_dump). The line behind a function
// is that which called it; the main script has no line of its own.
func WriteSlowLog(w io.Writer, s Slow) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s  [pool %s] pid %d\n", s.Time.Format("[02-Jan-2006 15:04:05]"), s.Pool, s.Stack.PID)
	if s.Err != nil {
		b.WriteString("+++ dump failed\n")
	} else {
		fmt.Fprintf(&b, "script_filename = %s\n", linelog.Visible(cut(s.Stack.Script)))
		s.frames(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// frames are those up to the main script.
func (s Slow) frames(b *bytes.Buffer) {
	depth := s.Depth
	if depth <= 0 {
		depth = DefaultDepth
	}
	for i, f := range s.Stack.Frames {
		if i == depth || f.Call == CallMain {
			return
		}
		name := linelog.Visible(cut(f.Function))
		switch {
		case f.bare:
			name = "???"
		case name == "": // also the first frame of a fiber
			name = "[INCLUDE_OR_EVAL]"
		}
		file, line := linelog.Visible(cut(f.CallFile)), f.CallLine
		if f.blind {
			file, line = "", 0
		}
		if file == "" {
			file = "unknown"
		}
		fmt.Fprintf(b, "[0x%016x] %s() %s:%d\n", f.Address, name, file, line)
	}
}

// cut is a string as php-fpm reads it: up to a zero byte, and no longer than its buffer.
func cut(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s[:min(len(s), fpmBuffer-1)]
}

// WriteReport writes a block that says more than php-fpm's: which request of whom, the classes, the arguments if they were read, and in
// each frame the line that runs or waits there, down to the main script.
func WriteReport(w io.Writer, s Slow) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s [pool %s] pid %d", s.Time.Format("[02-Jan-2006 15:04:05]"), linelog.Visible(s.Pool), s.Stack.PID)
	if s.Running > 0 {
		fmt.Fprintf(&b, " running for %.3fs", s.Running.Seconds())
	}
	b.WriteByte('\n')
	for _, v := range []struct{ name, value string }{
		{"request", strings.TrimLeft(s.Method+" "+s.URI, " ")},
		{"client", s.Client},
		{"request_id", s.RequestID},
		{"script", s.Stack.Script},
	} {
		if v.value != "" {
			fmt.Fprintf(&b, "%s = %s\n", v.name, linelog.Visible(v.value))
		}
	}
	switch {
	case s.Err != nil:
		fmt.Fprintf(&b, "no stack: %s\n", linelog.Visible(s.Err.Error()))
	case len(s.Stack.Frames) == 0:
		b.WriteString("no stack: no script is running\n")
	default:
		s.calls(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// calls are all frames but the engine's own.
func (s Slow) calls(b *bytes.Buffer) {
	n := 0
	for _, f := range s.Stack.Frames {
		if f.Call == CallNone {
			continue
		}
		if s.Depth > 0 && n == s.Depth {
			s.Stack.Truncated = true
			break
		}
		fmt.Fprintf(b, "#%d %s", n, linelog.Visible(f.Name()))
		if f.Function != "" {
			fmt.Fprintf(b, "(%s)", linelog.Visible(f.arguments()))
		}
		if f.File != "" {
			fmt.Fprintf(b, " %s:%d", linelog.Visible(f.File), f.Line)
		}
		b.WriteByte('\n')
		n++
	}
	if s.Stack.Truncated {
		b.WriteString("... and those that called them\n")
	}
}

// arguments are those of a call, with commas.
func (f Frame) arguments() string {
	parts := make([]string, 0, len(f.Args)+1)
	for _, a := range f.Args {
		if a.Name == "" {
			parts = append(parts, a.Value)
		} else {
			parts = append(parts, "$"+a.Name+" = "+a.Value)
		}
	}
	if f.MoreArgs > 0 {
		parts = append(parts, fmt.Sprintf("%d more", f.MoreArgs))
	}
	return strings.Join(parts, ", ")
}
