package server

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// endsOf waits until n workers have ended and returns how many for each reason.
func (ts *testServer) endsOf(n uint64) map[manager.EndReason]uint64 {
	ts.t.Helper()
	var stats manager.Stats
	eventually(ts.t, "the end of the worker is known", func() bool {
		stats = ts.pool().Stats()
		return stats.Ended >= n
	})
	ends := map[manager.EndReason]uint64{}
	for reason, n := range stats.EndedBy {
		if n > 0 {
			ends[manager.EndReason(reason)] = n
		}
	}
	return ends
}

// forEver are scripts that tell their pid and go on until somebody ends them: in each the worker's connection breaks at another time.
var forEver = map[string]string{
	"before.php": `<?php file_put_contents(dirname(__DIR__) . '/pid.new', getmypid()); rename(dirname(__DIR__) . '/pid.new', dirname(__DIR__) . '/pid'); while (true) sleep(1000);`,
	"during.php": `<?php echo 'the beginning'; while (ob_get_level()) ob_end_flush(); flush();
		file_put_contents(dirname(__DIR__) . '/pid.new', getmypid()); rename(dirname(__DIR__) . '/pid.new', dirname(__DIR__) . '/pid'); while (true) sleep(1000);`,
	"behind.php": `<?php echo 'all'; fastcgi_finish_request();
		file_put_contents(dirname(__DIR__) . '/pid.new', getmypid()); rename(dirname(__DIR__) . '/pid.new', dirname(__DIR__) . '/pid'); while (true) sleep(1000);`,
}

// busyPID waits for the pid of a script of forEver.
func (ts *testServer) busyPID() (pid int) {
	ts.t.Helper()
	eventually(ts.t, "the script runs", func() bool {
		text, err := os.ReadFile(ts.beside("pid"))
		if err == nil {
			pid = atoi(ts.t, string(text))
		}
		return err == nil
	})
	if err := os.Remove(ts.beside("pid")); err != nil {
		ts.t.Fatal(err)
	}
	return pid
}

func TestBusyWorkerThatIsKilledFromOutsideEndedByThatSignal(t *testing.T) {
	signals := map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGSEGV": syscall.SIGSEGV, "SIGABRT": syscall.SIGABRT}
	check := func(t *testing.T, ts *testServer, url string) {
		sent := uint64(0)
		for script := range forEver {
			for name, sig := range signals {
				request := make(chan struct{})
				go func() {
					defer close(request)
					r, err := http.Post(url+"/"+script, "text/plain", strings.NewReader("x")) // a POST is not repeated
					if err == nil {
						r.Body.Close() // what comes is no matter here
					}
				}()
				pid := ts.busyPID()
				sendSignal(t, pid, sig)
				sent++
				if ends := ts.endsOf(sent); len(ends) != 1 || ends[manager.EndSignal] != sent {
					t.Fatalf("%s, %s: workers ended by %v", script, name, ends)
				}
				<-request
				ts.log.waitForLine(t, `msg="worker ended"`, "pid="+strconv.Itoa(pid), "signal: "+name, "while=busy", script)
				ts.idleWorkers(2)
			}
		}
		if log := ts.log.String(); hasLine(log, `msg="worker ended"`, "cause=") {
			t.Errorf("the log has a cause of phpserve's:\n%s", log)
		}
	}
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		eachEngine(t, func(t *testing.T, engine string) {
			ts := startServer(t, engine, forEver, nil)
			check(t, ts, ts.url)
		})
	})
	t.Run("fpm", func(t *testing.T) {
		behindNginx(t, forEver, nil, func(t *testing.T, ts *testServer, n *nginx) { check(t, ts, n.url) })
	})
}

// The other way round: what phpserve itself ends is not taken for a signal of somebody else's.
func TestWorkerThatPhpserveEndsIsCountedAsKilled(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"raw.php": rawScript}, nil)
		ts.idleWorkers(2)
		askWire(t, ts, "POST", "/raw.php?hex=0206000200000000")
		if ends := ts.endsOf(1); len(ends) != 1 || ends[manager.EndKilled] != 1 {
			t.Errorf("workers ended by %v", ends)
		}
		ts.log.waitForLine(t, `msg="worker ended"`, "while=killed", "cause=", "raw.php")
	})
}
