package server

import (
	"bufio"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/server/peer"
)

// gateFrom is gate for a client that a trusted proxy names.
func gateFrom(t *testing.T, ts *testServer, client, name string) *gated {
	t.Helper()
	conn := connect(t, ts)
	send(t, conn, "GET /gate.php?g="+name+" HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "+client+"\r\nConnection: close\r\n\r\n")
	return &gated{name, bufio.NewReader(conn), func() { conn.Close() }}
}

// behindProxy has the tests' own address be that of a proxy.
func behindProxy(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func TestQueueOfOneClientHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	const greedy, other = "192.0.2.1", "192.0.2.2"
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"gate.php": gateScript}, func(c *Config) {
			behindProxy(c)
			c.Pools[0].MaxChildren, c.Pools[0].QueueSize = 2, 4
		})
		var all []*gated
		for i := range 6 { // two run, four wait: the queue is full
			g := gateFrom(t, ts, greedy, fmt.Sprint("g", i))
			if i < 2 {
				g.running(t, ts)
			} else {
				waiting(t, ts, i-1)
			}
			all = append(all, g)
		}
		if got := askWire(t, ts, "GET", "/gate.php?g=more", "X-Forwarded-For", greedy); got.StatusCode != 503 {
			t.Errorf("one more of the same client: %d", got.StatusCode)
		}
		late := gateFrom(t, ts, other, "late")
		if got := readAnswer(t, all[5].r, "GET"); got.StatusCode != 503 {
			t.Errorf("the latest of the client with most: %d", got.StatusCode)
		}
		all[0].open(t, ts)
		all[0].finish(t)
		late.running(t, ts) // before all that came before it
		late.open(t, ts)
		late.finish(t)
		for _, g := range all[1:5] {
			g.open(t, ts)
			g.finish(t)
		}
	})
}

func TestQueueOfClientsOfOneNetworkIsThatOfOne(t *testing.T) {
	t.Parallel()
	trusted := peer.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	for client, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
		"127.0.0.1": "", "127.9.9.9": "", "::1": "", "10.1.2.3": "", "::ffff:10.1.2.3": "",
	} {
		got := peer.Key(netip.MustParseAddr(client), trusted)
		if text := strings.TrimPrefix(got.String(), "invalid IP"); text != want {
			t.Errorf("%s: %q, want %q", client, text, want)
		}
	}
	if peer.Key(netip.Addr{}, nil).IsValid() {
		t.Error("a client without an address has one")
	}
}
