package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// warmUp is the load before the first round, per side and script.
const warmUp = time.Second

// bench is one run of the benchmark.
type bench struct {
	options options
	tools   tools
	dir     string
	wrkFile string
	sides   []*side
	scripts []script
	result  result
	// progress is where the operator reads what is being done.
	progress io.Writer
}

// newBench makes the temporary folder with all configurations in it; close
// must be called.
func newBench(ctx context.Context, o options, progress io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "phpserve-bench-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder: %v", err)
	}
	b := &bench{options: o, dir: dir, wrkFile: filepath.Join(dir, "wrk.lua"), progress: progress}
	if err := b.prepare(ctx); err != nil {
		_ = b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) error {
	// The unprivileged workers must get through to the site.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return fmt.Errorf("cannot open a folder to the workers: %v", err)
	}
	var err error
	if b.tools, err = findTools(ctx, b.options, b.dir); err != nil {
		return err
	}
	if err := writeWrkScript(b.wrkFile); err != nil {
		return err
	}
	loops, err := calibrate(ctx, b.tools.phpCGI, b.dir)
	if err != nil {
		return err
	}
	root := filepath.Join(b.dir, "site")
	scripts, err := writeSite(root, loops)
	if err != nil {
		return err
	}
	for _, name := range b.options.scripts {
		b.scripts = append(b.scripts, scripts[name])
	}
	for _, name := range b.options.sides {
		s, err := newSide(name, b.options, b.tools, filepath.Join(b.dir, name), root)
		if err != nil {
			return err
		}
		b.sides = append(b.sides, s)
	}
	b.result = newResult(b.options, b.tools, runtime.NumCPU(), loops, b.sides)
	return nil
}

func newSide(name string, o options, t tools, dir, root string) (*side, error) {
	switch name {
	case sidePhpserve, sideAgain, sideObserved, sideProfiled:
		return newPhpserveSide(name, o, t, dir, root)
	}
	return newNginxSide(name, o, t, dir, root)
}

// close ends everything that runs and removes the temporary folder.
func (b *bench) close() error {
	if err := b.stopAll(); err != nil {
		return err
	}
	if b.options.keep {
		b.say("configurations and logs are in %s", b.dir)
		return nil
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return fmt.Errorf("cannot remove the temporary folder: %v", err)
	}
	return nil
}

// stopAll stops all sides, and says so when one left processes behind.
func (b *bench) stopAll() error {
	for _, s := range b.sides {
		s.stop()
	}
	left, err := endOrphans()
	if len(left) > 0 {
		b.say("warning: a server ended and left these processes behind: %v", left)
	}
	return err
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

// measureSpeed runs all rounds with all sides up. An idle side costs nothing.
func (b *bench) measureSpeed(ctx context.Context) error {
	for _, s := range b.sides {
		for _, srv := range s.servers {
			b.say("%s: %s", s.name, srv)
		}
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	if err := b.verify(ctx); err != nil {
		return err
	}
	// Every cell starts with another side, so that none is always the first
	// after a change of script.
	var turn int
	for round := range b.options.rounds {
		for _, sc := range b.scripts {
			for _, connections := range b.options.connections {
				b.say("round %d of %d: %s, %d connections", round+1, b.options.rounds, sc.name, connections)
				for i := range b.sides {
					s := b.sides[(turn+i)%len(b.sides)]
					m, err := b.measure(ctx, s, sc, connections)
					if err != nil {
						return err
					}
					b.result.add(sc.name, connections, s.name, m)
				}
				turn++
			}
		}
	}
	return b.stopAll()
}

// verify warms all sides up and makes sure that they do the same work.
func (b *bench) verify(ctx context.Context) error {
	all := make([]settings, len(b.sides))
	for i, s := range b.sides {
		for _, sc := range b.scripts {
			if err := checkScript(ctx, s, sc); err != nil {
				return err
			}
			if _, err := b.wrk(ctx, s, sc, 4*b.options.workers, warmUp); err != nil {
				return err
			}
			if err := checkScript(ctx, s, sc); err != nil {
				return err
			}
		}
		var err error
		if all[i], err = readSettings(ctx, s); err != nil {
			return err
		}
		if err := checkCached(s, all[i], b.scripts); err != nil {
			return err
		}
		if err := checkSettings(b.sides[0], all[0], s, all[i]); err != nil {
			return err
		}
	}
	b.result.PHP = all[0].Version
	return nil
}

// measure loads one side once.
func (b *bench) measure(ctx context.Context, s *side, sc script, connections int) (sample, error) {
	before, err := b.usageOf(s)
	if err != nil {
		return sample{}, err
	}
	busyBefore, err := machineBusy()
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	end := b.observe(ctx, s)
	l, err := b.wrk(ctx, s, sc, connections, b.options.duration)
	if watched := end(); err == nil {
		err = watched
	}
	if err != nil {
		return sample{}, err
	}
	elapsed := time.Since(start)
	busyAfter, err := machineBusy()
	if err != nil {
		return sample{}, err
	}
	after, err := b.usageOf(s)
	if err != nil {
		return sample{}, err
	}
	if n := newWorkers(before, after); n > 0 {
		b.say("warning: %s replaced %d PHP processes under load", s.name, n)
	}
	front, php := after.front-before.front, after.php-before.php
	strangers := max(0, busyAfter-busyBefore-front-php-l.cpu)
	perRequest := func(t time.Duration) float64 { return float64(t) / float64(time.Microsecond) / float64(l.requests) }
	return sample{
		Requests:          l.requests,
		RequestsPerSecond: float64(l.requests) / l.duration.Seconds(),
		P50:               float64(l.p50.Microseconds()),
		P99:               float64(l.p99.Microseconds()),
		FrontCPU:          perRequest(front),
		PHPCPU:            perRequest(php),
		Strangers:         strangers.Seconds() / elapsed.Seconds() / float64(runtime.NumCPU()),
	}, nil
}

// measureMemory loads each side alone with every script and reads its memory:
// with several sides up they would share, and halve, each other's pages.
func (b *bench) measureMemory(ctx context.Context) error {
	for _, s := range b.sides {
		b.say("memory: %s alone", s.name)
		if err := s.start(ctx); err != nil {
			return err
		}
		for _, sc := range b.scripts {
			if _, err := b.wrk(ctx, s, sc, 4*b.options.workers, b.options.duration); err != nil {
				return err
			}
		}
		m, err := b.memoryOf(s)
		if err != nil {
			return err
		}
		b.result.Memory[s.name] = m
		if err := b.stopAll(); err != nil {
			return err
		}
	}
	return nil
}
