package server

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phpserve/phpserve/manager"
)

const (
	chaosClients  = 200                    // requests in flight
	chaosWorkers  = 4                      //
	chaosLong     = 30 * time.Second       // for the zygote engine
	chaosShort    = 5 * time.Second        // for the spawn engine
	chaosKills    = 12                     // at least, however long they take
	chaosInterval = 100 * time.Millisecond // between two kills, give or take half
	chaosAnswers  = 10                     // answers between two kills, at least
	chaosLargest  = 300 << 10              // bytes of a body
)

// chaosScript answers with the nonce, the checksum of the body it got, and padding that only this nonce has.
const chaosScript = `<?php
$in = file_get_contents('php://input');
$size = (int) $_GET['size'];
$out = $_GET['nonce'] . ':' . md5($in) . ':';
$out = substr($out . str_repeat(md5($_GET['nonce']), intdiv($size, 32) + 1), 0, max($size, strlen($out)));
usleep((int) $_GET['work']);
if ($_GET['stream']) {
    while (ob_get_level()) ob_end_flush();
    foreach (str_split($out, 20000) as $piece) { echo $piece; flush(); usleep(500); }
} else {
    echo $out;
}`

// chaosAnswer is what chaosScript should say.
func chaosAnswer(nonce string, in []byte, size int) string {
	sum := md5.Sum([]byte(nonce))
	out := nonce + ":" + md5Hex(in) + ":"
	size = max(size, len(out))
	return (out + strings.Repeat(hex.EncodeToString(sum[:]), size/32+1))[:size]
}

// chaosOutcome is how one request ended.
type chaosOutcome struct {
	nonce  string
	status int   // 0: no response
	err    error // of the connection
	wrong  string
}

// chaosRequest sends one request and compares its answer.
func (ts *testServer) chaosRequest(client *http.Client, nonce string) chaosOutcome {
	size := int(10 * math.Pow(chaosLargest/10, rand.Float64())) // as many small ones as large ones
	var in []byte
	method := http.MethodGet
	if rand.IntN(2) == 0 {
		method = http.MethodPost
		in = bytes.Repeat([]byte(nonce+"\n"), int(math.Pow(chaosLargest, rand.Float64()))/(len(nonce)+1)+1)
	}
	path := fmt.Sprintf("/chaos.php?nonce=%s&size=%d&work=%d&stream=%d", nonce, size, rand.IntN(8000), rand.IntN(4)/3)
	got, err := ts.try(client, method, path, bytes.NewReader(in))
	o := chaosOutcome{nonce: nonce, err: err}
	if got.Response != nil {
		o.status = got.StatusCode
	}
	want := chaosAnswer(nonce, in, size)
	switch {
	case err != nil:
		if !strings.HasPrefix(want, got.body) {
			o.wrong = "the part that came is wrong"
		}
	case got.StatusCode == http.StatusOK && got.body != want:
		o.wrong = fmt.Sprintf("%d bytes of body are not the %d that were to come", len(got.body), len(want))
	}
	return o
}

// chaosKiller kills random workers until the time is over and chaosKills were killed, and returns their pids. Between two kills chaosAnswers requests are
// answered, so that a slow machine does not spend its time on starting workers that are killed before they serve.
func (ts *testServer) chaosKiller(stop <-chan time.Time, answered *atomic.Int64) map[int]bool {
	killed, next := map[int]bool{}, int64(0)
	for {
		pause := time.NewTimer(chaosInterval/2 + rand.N(chaosInterval))
		select {
		case <-stop:
			if len(killed) >= chaosKills {
				pause.Stop()
				return killed
			}
			<-pause.C
		case <-pause.C:
		}
		workers := ts.pool().Workers()
		if len(workers) == 0 || answered.Load() < next {
			continue
		}
		next = answered.Load() + chaosAnswers
		w := workers[rand.IntN(len(workers))]
		p, err := os.FindProcess(w.PID)
		if err != nil {
			continue
		}
		if p.Kill() == nil {
			killed[w.PID] = true
		}
		_ = p.Release()
	}
}

// TestChaos: 200 requests in flight on 4 workers that are killed at random. Nothing hangs, no body is wrong, nothing
// leaks, and every failure is that of a request whose worker was killed. It runs alone, so that leaks can be counted.
func TestChaos(t *testing.T) {
	for _, engine := range engines {
		duration := chaosLong
		if engine == manager.EngineSpawn {
			duration = chaosShort
		}
		t.Run(engine, func(t *testing.T) {
			ts := startServer(t, engine, map[string]string{"chaos.php": chaosScript, "pid.php": `<?php echo getmypid();`}, func(c *Config) {
				plainPages(c)
				c.Pools[0].MaxChildren = chaosWorkers
			})
			ts.get("/pid.php")
			ts.idleWorkers(chaosWorkers)
			goroutines, fds := runtime.NumGoroutine(), len(descriptors(t, os.Getpid()))

			outcomes, killed := ts.chaos(duration)
			ts.judgeChaos(outcomes, killed)

			pids := ts.idleWorkers(chaosWorkers)
			if n := ts.pool().Stats().Waiting; n != 0 {
				t.Errorf("%d requests still wait", n)
			}
			eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
			eventually(t, "the descriptors are closed", func() bool { return len(descriptors(t, os.Getpid())) <= fds })
			parent, want := os.Getpid(), chaosWorkers
			if engine == manager.EngineZygote {
				parent = parentOf(t, pids[0])
				if n := len(childrenOf(t, os.Getpid())); n != 1 {
					t.Errorf("phpserve has %d children", n)
				}
			}
			eventually(t, "no other processes", func() bool { return len(childrenOf(t, parent)) == want })
		})
	}
}

// chaos keeps the requests in flight for d while workers are killed.
func (ts *testServer) chaos(d time.Duration) (outcomes []chaosOutcome, killed map[int]bool) {
	stop := make(chan struct{})
	var mu sync.Mutex
	var clients sync.WaitGroup
	var answered atomic.Int64
	for i := range chaosClients {
		client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		clients.Go(func() {
			defer client.CloseIdleConnections()
			var mine []chaosOutcome
			for n := 0; ; n++ {
				select {
				case <-stop:
					mu.Lock()
					outcomes = append(outcomes, mine...)
					mu.Unlock()
					return
				default:
				}
				o := ts.chaosRequest(client, fmt.Sprintf("c%dn%dx%08x", i, n, rand.Uint32()))
				if o.err == nil && o.status == http.StatusOK {
					answered.Add(1)
				}
				mine = append(mine, o)
			}
		})
	}
	over := make(chan time.Time)
	timer := time.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	killed = ts.chaosKiller(over, &answered)
	close(stop)
	clients.Wait()
	return outcomes, killed
}

// judgeChaos holds every outcome against the access log and the kills.
func (ts *testServer) judgeChaos(outcomes []chaosOutcome, killed map[int]bool) {
	t := ts.t
	t.Helper()
	good, bad, broken := 0, 0, 0
	for _, o := range outcomes {
		switch {
		case o.wrong != "":
			t.Errorf("%s: status %d: %s", o.nonce, o.status, o.wrong)
		case o.err == nil && o.status == http.StatusOK:
			good++
			continue
		case o.err == nil && o.status == http.StatusBadGateway:
			bad++
		case o.err != nil && isGone(o.err):
			broken++
		default:
			t.Errorf("%s: status %d, %v", o.nonce, o.status, o.err)
			continue
		}
		// Its line comes when the request has ended, which may be after its client knows.
		ofKilled := false
		for line := range strings.Lines(ts.access.waitFor(t, "nonce="+o.nonce+"&")) {
			ofKilled = ofKilled || strings.Contains(line, "nonce="+o.nonce+"&") && killed[accessPID(t, line)]
		}
		if !ofKilled {
			t.Errorf("%s failed with status %d, %v, but its worker was not killed", o.nonce, o.status, o.err)
		}
	}
	t.Logf("%d requests: %d answered, %d got 502, %d broken off; %d workers killed", len(outcomes), good, bad, broken, len(killed))
	if len(killed) < chaosKills || good < chaosAnswers*(len(killed)-1) || bad+broken > 2*len(killed) {
		t.Errorf("of %d requests %d were answered, %d got 502, %d were broken off; %d workers were killed", len(outcomes), good, bad, broken, len(killed))
	}
}

// accessPID is the worker's pid in a line of the combined format.
func accessPID(t *testing.T, line string) int {
	t.Helper()
	fields := strings.Fields(line[strings.LastIndexByte(line, '"')+1:])
	if len(fields) != 5 {
		t.Fatalf("unexpected access line %q", line)
	}
	pid, err := strconv.Atoi(strings.TrimPrefix(fields[3], "pid="))
	if err != nil {
		return 0 // "-": it never had a worker
	}
	return pid
}
