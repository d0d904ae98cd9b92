package phpstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Options say what a trace shows.
type Options struct {
	// Depth is the largest number of frames; 0 is 256. php-fpm's slow log has request_slowlog_trace_depth, 20 by default.
	Depth int
	// Args also reads arguments. They may hold what should not be in a log, although parameters with telling names are masked.
	Args bool
}

// Process is a process whose stack can be read. It may be used by several goroutines.
type Process struct {
	pid    int
	reader *Reader
	memory memory
	moved  uint64 // how far the kernel has moved the binary in memory; the same in forked processes
}

const (
	defaultDepth = 256
	// beyondDepth frames more are read, to know where the last one was called from.
	beyondDepth = 8
	// patience is how long a stack is read anew that changes while it is read; a second look mostly suffices.
	patience = 100 * time.Millisecond
	// confirmations is how many further looks must show a call that no instruction explains, and pause how long it is at most to each.
	confirmations = 3
	pause         = 50 * time.Microsecond
)

// Trace reads the stack of the process with this id, which must run the Reader's binary. It takes a fraction of a millisecond and does
// not disturb the process.
func (r *Reader) Trace(pid int, o Options) (Stack, error) {
	p, err := r.Attach(pid)
	if err != nil {
		return Stack{PID: pid}, err
	}
	return p.Trace(o)
}

// PID is the id of the process.
func (p *Process) PID() int { return p.pid }

// Trace reads the stack. A process that is gone is an error that is os.ErrProcessDone; one that may not be read is an error that is
// fs.ErrPermission.
func (p *Process) Trace(o Options) (Stack, error) {
	stack, err := p.trace(o)
	if err != nil {
		return Stack{PID: p.pid}, fmt.Errorf("cannot read the PHP stack of process %d: %w", p.pid, explain(p.pid, err))
	}
	return stack, nil
}

func (p *Process) trace(o Options) (Stack, error) {
	d := p.decoder()
	stack, err := d.stack(depthOf(o), o.Args)
	if err != nil {
		return Stack{}, err
	}
	stack.PID = p.pid
	stack.Script, err = d.path(p.reader.sapi + p.moved + sgScript)
	return stack, err
}

func (p *Process) decoder() *decoder {
	return &decoder{
		memory: p.memory, layout: p.reader.layout, executor: p.reader.executor + p.moved, size: p.reader.size,
		until: time.Now().Add(patience),
	}
}

func depthOf(o Options) int {
	if o.Depth <= 0 {
		return defaultDepth
	}
	return o.Depth
}

// sample is Trace for who looks again and again: it has neither the script nor arguments.
func (p *Process) sample(o Options, known *recall) (Stack, error) {
	d := p.decoder()
	d.recall = known
	stack, err := d.stack(depthOf(o), false)
	if err != nil {
		return Stack{PID: p.pid}, fmt.Errorf("cannot read the PHP stack of process %d: %w", p.pid, explain(p.pid, err))
	}
	stack.PID = p.pid
	return stack, nil
}

// stack reads the frames, again and again until there is no doubt about them.
func (d *decoder) stack(depth int, args bool) (Stack, error) {
	var doubts []edge
	confirmed := 0
	for {
		stack, unexplained, err := d.once(depth, args)
		switch {
		case err == nil && len(unexplained) == 0:
			return stack, nil
		case err == nil && subset(unexplained, doubts):
			if confirmed++; confirmed == confirmations {
				return stack, nil
			}
		case err == nil:
			doubts, confirmed = unexplained, 0
		case !errors.Is(err, errTorn):
			return Stack{}, err
		}
		if len(doubts) > 0 { // not in step with a script that does the same again and again
			time.Sleep(time.Duration(rand.Int64N(int64(pause))))
		}
		if time.Now().After(d.until) {
			return Stack{}, errTorn
		}
	}
}

func subset(some, all []edge) bool {
	for _, e := range some {
		if !slices.Contains(all, e) {
			return false
		}
	}
	return true
}

// once reads the frames once, and says which of them no instruction explains.
func (d *decoder) once(depth int, args bool) (Stack, []edge, error) {
	raw, more, err := takeSnapshot(d.memory, d.executor+d.layout.current, depth+beyondDepth, d.until, d.recall)
	if err != nil {
		return Stack{}, nil, err
	}
	s, err := d.decode(raw)
	if err != nil {
		return Stack{}, nil, err
	}
	doubts, err := d.doubtful(s)
	if err != nil {
		return Stack{}, nil, err
	}
	frames := s.frames
	if len(frames) > depth {
		frames, more = frames[:depth], true
	}
	if args {
		err = d.arguments(raw[:len(frames)], s.functions, frames)
	}
	return Stack{Frames: frames, Truncated: more}, doubts, err
}

// path reads a C string by the address of the pointer to it.
func (d *decoder) path(at uint64) (string, error) {
	p := []piece{{at, make([]byte, 8)}}
	if err := copyAll(d.memory, p); err != nil || p[0].data == nil {
		return "", err
	}
	address := u64(p[0].data, 0)
	if address < pageSize {
		return "", nil
	}
	return d.cString(address, maxFile)
}

// cString reads a string that ends with a zero byte. What cannot be read is empty.
func (d *decoder) cString(address uint64, longest int) (string, error) {
	var text []byte
	for len(text) < longest {
		// Not beyond the page: there may be nothing.
		n := min(pageSize-address%pageSize, 256)
		p := []piece{{address, make([]byte, n)}}
		if err := copyAll(d.memory, p); err != nil || p[0].data == nil {
			return "", err
		}
		text = append(text, p[0].data...)
		if i := strings.IndexByte(string(text), 0); i >= 0 {
			return string(text[:i]), nil
		}
		address += n
	}
	return string(text[:longest]), nil
}
