package manager

import "sync"

// ProcessLimit is process.max: how many workers several pools may have together. The nil ProcessLimit has no limit.
type ProcessLimit struct {
	mu   sync.Mutex
	max  int // zero: no limit
	used int
}

// SetMax changes the limit; zero is none. Workers that are more than that go on.
func (l *ProcessLimit) SetMax(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max = n
}

// take asks for room for n workers and returns how many there is room for. The pool that gets none looks again within a second.
func (l *ProcessLimit) take(n int) int {
	if l == nil {
		return n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max > 0 {
		n = max(0, min(n, l.max-l.used))
	}
	l.used += n
	return n
}

// giveBack makes room for a worker.
func (l *ProcessLimit) giveBack() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used--
}
