package manager

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// children is pm.max_children of a pool and of those that are like it but for their php.ini settings ([Pool.ShareChildren]), which are
// one pool to the operator: all together have as many workers at most. Who waits longest gets the next place; an idle worker of another
// pool, the one that has been idle for longest, makes room.
type children struct {
	// short is set while a pool has too few. Workers that have done a request look at it.
	short atomic.Bool

	mu    sync.Mutex // is taken with Pool.mu held, and not the other way round
	max   int
	used  int // processes, from before their start until they are dead
	pools []*Pool
	wants map[*Pool]*want
}

// want is what a pool lacks.
type want struct {
	since  time.Time // its oldest request waits
	need   int       // workers
	coming int       // workers of other pools that end for it
}

func newChildren(limit int, first *Pool) *children {
	return &children{max: limit, pools: []*Pool{first}, wants: map[*Pool]*want{}}
}

// ShareChildren has the pool keep pm.max_children of another together with that one. It comes before Start.
func (p *Pool) ShareChildren(with *Pool) {
	c := with.children
	p.children = c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools = append(c.pools, p)
}

// leave takes a pool out that has ended.
func (c *children) leave(p *Pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools = slices.DeleteFunc(c.pools, func(o *Pool) bool { return o == p })
	delete(c.wants, p)
	c.changed()
}

// take asks for places for n workers, and says how many there are and how many the pool lacks. Requests, the oldest of which waits
// since then, want demanded of them; the others are to be idle, and nobody makes room for those.
func (c *children) take(p *Pool, n, demanded int, since time.Time) (granted, lacking int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pools) == 1 { // which keeps its limit itself, and may start a worker while another one still ends
		c.used += n
		return n, 0
	}
	free := c.max - c.used
	for q, w := range c.wants {
		if q != p && (demanded == 0 || w.since.Before(since)) {
			free -= w.need
		}
	}
	granted = max(0, min(n, free))
	c.used += granted
	lacking = max(0, min(n, demanded)-granted)
	if lacking == 0 {
		delete(c.wants, p)
	} else {
		w := c.wants[p]
		if w == nil {
			w = &want{}
			c.wants[p] = w
		}
		w.since, w.need, w.coming = since, lacking, max(0, w.coming-granted)
		lacking = max(0, lacking-w.coming)
	}
	c.changed()
	return granted, lacking
}

// giveBack is for a place whose worker is dead, or never was.
func (c *children) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used--
	for p, w := range c.wants {
		w.coming = max(0, w.coming-1) // it may have been somebody else's
		p.poke()
	}
}

// changed keeps short. c.mu must be held.
func (c *children) changed() { c.short.Store(len(c.wants) > 0) }

// yields says whether a worker of p that has done its request is to end for another pool, because p has no request that has waited for
// longer than one there.
func (c *children) yields(p *Pool) bool {
	if !c.short.Load() {
		return false
	}
	oldest := time.Time{}
	if first := p.queue.oldest(); first != nil {
		oldest = first.since
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for q, w := range c.wants {
		if q != p && w.coming < w.need && (oldest.IsZero() || w.since.Before(oldest)) {
			w.coming++
			return true
		}
	}
	return false
}

// makeRoom ends idle workers of other pools, those that are idle for longest, so that p gets as many as it lacks. No Pool.mu may be held.
func (c *children) makeRoom(p *Pool, lacking int) {
	for range lacking {
		c.mu.Lock()
		others := slices.Clone(c.pools)
		c.mu.Unlock()
		var victim *Pool
		var since time.Time
		for _, q := range others {
			if q == p {
				continue
			}
			q.mu.Lock()
			if len(q.idle) > 0 && (victim == nil || q.idle[0].since.Before(since)) {
				victim, since = q, q.idle[0].since
			}
			q.mu.Unlock()
		}
		if victim == nil || !c.endIdle(victim, p) {
			return
		}
	}
}

// endIdle ends the worker of a pool that is idle for longest, for another pool. False: there is none any more.
func (c *children) endIdle(victim, p *Pool) bool {
	victim.mu.Lock()
	if victim.closed || len(victim.idle) == 0 {
		victim.mu.Unlock()
		p.poke() // it looks again
		return false
	}
	w := victim.idle[0]
	victim.idle = slices.Delete(victim.idle, 0, 1)
	w.surplus = true
	w.transition(StateStopping)
	c.mu.Lock()
	if e := c.wants[p]; e != nil {
		e.coming++
	}
	c.mu.Unlock()
	victim.mu.Unlock()
	victim.end(w)
	return true
}
