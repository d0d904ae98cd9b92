package accept

import (
	"net/netip"
	"testing"
	"testing/synctest"
)

func TestConnectionsOfOneClientAreBounded(t *testing.T) {
	t.Parallel()
	greedy, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	refused := 0
	l := &Limit{Max: 4, PerClient: 2, Refused: func(netip.Addr) { refused++ }}
	end := func() { t.Error("a connection was closed") }
	first := l.Enter(greedy, end, nil)
	if l.Enter(greedy, end, nil) == nil || l.Enter(greedy, end, nil) != nil || refused != 1 {
		t.Errorf("a third connection, %d refused", refused)
	}
	if l.Enter(other, end, nil) == nil || l.Enter(netip.Addr{}, end, nil) == nil {
		t.Error("another client is refused")
	}
	first.Leave()
	first.Leave()
	if s := l.Enter(greedy, end, nil); s == nil || l.used != 4 {
		t.Errorf("no room after one has left; %d are in use", l.used)
	}
}

func TestConnectionThatWaitsEndsWithItsListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told, done := 0, make(chan struct{})
		l := &Limit{Max: 1, Crowded: func() { told++ }}
		if s := l.Enter(netip.Addr{}, nil, done); !s.Busy() {
			t.Error("it is closed")
		}
		var got *Slot
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			got = l.Enter(netip.Addr{}, nil, done)
		}()
		synctest.Wait()
		close(done)
		<-ended
		if got != nil || told != 1 || l.used != 1 {
			t.Errorf("got %v, told %d times, %d in use", got, told, l.used)
		}
	})
}
