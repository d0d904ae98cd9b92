package server

import (
	"net/netip"
	"testing"
	"testing/synctest"
)

func TestConnectionsOfOneClientAreBounded(t *testing.T) {
	t.Parallel()
	greedy, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	refused := 0
	l := &connLimit{max: 4, perClient: 2, refused: func(netip.Addr) { refused++ }}
	end := func() { t.Error("a connection was closed") }
	first := l.enter(greedy, end, nil)
	if l.enter(greedy, end, nil) == nil || l.enter(greedy, end, nil) != nil || refused != 1 {
		t.Errorf("a third connection, %d refused", refused)
	}
	if l.enter(other, end, nil) == nil || l.enter(netip.Addr{}, end, nil) == nil {
		t.Error("another client is refused")
	}
	first.leave()
	first.leave()
	if s := l.enter(greedy, end, nil); s == nil || l.used != 4 {
		t.Errorf("no room after one has left; %d are in use", l.used)
	}
}

func TestConnectionThatWaitsEndsWithItsListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told, done := 0, make(chan struct{})
		l := &connLimit{max: 1, crowded: func() { told++ }}
		if s := l.enter(netip.Addr{}, nil, done); !s.busy() {
			t.Error("it is closed")
		}
		var got *connSlot
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			got = l.enter(netip.Addr{}, nil, done)
		}()
		synctest.Wait()
		close(done)
		<-ended
		if got != nil || told != 1 || l.used != 1 {
			t.Errorf("got %v, told %d times, %d in use", got, told, l.used)
		}
	})
}
