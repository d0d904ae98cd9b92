package accept

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Limit bounds how many connections are open at the same time, so that descriptors are left for what serves them. When all are
// in use, one without a complete request makes room, the one first on which nothing has begun for the longest time; where there is
// none, or only such as are very new, a new one waits. The zero Limit has no limit. Its exported fields are set before the first [Limit.Enter].
type Limit struct {
	Max       int              // 0: no limit
	PerClient int              // of one client; 0: no limit
	Crowded   func()           // is told that a new connection waits; may be nil
	Refused   func(netip.Addr) // is told of a client that has PerClient of them; may be nil

	mu       sync.Mutex // guards the fields below and those of slots
	used     int
	byClient map[netip.Addr]int
	idle     list.List     // of *Slot that have served a request and wait for the next, the longest first
	fresh    list.List     // of *Slot whose next request is not complete, the oldest first
	freed    chan struct{} // closed when a slot becomes free or idle; nil: nobody waits
}

// Slot is the place of one connection.
type Slot struct {
	limit  *Limit
	client netip.Addr
	end    func() // closes the connection

	in    *list.List // idle or fresh; nil: busy or ended
	place *list.Element
	since time.Time // when it was put there
	ended bool      // the connection is closed, or about to be
}

// Enter waits for a place and returns it; nil once done is closed, or where the client has enough. end closes the connection.
func (l *Limit) Enter(client netip.Addr, end func(), done <-chan struct{}) *Slot {
	for told := false; ; {
		l.mu.Lock()
		if client.IsValid() && l.PerClient > 0 && l.byClient[client] >= l.PerClient {
			l.mu.Unlock()
			if l.Refused != nil {
				l.Refused(client)
			}
			return nil
		}
		if l.Max == 0 || l.used < l.Max {
			s := l.addLocked(client, end)
			l.mu.Unlock()
			return s
		}
		s, soon := l.oldestLocked()
		if s != nil {
			s.freeLocked()
			l.mu.Unlock()
			s.end()
			continue
		}
		if l.freed == nil {
			l.freed = make(chan struct{})
		}
		freed := l.freed
		l.mu.Unlock()
		if !told && l.Crowded != nil {
			told = true
			l.Crowded()
		}
		if !waitForRoom(freed, done, soon) {
			return nil
		}
	}
}

// Count is how many connections there are, and how many of them wait for another request.
func (l *Limit) Count() (used, idle int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used, l.idle.Len()
}

// waitForRoom waits for freed, but not longer than soon; 0: for ever. False: done.
func waitForRoom(freed, done <-chan struct{}, soon time.Duration) bool {
	var late <-chan time.Time
	if soon > 0 {
		timer := time.NewTimer(soon)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-freed:
	case <-late:
	case <-done:
		return false
	}
	return true
}

func (l *Limit) addLocked(client netip.Addr, end func()) *Slot {
	s := &Slot{limit: l, client: client, end: end}
	l.used++
	if client.IsValid() {
		if l.byClient == nil {
			l.byClient = map[netip.Addr]int{}
		}
		l.byClient[client]++
	}
	s.moveLocked(&l.fresh)
	return s
}

// freshGrace is how long a connection may say nothing, or only a part of a request, before it has to make room.
const freshGrace = time.Second

// oldestLocked is the connection that is to make room; nil if there is none, and soon is when there may be one, if that is known.
func (l *Limit) oldestLocked() (oldest *Slot, soon time.Duration) {
	if first := l.fresh.Front(); first != nil {
		oldest = first.Value.(*Slot)
		if soon = freshGrace - time.Since(oldest.since); soon > 0 {
			oldest = nil
		}
	}
	if first := l.idle.Front(); first != nil {
		if s := first.Value.(*Slot); oldest == nil || s.since.Before(oldest.since) {
			oldest = s
		}
	}
	return oldest, soon
}

// wakeLocked tells those who wait that there may be room.
func (l *Limit) wakeLocked() {
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
}

// moveLocked puts the slot at the end of a list; nil: into none.
func (s *Slot) moveLocked(to *list.List) {
	if s.in != nil {
		s.in.Remove(s.place)
	}
	if s.in = to; to != nil {
		s.place, s.since = to.PushBack(s), time.Now()
	}
}

// freeLocked gives the place back.
func (s *Slot) freeLocked() {
	if s.ended {
		return
	}
	s.ended = true
	s.moveLocked(nil)
	l := s.limit
	l.used--
	if s.client.IsValid() {
		if l.byClient[s.client]--; l.byClient[s.client] == 0 {
			delete(l.byClient, s.client)
		}
	}
	l.wakeLocked()
}

// Leave gives the place back when the connection is closed. It may be called again. A nil slot is one without a limit, here and below.
func (s *Slot) Leave() {
	if s != nil {
		s.limit.mu.Lock()
		s.freeLocked()
		s.limit.mu.Unlock()
	}
}

// Talk notes that something of the next request is there.
func (s *Slot) Talk() {
	if s == nil {
		return
	}
	s.limit.mu.Lock()
	if s.in == &s.limit.idle {
		s.moveLocked(&s.limit.fresh)
	}
	s.limit.mu.Unlock()
}

// Busy notes that a request is under way; false says that the connection is being closed.
func (s *Slot) Busy() bool {
	if s == nil {
		return true
	}
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.moveLocked(nil)
	return !s.ended
}

// Rest notes that a request is over.
func (s *Slot) Rest() {
	if s == nil {
		return
	}
	s.limit.mu.Lock()
	if !s.ended {
		s.moveLocked(&s.limit.idle)
		s.limit.wakeLocked()
	}
	s.limit.mu.Unlock()
}
