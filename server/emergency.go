package server

import (
	"slices"
	"sync"
	"time"
)

// emergency is emergency_restart_threshold and emergency_restart_interval: when so many workers crash within the interval, what
// they share may be broken, such as opcache's memory, and all pools are replaced (fpm_children.c:fpm_children_bury). Unlike
// php-fpm's, this loses no request.
type emergency struct {
	mu        sync.Mutex
	threshold int
	interval  time.Duration
	crashes   []time.Time // the last ones, at most threshold
}

// set changes the limits; zero for either is off.
func (e *emergency) set(threshold int, interval time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.threshold, e.interval, e.crashes = threshold, interval, nil
}

// crashed counts a crash and says whether it is one too many.
func (e *emergency) crashed(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.threshold <= 0 || e.interval <= 0 {
		return false
	}
	e.crashes = slices.DeleteFunc(e.crashes, func(t time.Time) bool { return now.Sub(t) > e.interval })
	if e.crashes = append(e.crashes, now); len(e.crashes) < e.threshold {
		return false
	}
	e.crashes = nil
	return true
}

// workerCrashed is told of every worker that a crash of PHP ended.
func (s *Server) workerCrashed() {
	if !s.emergency.crashed(time.Now()) {
		return
	}
	s.log.Warn("emergency_restart_threshold is reached: all pools are replaced")
	s.tails.Go(func() {
		if err := s.replaceAll(); err != nil {
			s.log.Error("cannot replace the pools", "error", err)
		}
	})
}

// replaceAll replaces every pool by one like it.
func (s *Server) replaceAll() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.stopped {
		return nil
	}
	n, err := s.prepare(s.reloads, s.now.cfg, s.now.php, func(string) bool { return true })
	if err != nil {
		return err
	}
	n.take()
	return nil
}
