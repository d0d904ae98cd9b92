//go:build unix

package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
)

// withValues starts a pool of so many workers with a FastCGI address.
func withValues(t *testing.T, engine, pm string, children int, files map[string]string) (ts *testServer, addr string) {
	t.Helper()
	ts = startServer(t, engine, files, func(c *Config) {
		addr = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
		c.Pools[0].MaxChildren, c.Pools[0].PM, c.Pools[0].StartServers = children, pm, 1
		c.Pools[0].MinSpareServers, c.Pools[0].MaxSpareServers = 1, children
		c.Responders = []ResponderConfig{{Pool: "www", Listen: addr, LimitExtensions: []string{".php"}}}
	})
	return ts, addr
}

// valueParams is a request for a script with its own set; a negative one is none.
func valueParams(ts *testServer, script string, set int) map[string]string {
	params := map[string]string{"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": ts.root + "/" + script, "SCRIPT_NAME": "/" + script}
	if set >= 0 {
		params["PHP_VALUE"] = fmt.Sprintf("user_agent = set %d", set)
	}
	return params
}

// TestValuesKeepMaxChildren: all sets of PHP_VALUE together have no more workers than pm.max_children, whatever is asked at once and dies
// meanwhile; and every request is answered, with its own settings.
func TestValuesKeepMaxChildren(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		for _, pm := range []string{manager.PMStatic, manager.PMOndemand} {
			t.Run(engine+" "+pm, func(t *testing.T) {
				t.Parallel()
				const children, sets, clients, requests = 3, 12, 6, 8
				ts, addr := withValues(t, engine, pm, children, map[string]string{
					"s.php":   `<?php usleep(2000); echo "agent ", ini_get('user_agent');`,
					"die.php": `<?php posix_kill(getmypid(), 9);`,
				})
				ctx, cancel := context.WithCancel(t.Context())
				most := watchTotal(ctx, ts)
				var wg sync.WaitGroup
				for c := range clients {
					wg.Go(func() {
						pick := rand.New(rand.NewPCG(uint64(c), 1))
						for i := range requests {
							set := pick.IntN(sets+4) - 4
							if i == requests/2 {
								dying := valueParams(ts, "die.php", set)
								dying["REQUEST_METHOD"] = "POST" // which is not repeated
								var conn *fastcgi.Conn
								if r := askSide(t, &conn, addr, dying, ""); !strings.Contains(strings.Join(r.Head, " "), "502") {
									t.Errorf("a worker that dies: %v", r)
								}
							}
							want := "agent "
							if set >= 0 {
								want = fmt.Sprintf("agent set %d", set)
							}
							var conn *fastcgi.Conn
							if r := askSide(t, &conn, addr, valueParams(ts, "s.php", set), ""); r.Body != want {
								t.Errorf("set %d: %v", set, r)
							}
						}
					})
				}
				wg.Wait()
				cancel()
				if n := <-most; n > children || n == 0 {
					t.Errorf("there were %d workers", n)
				}
				s := ts.pool().Stats()
				if s.Busy != 0 || s.Waiting != 0 || s.Total > children {
					t.Errorf("afterwards: %+v", s)
				}
			})
		}
	}
}

// watchTotal looks for the most workers that there are at a time, all sets together, until ctx ends.
func watchTotal(ctx context.Context, ts *testServer) <-chan int {
	most := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			// The sets are looked at one after another: the sum is of one moment only where no worker came or went meanwhile.
			before, status := ts.pool().Stats(), ts.pool().Status(false)
			if after := ts.pool().Stats(); after.Started == before.Started && after.Ended == before.Ended {
				n = max(n, before.Total, status.Idle+status.Active)
			}
			time.Sleep(time.Millisecond)
		}
		most <- n
	}()
	return most
}

// TestValuesWaitTheirTurn: no set waits for ever because others have requests without a pause, and none because the pool itself has.
func TestValuesWaitTheirTurn(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		for _, hot := range []int{1, 5} { // sets besides the pool's own requests
			t.Run(fmt.Sprintf("%s, %d sets without a pause", engine, hot), func(t *testing.T) {
				t.Parallel()
				ts, addr := withValues(t, engine, manager.PMStatic, 2, map[string]string{"s.php": `<?php usleep(5000); echo ini_get('user_agent');`})
				done := make(chan struct{})
				var asked atomic.Int64
				var wg sync.WaitGroup
				for c := -1; c < hot; c++ {
					for range 2 {
						wg.Go(func() {
							for {
								select {
								case <-done:
									return
								default:
								}
								var conn *fastcgi.Conn
								askSide(t, &conn, addr, valueParams(ts, "s.php", c), "")
								asked.Add(1)
							}
						})
					}
				}
				for set := 100; set < 102; set++ {
					var conn *fastcgi.Conn
					if r := askSide(t, &conn, addr, valueParams(ts, "s.php", set), ""); r.Body != fmt.Sprintf("set %d", set) {
						t.Errorf("set %d: %v", set, r)
					}
				}
				close(done)
				wg.Wait()
				if asked.Load() == 0 {
					t.Error("nobody else asked anything")
				}
			})
		}
	}
}

// TestValuesThatWaitGoWithTheirClient: a request that waits for room for its set leaves the queue when the web server does, and those
// behind it go on.
func TestValuesThatWaitGoWithTheirClient(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ts, _ := withValues(t, engine, manager.PMOndemand, 1, map[string]string{"s.php": ``})
			use := ts.slots["www"].use.Load()
			take := func(ctx context.Context, set int) (*manager.Worker, *poolInUse, error) {
				return use.variants.acquire(ctx, netip.Addr{}, fmt.Sprintf("user_agent = %d", set), "")
			}
			held, heldIn, err := take(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan error, 2*maxVariants)
			for set := range 2 * maxVariants { // more than there is room for
				go func() {
					_, _, err := take(ctx, set+1)
					gone <- err
				}()
			}
			eventually(t, "requests wait for room for their sets", func() bool {
				use.variants.mu.Lock()
				defer use.variants.mu.Unlock()
				return len(use.variants.waiters) >= 2*maxVariants-minVariants
			})
			if n := len(use.variants.pools()); n > minVariants {
				t.Errorf("there are %d sets", n)
			}
			cancel()
			for range 2 * maxVariants {
				if err := <-gone; err == nil {
					t.Error("a request had a worker that there is not")
				}
			}
			held.Release(manager.Unused)
			heldIn.done()
			last, lastIn, err := take(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			last.Release(manager.Unused)
			lastIn.done()
		})
	}
}
