package phpstack

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"time"
)

// Target is a process to be sampled.
type Target struct {
	Process *Process
	Pool    string
}

// Sampling says how a profile is taken.
type Sampling struct {
	// Rate is how many times per second each process is looked at; 0 is 99, which does not beat in time with what runs a hundred
	// times per second. At most 1000.
	Rate int
	// OnCPU counts a process only when it computes: it runs or is about to, or has used at least half of the time since the last
	// look. Without, waiting counts like computing.
	OnCPU bool
	// Depth is the largest number of frames of one stack; 0 is 256.
	Depth int
}

// knownMost is how many processes that run nothing at the moment are remembered, besides some for each that does.
const knownMost = 256

// DefaultRate is the default of Sampling.Rate.
const DefaultRate = 99

// Record samples processes until the context ends, which is no error. Targets is asked before each round, for workers come and go; it
// must be quick. A process that has gone is left out; one that may not be read ends the recording with an error that is
// fs.ErrPermission. The profile holds what was seen until then.
func Record(ctx context.Context, s Sampling, targets func() []Target) (*Profile, error) {
	rate := min(s.Rate, 1000)
	if rate <= 0 {
		rate = DefaultRate
	}
	period := time.Second / time.Duration(rate)
	p := NewProfile(time.Now(), period, s.OnCPU)
	used := map[int]time.Duration{}
	known := map[*Process]*recall{}
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	last := p.Start
	for {
		select {
		case <-ctx.Done():
			p.Duration = time.Since(p.Start)
			return p, nil
		case now := <-ticker.C:
			if late := int(now.Sub(last)/period) - 1; late > 0 {
				p.Missed += late
			}
			last = now
		}
		seen, alive := make(map[int]time.Duration, len(used)), make(map[*Process]*recall, len(known))
		for _, t := range targets() {
			if alive[t.Process] = known[t.Process]; alive[t.Process] == nil {
				alive[t.Process] = newRecall()
			}
			if err := p.look(s, t, alive[t.Process], used, seen); err != nil {
				p.Duration = time.Since(p.Start)
				return p, err
			}
		}
		used = seen
		if maps.Copy(known, alive); len(known) > 4*len(alive)+knownMost { // most have ended
			known = alive
		}
	}
}

// look takes one sample.
func (p *Profile) look(s Sampling, t Target, known *recall, used, seen map[int]time.Duration) error {
	if s.OnCPU {
		running, time, err := activity(t.Process.pid)
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		before, known := used[t.Process.pid]
		seen[t.Process.pid] = time
		if !running && (!known || time-before < p.Period/2) {
			p.Waiting++
			return nil
		}
	}
	stack, err := t.Process.sample(Options{Depth: s.Depth}, known)
	switch {
	case err == nil:
		p.Add(t.Pool, stack)
	case errors.Is(err, fs.ErrPermission):
		return err
	default:
		p.Failed++
	}
	return nil
}
