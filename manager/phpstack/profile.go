package phpstack

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Profile is how often each stack was seen. It is not safe for use by several goroutines.
type Profile struct {
	// Start and Duration say when it was taken.
	Start    time.Time
	Duration time.Duration
	// Period is the time between two samples of a process: what one sample stands for.
	Period time.Duration
	// OnCPU says that only processes were counted that were computing, not those that waited.
	OnCPU bool
	// Samples is how many stacks were counted. Idle is how often a process ran no script, Waiting how often, in a profile of
	// processor time, it did not compute, Failed how often its stack could not be read, and Missed how many rounds came too late
	// to be made.
	Samples, Idle, Waiting, Failed, Missed int

	stacks map[string]*sample
}

// sample is one stack, and how often it was seen in a pool.
type sample struct {
	pool   string
	frames []Frame // outermost first, without the engine's own
	count  int
}

// NewProfile returns an empty one.
func NewProfile(start time.Time, period time.Duration, onCPU bool) *Profile {
	return &Profile{Start: start, Period: period, OnCPU: onCPU, stacks: map[string]*sample{}}
}

// Add counts a stack of a process of a pool. One without frames is counted as idle.
func (p *Profile) Add(pool string, s Stack) {
	frames := make([]Frame, 0, len(s.Frames)+1)
	if s.Truncated {
		frames = append(frames, Frame{Function: "[truncated]", Call: CallFunction})
	}
	for _, f := range slices.Backward(s.Frames) {
		if f.Call != CallNone {
			frames = append(frames, f)
		}
	}
	if len(frames) == 0 {
		p.Idle++
		return
	}
	p.Samples++
	var key strings.Builder
	key.WriteString(pool)
	for _, f := range frames {
		key.WriteByte(0)
		key.WriteString(f.label())
		key.WriteByte(1)
		key.WriteString(f.File)
		key.WriteByte(':')
		writeInt(&key, f.Line)
	}
	if known := p.stacks[key.String()]; known != nil {
		known.count++
		return
	}
	p.stacks[key.String()] = &sample{pool, frames, 1}
}

func writeInt(b *strings.Builder, n int) {
	for shift := 0; shift < 32; shift += 8 {
		b.WriteByte(byte(n >> shift))
	}
}

// label is a frame's name in a profile: that of a file where there is no function.
func (f Frame) label() string {
	switch {
	case f.Call == CallMain:
		return f.File
	case f.Function == "":
		return f.Call.String() + " " + f.File
	}
	return f.Name()
}

// sorted are the samples in an order that does not change from run to run.
func (p *Profile) sorted() []*sample {
	all := make([]*sample, 0, len(p.stacks))
	keys := make([]string, 0, len(p.stacks))
	for k := range p.stacks {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	for _, k := range keys {
		all = append(all, p.stacks[k])
	}
	return all
}
