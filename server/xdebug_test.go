package server

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// xdebugModule unpacks Debian's package of Xdebug, which is not to be installed for every PHP of the machine.
func xdebugModule(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(makeRoot(t, nil))
	for _, step := range [][]string{{"apt-get", "download", "php8.2-xdebug"}, {"sh", "-c", "dpkg-deb -x php8.2-xdebug_*.deb x"}} {
		cmd := exec.Command(step[0], step[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cannot get Xdebug: %v\n%s", err, out)
		}
	}
	modules, err := filepath.Glob(filepath.Join(dir, "x/usr/lib/php/*/xdebug.so"))
	if err != nil || len(modules) != 1 {
		t.Fatalf("no Xdebug in its package: %v, %v", modules, err)
	}
	return modules[0]
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
