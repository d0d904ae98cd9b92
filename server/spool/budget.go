package spool

import (
	"net/netip"
	"sync"
)

// Budget bounds what all bodies or responses take together, of memory or of a disk, and what those of one client take.
type Budget struct {
	limit int64 // bytes; 0: none
	share int64 // of one client; 0: none

	mu       sync.Mutex // guards the fields below
	used     int64
	byClient map[netip.Addr]int64
	freed    chan struct{} // closed when something is given back; nil: nobody waits
}

// NewBudget gives one client at most a quarter: enough for anybody, and three that take what they can leave a quarter. least is
// what a client must be able to have.
func NewBudget(limit, least int64) Budget {
	return Budget{limit: limit, share: max(limit/4, min(least, limit))}
}

// takeSome reserves up to n bytes for a client and returns how many. The zero address stands for clients that cannot be told apart.
func (b *Budget) takeSome(client netip.Addr, n int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.roomLocked(client))
	if n <= 0 {
		return 0
	}
	b.used += n
	if client.IsValid() {
		if b.byClient == nil {
			b.byClient = map[netip.Addr]int64{}
		}
		b.byClient[client] += n
	}
	return n
}

// Take reserves n bytes or none.
func (b *Budget) Take(client netip.Addr, n int64) bool {
	if got := b.takeSome(client, n); got < n {
		b.Give(client, got)
		return false
	}
	return true
}

// room says whether n more bytes would fit now. It reserves nothing: a client that only announces a body keeps nobody out.
func (b *Budget) room(client netip.Addr, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return n <= b.roomLocked(client)
}

// unlimited is the room where there is no limit.
const unlimited = 1 << 62

// roomLocked is how many bytes a client may take now. b.mu must be held.
func (b *Budget) roomLocked(client netip.Addr) int64 {
	if b.limit == 0 {
		return unlimited
	}
	room := b.limit - b.used
	if b.share > 0 && client.IsValid() {
		room = min(room, b.share-b.byClient[client])
	}
	return room
}

// Give returns n bytes of a client.
func (b *Budget) Give(client netip.Addr, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if client.IsValid() {
		if b.byClient[client] -= n; b.byClient[client] == 0 {
			delete(b.byClient, client)
		}
	}
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// Wait is closed when something is given back from now on.
func (b *Budget) Wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}

// Taken is how much is in use.
func (b *Budget) Taken() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
