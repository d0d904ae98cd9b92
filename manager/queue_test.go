package manager

import (
	"net/netip"
	"testing"
)

var (
	clientA = netip.MustParseAddr("192.0.2.1")
	clientB = netip.MustParseAddr("192.0.2.2")
	clientC = netip.MustParseAddr("192.0.2.3")
	unknown = netip.Addr{}
)

// queueOf has one waiter for each client, in this order, named by its place.
func queueOf(clients ...netip.Addr) (*fairQueue, []*waiter) {
	q, all := &fairQueue{}, make([]*waiter, 0, len(clients))
	for _, c := range clients {
		w := &waiter{client: c}
		q.push(w)
		all = append(all, w)
	}
	return q, all
}

func TestQueueHasClientsTakeTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		clients []netip.Addr
		want    []int // places in the order in which they get a worker
	}{
		"one client":                       {[]netip.Addr{clientA, clientA, clientA}, []int{0, 1, 2}},
		"one with many and one behind":     {[]netip.Addr{clientA, clientA, clientA, clientA, clientB}, []int{0, 4, 1, 2, 3}},
		"two with many":                    {[]netip.Addr{clientA, clientA, clientA, clientB, clientB}, []int{0, 3, 1, 4, 2}},
		"three":                            {[]netip.Addr{clientA, clientA, clientB, clientC, clientC}, []int{0, 2, 3, 1, 4}},
		"nobody is known":                  {[]netip.Addr{unknown, unknown, unknown}, []int{0, 1, 2}},
		"unknown ones are one client each": {[]netip.Addr{clientA, clientA, clientA, unknown, unknown}, []int{0, 3, 4, 1, 2}},
		"unknown ones are not held up":     {[]netip.Addr{unknown, clientA, unknown, clientA}, []int{0, 1, 2, 3}},
		"nobody":                           {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			q, all := queueOf(tt.clients...)
			for _, want := range tt.want {
				if got := q.pop(100); got != all[want] {
					t.Errorf("another than %d", want)
				}
			}
			if q.pop(100) != nil || q.n != 0 || q.turns.Len() != 0 || len(q.clients) != 0 {
				t.Errorf("%d waiters and %d clients are left", q.n, len(q.clients))
			}
		})
	}
}

func TestQueuePassesOverAClientWithHalfOfTheWorkersWhileOthersWait(t *testing.T) {
	q, all := queueOf(clientA, clientA, clientB)
	q.took(clientA)
	q.took(clientA)
	if q.pop(2) != all[2] {
		t.Error("the other client does not go first")
	}
	if q.pop(2) != all[0] {
		t.Error("a worker stays idle while somebody waits")
	}
	q.gave(clientA)
	q.push(all[2])
	if q.pop(2) != all[1] {
		t.Error("a client that has given a worker back is still passed over")
	}
	q.gave(clientA)
	q.gave(clientA)
	if len(q.running) != 0 {
		t.Errorf("running: %v", q.running)
	}
}

func TestQueueThatIsFullTakesFromTheClientWithMost(t *testing.T) {
	for name, tt := range map[string]struct {
		clients []netip.Addr
		who     netip.Addr
		want    int // place of who makes room; -1: nobody
	}{
		"another client":                   {[]netip.Addr{clientA, clientA, clientA}, clientB, 2},
		"the client itself":                {[]netip.Addr{clientA, clientA, clientA}, clientA, -1},
		"one that has as many":             {[]netip.Addr{clientA, clientA, clientB, clientB}, clientB, -1},
		"one that would then have as many": {[]netip.Addr{clientA, clientA, clientA, clientB}, clientB, 2},
		"all have one":                     {[]netip.Addr{clientA, clientB}, clientC, -1},
		"a client that is not known":       {[]netip.Addr{clientA, clientA}, unknown, 1},
		"of those not known nobody":        {[]netip.Addr{unknown, unknown, unknown}, clientA, -1},
	} {
		t.Run(name, func(t *testing.T) {
			q, all := queueOf(tt.clients...)
			got := q.makeRoom(tt.who)
			if want := append(all, nil)[(tt.want+len(all)+1)%(len(all)+1)]; got != want {
				t.Errorf("got %v, want place %d", got, tt.want)
			}
			if left := len(all) - q.n; (left == 1) != (tt.want >= 0) {
				t.Errorf("%d have made room", left)
			}
		})
	}
}

func TestQueueForgetsWhoLeaves(t *testing.T) {
	q, all := queueOf(clientA, clientA, clientB, unknown)
	for _, w := range all {
		q.remove(w)
		q.remove(w) // has no effect
	}
	if q.n != 0 || q.turns.Len() != 0 || len(q.clients) != 0 || q.pop(1) != nil {
		t.Errorf("%d waiters, %d turns, %d clients", q.n, q.turns.Len(), len(q.clients))
	}
}
