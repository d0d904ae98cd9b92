package manager

import "sync"

// swept remembers in which folders was looked for what a killed phpserve left behind, so that of many pools made at a start or a reload
// only the first one looks: each look goes through the folders of all of them. It belongs to a [PHP], which is found anew for each start and
// reload.
type swept struct {
	mu    sync.Mutex
	bases map[string]bool
}

// first says whether nobody has looked there yet. With nil nothing is remembered.
func (s *swept) first(base string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bases[base] {
		return false
	}
	if s.bases == nil {
		s.bases = map[string]bool{}
	}
	s.bases[base] = true
	return true
}
