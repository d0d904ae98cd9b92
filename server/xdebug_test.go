package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// xdebugModule is Debian's Xdebug, which is not to be installed for every PHP of the machine.
func xdebugModule(t *testing.T) string {
	t.Helper()
	cache := "/var/cache"
	if os.Geteuid() != 0 {
		var err error
		if cache, err = os.UserCacheDir(); err != nil {
			t.Fatal(err)
		}
	}
	module := filepath.Join(cache, "phpserve-test/xdebug/xdebug.so")
	if _, err := os.Stat(module); err != nil {
		t.Fatalf("this test needs Xdebug (go tool task xdebug): %v", err)
	}
	return module
}

// A debugger that is to debug each script debugs those of the site: one that does not answer holds up no start.
func TestXdebugDebugsNoScriptOfPhpserve(t *testing.T) {
	t.Parallel()
	module := xdebugModule(t)
	eachEngine(t, func(t *testing.T, engine string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var sessions atomic.Int32
		let := make(chan struct{})
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				sessions.Add(1)
				<-let // a client that thinks
				nc.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ts := startServer(t, engine, map[string]string{"index.php": `<?php echo 'ran';`}, func(c *Config) {
			c.Pools[0].PHPValue = []string{"zend_extension=" + module, "xdebug.mode=debug", "xdebug.start_with_request=yes", "xdebug.client_port=" + port}
		})
		ts.idleWorkers(2)
		if n := sessions.Load(); n != 0 {
			t.Errorf("%d scripts of phpserve are debugged", n)
		}
		close(let)
		if got := ts.get("/index.php").body; !strings.Contains(got, "ran") || sessions.Load() != 1 {
			t.Errorf("got %q, %d sessions", got, sessions.Load())
		}
	})
}

// Where no debugger listens, which is the usual case on a developer's machine, Xdebug says so for scripts of the site and for no others.
func TestXdebugWithoutDebuggerHoldsUpNothing(t *testing.T) {
	t.Parallel()
	module := xdebugModule(t)
	eachEngine(t, func(t *testing.T, engine string) {
		port := patient.Port(t)
		ts := startServer(t, engine, map[string]string{"index.php": `<?php echo 'ran';`}, func(c *Config) {
			c.Pools[0].PHPValue = []string{"zend_extension=" + module, "xdebug.mode=debug", "xdebug.start_with_request=yes", fmt.Sprint("xdebug.client_port=", port)}
		})
		ts.idleWorkers(2)
		const complaint = "Could not connect to debugging client"
		if log := ts.log.String(); strings.Contains(log, complaint) {
			t.Errorf("a script of phpserve was to be debugged:\n%s", log)
		}
		if got := ts.get("/index.php").body; got != "ran" {
			t.Errorf("got %q", got)
		}
		ts.log.waitFor(t, complaint)
	})
}
