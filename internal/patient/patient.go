// Package patient is for tests that pass on every machine, however slow and busy it is. What has to happen may take as long as the
// test binary itself may run; the limits under test may be as long as the machine needs; and a port belongs to one test alone.
package patient

import (
	"flag"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// begun is when the test binary started, nearly.
var begun = time.Now()

// LastMoment is when what still waits must say what for: shortly before the deadline of the test binary (go test -timeout), which
// is the only limit of what has to happen. Without such a deadline it is a day from now.
func LastMoment() time.Time {
	if f := flag.Lookup("test.timeout"); f != nil {
		if limit, ok := f.Value.(flag.Getter).Get().(time.Duration); ok && limit > 0 {
			return begun.Add(limit - min(15*time.Second, limit/10))
		}
	}
	return time.Now().Add(24 * time.Hour)
}

// Late sends at [LastMoment].
func Late() <-chan time.Time { return time.After(time.Until(LastMoment())) }

// Eventually waits until ok returns true. It is for states that no event tells about, such as those of other processes.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), Late()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// UnderLimit runs a test of a time limit of the program's. On a slow machine a small limit may end something else than what the test
// is about: then try says so, and runs again with twice the limit.
func UnderLimit(t testing.TB, limit time.Duration, try func(limit time.Duration) (tooSlow bool)) {
	t.Helper()
	for range 9 {
		if !try(limit) {
			return
		}
		limit *= 2
	}
	t.Errorf("even a limit of %v ended something else", limit/2)
}

// WithinLimit runs a test whose steps have to be done before a time limit of the program's own is over, which is no setting. On a slow
// machine they may not be: then try says so, and runs again.
func WithinLimit(t testing.TB, try func() (tooSlow bool)) {
	t.Helper()
	for range 9 {
		if !try() {
			return
		}
	}
	t.Error("the limit was over each time before the test was")
}

// Port is a TCP port for a program that cannot inherit a socket. Nobody else gets it before the test's end: it lies below the ports
// that the system gives to whoever asks for any, and the UDP port of the same number is taken meanwhile, by which the tests that
// run at the same time, in other processes too, know that it is in use.
func Port(t testing.TB) int {
	t.Helper()
	first, end := 10000, 32768
	if limits, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		low, _, _ := strings.Cut(string(limits), "\t")
		if n, err := strconv.Atoi(low); err == nil && n > first+1000 {
			end = n
		}
	}
	for i := range end - first {
		port := first + (os.Getpid()*97+i)%(end-first)
		sign, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", ":"+strconv.Itoa(port)); err == nil {
			l.Close()
			t.Cleanup(func() { sign.Close() })
			return port
		}
		sign.Close()
	}
	t.Fatalf("no port from %d to %d is free", first, end)
	return 0
}
