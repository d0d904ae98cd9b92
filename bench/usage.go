package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// usage is what a side's processes have consumed so far.
type usage struct {
	front, php time.Duration
	// workers are the PHP processes, to notice replaced ones.
	workers map[int]bool
}

// memory is the proportional set size of a side's processes in bytes: pages
// that several processes share are divided among them, so that the sum counts
// each page once.
type memory struct {
	Front int64 `json:"front_bytes"`
	PHP   int64 `json:"php_bytes"`
	// FrontUnbacked and PHPUnbacked are the parts that no file backs.
	FrontUnbacked int64 `json:"front_unbacked_bytes"`
	PHPUnbacked   int64 `json:"php_unbacked_bytes"`

	FrontProcess int `json:"front_processes"`
	PHPProcess   int `json:"php_processes"`
}

// processes returns the side's processes. The benchmark adopts orphans, so
// its children that no side started belong to the side that adopts.
func (b *bench) processes(s *side) ([]process, error) {
	all, err := listProcesses()
	if err != nil {
		return nil, err
	}
	roots := make(map[int]bool)
	for _, pid := range s.roots() {
		roots[pid] = true
	}
	if s.adopts {
		started := make(map[int]bool)
		for _, other := range b.sides {
			for _, pid := range other.roots() {
				started[pid] = true
			}
		}
		for _, p := range all {
			if p.parent == os.Getpid() && !started[p.pid] {
				roots[p.pid] = true
			}
		}
	}
	return descendants(all, roots), nil
}

// usageOf sums the side's processor time. A process that ends in between has
// its time in its parent's count, so the whole is read again.
func (b *bench) usageOf(s *side) (usage, error) {
	const attempts = 5
	var err error
	for range attempts {
		var list []process
		if list, err = b.processes(s); err != nil {
			return usage{}, err
		}
		var u usage
		if u, err = sumUsage(list, s.deadChildrenPHP, processTime); err == nil {
			return u, nil
		}
		if !isGone(err) {
			return usage{}, err
		}
	}
	return usage{}, fmt.Errorf("cannot read processor times of %s: %v", s.name, err)
}

// sumUsage adds up own times and those of ended children. An ended process
// nobody has waited for keeps its last times in its status.
func sumUsage(list []process, deadChildrenPHP bool, clock func(pid int) (time.Duration, error)) (usage, error) {
	u := usage{workers: make(map[int]bool)}
	for _, p := range list {
		own := p.own
		if !p.zombie {
			var err error
			if own, err = clock(p.pid); err != nil {
				return u, err
			}
		}
		switch {
		case p.isPHP():
			u.php += own + p.children
			u.workers[p.pid] = true
		case deadChildrenPHP:
			u.front += own
			u.php += p.children
		default:
			u.front += own + p.children
		}
	}
	return u, nil
}

// newWorkers counts the PHP processes of after that before does not have.
func newWorkers(before, after usage) int {
	var n int
	for pid := range after.workers {
		if !before.workers[pid] {
			n++
		}
	}
	return n
}

// memoryOf sums the side's proportional set sizes.
func (b *bench) memoryOf(s *side) (memory, error) {
	var m memory
	list, err := b.processes(s)
	if err != nil {
		return m, err
	}
	for _, p := range list {
		if p.zombie {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if isGone(err) {
			continue
		}
		if errors.Is(err, os.ErrPermission) {
			return m, fmt.Errorf("cannot read memory of %s: %v: its processes belong to another user", s.name, err)
		}
		if err != nil {
			return m, fmt.Errorf("cannot read memory of %s: %v", s.name, err)
		}
		size, err := parsePSS(string(text))
		if err != nil {
			return m, err
		}
		if p.isPHP() {
			m.PHP += size.total
			m.PHPUnbacked += size.unbacked
			m.PHPProcess++
		} else {
			m.Front += size.total
			m.FrontUnbacked += size.unbacked
			m.FrontProcess++
		}
	}
	return m, nil
}
