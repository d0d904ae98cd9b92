package manager

import (
	"container/list"
	"net/netip"
	"time"
)

// waiter is one Acquire in the queue.
type waiter struct {
	ready  chan *Worker // capacity 1; nil tells that the pool is closed or, with refused, that the queue is full
	client netip.Addr
	since  time.Time

	// Guarded by Pool.mu.
	of      *queuedClient // nil: no longer in the queue
	place   *list.Element
	order   *list.Element // in fairQueue.all
	refused bool
}

// refusal is why there is no worker.
func (w *waiter) refusal() error {
	if w.refused {
		return ErrQueueFull
	}
	return ErrPoolClosed
}

// fairQueue has the requests that wait for a worker. Clients take turns, one request each, and those of one client are served in
// their order: however many one sends, another waits for one of them at most. A request whose client is not known takes turns as if
// it had one of its own, so that without clients the queue is a plain one.
//
// All is guarded by Pool.mu.
type fairQueue struct {
	n       int
	all     list.List                    // of *waiter, oldest first
	turns   list.List                    // of *queuedClient, whose turn is next first
	clients map[netip.Addr]*queuedClient // those in turns that are known
	running map[netip.Addr]int           // workers that known clients have now
}

// queuedClient is a client that waits.
type queuedClient struct {
	client  netip.Addr
	waiting list.List // of *waiter, oldest first
	turn    *list.Element
}

// push adds a waiter at the end of its client's.
func (q *fairQueue) push(w *waiter) {
	c := q.clients[w.client]
	if c == nil {
		c = &queuedClient{client: w.client}
		c.turn = q.turns.PushBack(c)
		if w.client.IsValid() {
			if q.clients == nil {
				q.clients = map[netip.Addr]*queuedClient{}
			}
			q.clients[w.client] = c
		}
	}
	w.of, w.place, w.order = c, c.waiting.PushBack(w), q.all.PushBack(w)
	q.n++
}

// remove takes a waiter out.
func (q *fairQueue) remove(w *waiter) {
	c := w.of
	if c == nil {
		return
	}
	c.waiting.Remove(w.place)
	q.all.Remove(w.order)
	w.of = nil
	q.n--
	if c.waiting.Len() == 0 {
		q.turns.Remove(c.turn)
		if c.client.IsValid() {
			delete(q.clients, c.client)
		}
	}
}

// oldest is who has waited for the longest time; nil if nobody waits.
func (q *fairQueue) oldest() *waiter {
	if first := q.all.Front(); first != nil {
		return first.Value.(*waiter)
	}
	return nil
}

// pop takes out whose turn it is; nil if nobody waits. A client that has most workers already, which is all that it needs to hold up
// the others with slow requests, is passed over while another waits.
func (q *fairQueue) pop(most int) *waiter {
	first := q.turns.Front()
	for e := first; e != nil; e = e.Next() {
		if c := e.Value.(*queuedClient); !c.client.IsValid() || q.running[c.client] < most {
			first = e
			break
		}
	}
	if first == nil {
		return nil
	}
	c := first.Value.(*queuedClient)
	w := c.waiting.Front().Value.(*waiter)
	q.turns.MoveToBack(c.turn)
	q.remove(w)
	return w
}

// makeRoom takes out the latest of the client that has most waiters, for one of a client that has at least two fewer; nil if there is
// no such. It is called when the queue is full.
func (q *fairQueue) makeRoom(client netip.Addr) *waiter {
	var most *queuedClient
	for _, c := range q.clients {
		if most == nil || c.waiting.Len() > most.waiting.Len() {
			most = c
		}
	}
	own := 0
	if c := q.clients[client]; c != nil {
		own = c.waiting.Len()
	}
	if most == nil || most.waiting.Len() < own+2 {
		return nil
	}
	w := most.waiting.Back().Value.(*waiter)
	q.remove(w)
	return w
}

// took notes that a client has a worker.
func (q *fairQueue) took(client netip.Addr) {
	if client.IsValid() {
		if q.running == nil {
			q.running = map[netip.Addr]int{}
		}
		q.running[client]++
	}
}

// gave notes that a client has one worker less.
func (q *fairQueue) gave(client netip.Addr) {
	if client.IsValid() {
		if q.running[client]--; q.running[client] <= 0 {
			delete(q.running, client)
		}
	}
}
