package manager

import (
	"bufio"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// diagram reads the list of transitions in the package documentation: "state ▶ state, state".
func diagram(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	edges := map[string][]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "//	")
		from, to, arrow := strings.Cut(text, " ▶ ")
		if !ok || !arrow || strings.ContainsAny(to, "─▶│") {
			continue
		}
		for next := range strings.SplitSeq(to, ",") {
			edges[strings.TrimSpace(from)] = append(edges[strings.TrimSpace(from)], strings.TrimSpace(next))
		}
	}
	return edges
}

func TestTransitionsAreThoseOfTheDocumentation(t *testing.T) {
	want := diagram(t)
	if len(want) != len(transitions)-1 { // dead leads nowhere
		t.Errorf("the documentation lists the transitions of %d states, the code of %d", len(want), len(transitions)-1)
	}
	for from, tos := range transitions {
		var got []string
		for _, to := range tos {
			got = append(got, to.String())
		}
		if name := State(from).String(); !slices.Equal(got, want[name]) {
			t.Errorf("%s may lead to %v, says the code, to %v, says the documentation", name, got, want[name])
		}
	}
}

func TestTransitionPanicsWhereNoneIsAllowed(t *testing.T) {
	for from := StateStarting; from <= StateDead; from++ {
		for to := StateStarting; to <= StateDead; to++ {
			p := &Pool{}
			p.count[from] = 1
			w := &Worker{pool: p, proc: &process{pid: 1}, state: from}
			panicked := func() (panicked bool) {
				defer func() { panicked = recover() != nil }()
				w.transition(to)
				return false
			}()
			allowed := slices.Contains(transitions[from], to)
			switch {
			case panicked == allowed:
				t.Errorf("%v to %v: allowed %v, panicked %v", from, to, allowed, panicked)
			case allowed && (w.state != to || p.count[from] != 0 || p.count[to] != 1 || time.Since(w.since) > time.Minute):
				t.Errorf("%v to %v: the worker is %v since %v, counts %v", from, to, w.state, w.since, p.count)
			case !allowed && (w.state != from || p.count[from] != 1):
				t.Errorf("%v to %v: refused, but the worker is %v, counts %v", from, to, w.state, p.count)
			}
		}
	}
}

func TestBackoffDoublesUpToHalfAMinute(t *testing.T) {
	previous := time.Duration(0)
	for n := 1; n < 100; n++ {
		d := backoff(n)
		switch {
		case n == 1 && d > 200*time.Millisecond:
			t.Errorf("the first failure delays by %v", d)
		case d > 30*time.Second:
			t.Errorf("failure %d delays by %v", n, d)
		case n > 1 && d != 2*previous && d != 30*time.Second:
			t.Errorf("failure %d delays by %v after %v", n, d, previous)
		}
		previous = d
	}
	if previous != 30*time.Second || backoff(math.MaxInt) != 30*time.Second {
		t.Errorf("the longest delay is %v", previous)
	}
}

func TestExitStatusSaysHowAProcessEnded(t *testing.T) {
	for status, want := range map[uint32]string{
		0:      "exited with code 0",
		0xff00: "exited with code 255",
		9:      "ended on signal: SIGKILL",
		11:     "ended on signal: SIGSEGV",
		0x8b:   "ended on signal: SIGSEGV (core dumped)",
	} {
		if got := waitStatus(status).String(); got != want {
			t.Errorf("wait status %#x: %q, want %q", status, got, want)
		}
	}
	if got := (exitStatus{}).String(); got != "ended" {
		t.Errorf("an unknown end is %q", got)
	}
}

func TestMaxRequestsIsSpreadByAnEighthEitherWay(t *testing.T) {
	for _, limit := range []int{0, 1, 7} {
		p := &Pool{cfg: PoolConfig{MaxRequests: limit}}
		for range 50 {
			if got := p.requestLimit(); got != limit {
				t.Errorf("pm.max_requests=%d gives %d", limit, got)
			}
		}
	}
	p := &Pool{cfg: PoolConfig{MaxRequests: 800}}
	seen := map[int]bool{}
	for range 1000 {
		n := p.requestLimit()
		if n < 700 || n > 900 {
			t.Fatalf("pm.max_requests=800 gives %d", n)
		}
		seen[n] = true
	}
	if len(seen) < 50 {
		t.Errorf("1000 workers share %d limits", len(seen))
	}
}
