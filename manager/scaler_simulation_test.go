package manager

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// simStep is the resolution of the simulation.
const simStep = 10 * time.Millisecond

// arrival is one request of a trace.
type arrival struct{ at, takes time.Duration }

// simulated is a pool in simulated time. Workers are interchangeable, so counts are enough; a fork takes one step.
type simulated struct {
	cfg      PoolConfig
	now      time.Duration
	starting int
	idle     []time.Duration // since when, oldest first
	busy     []time.Duration // until when
	queue    []arrival
	arrived  int // requests of this step

	water   lowWater
	started int // workers, after the first ones

	waits   []time.Duration
	workers float64 // worker-seconds: what the pool costs in memory
	peak    int
}

func (s *simulated) total() int { return s.starting + len(s.idle) + len(s.busy) }

// manage is what a process manager does in a step.
type manage func(s *simulated)

// simulate runs a trace to its end and a quiet time behind it.
func simulate(cfg PoolConfig, trace []arrival, pm manage) *simulated {
	s := &simulated{cfg: cfg, starting: cfg.startServers()}
	end := trace[len(trace)-1].at + 60*time.Second
	for next := 0; s.now < end; s.now += simStep {
		for range s.starting {
			s.idle = append(s.idle, s.now)
		}
		s.starting = 0
		s.busy = slices.DeleteFunc(s.busy, func(until time.Duration) bool {
			if until > s.now {
				return false
			}
			s.idle = append(s.idle, s.now)
			return true
		})
		s.arrived = 0
		for ; next < len(trace) && trace[next].at <= s.now; next++ {
			s.queue = append(s.queue, trace[next])
			s.arrived++
		}
		for len(s.queue) > 0 && len(s.idle) > 0 {
			r := s.queue[0]
			s.queue = s.queue[1:]
			s.idle = s.idle[:len(s.idle)-1] // last in, first out
			s.water.note(len(s.idle))
			s.waits = append(s.waits, s.now-r.at)
			s.busy = append(s.busy, s.now+r.takes)
		}
		pm(s)
		s.started += s.starting
		s.peak = max(s.peak, s.total())
		s.workers += float64(s.total()) * simStep.Seconds()
	}
	return s
}

// ours acts on scale, which the pool asks whenever something changes.
func ours(s *simulated) {
	n := counts{total: s.total(), starting: s.starting, idle: len(s.idle), waiting: len(s.queue)}
	if len(s.idle) > 0 {
		n.idleFor = s.now - s.idle[0]
	}
	n.spare = s.water.least(time.Unix(0, int64(s.now)), n.idle)
	d := scale(&s.cfg, n)
	s.starting += d.start
	s.idle = s.idle[d.stop:]
	s.water.ended(d.stop)
}

// fpms is php-fpm's (fpm_process_ctl.c:fpm_pctl_perform_idle_server_maintenance and fpm_pctl_on_socket_accept): a tick each
// second, and for ondemand one fork each time that the listening socket becomes readable. Connections that come together are
// seen as fewer events: of 12 at once php-fpm 8.2 was seen to make three workers.
func fpms() manage {
	rate := 1
	return func(s *simulated) {
		tick := s.now%time.Second == 0
		switch {
		case s.cfg.PM == PMOndemand && s.arrived > 0 && len(s.queue) > 0 && s.total() < s.cfg.MaxChildren && len(s.idle) == 0:
			s.starting += min((s.arrived+3)/4, s.cfg.MaxChildren-s.total())
		case s.cfg.PM == PMOndemand && tick && len(s.idle) > 0 && s.now-s.idle[0] > s.cfg.ProcessIdleTimeout:
			s.idle = s.idle[1:]
		case s.cfg.PM == PMDynamic && tick && len(s.idle) > s.cfg.MaxSpareServers:
			s.idle, rate = s.idle[1:], 1
		case s.cfg.PM == PMDynamic && tick && len(s.idle) < s.cfg.MinSpareServers:
			n := min(rate, s.cfg.MinSpareServers-len(s.idle), s.cfg.MaxChildren-s.total())
			if n <= 0 {
				rate = 1
				break
			}
			s.starting += n
			if rate < 32 { // pm.max_spawn_rate
				rate *= 2
			}
		case s.cfg.PM == PMDynamic && tick:
			rate = 1
		}
	}
}

// traces are what the two are compared on.
func traces() map[string][]arrival {
	var ramp, day []arrival
	for at := time.Duration(0); at < 60*time.Second; { // from 1 to 60 requests/s in a minute
		ramp = append(ramp, arrival{at, 200 * time.Millisecond})
		at += time.Duration(float64(time.Second) / (1 + at.Seconds()))
	}
	for at := time.Duration(0); at < 10*time.Minute; { // nights without and days with 30 requests/s, of two minutes each
		load := 15 * (1 - math.Cos(2*math.Pi*at.Seconds()/240))
		day = append(day, arrival{at, 150 * time.Millisecond})
		at += time.Duration(float64(time.Second) / (0.2 + load))
	}
	return map[string][]arrival{
		"burst": slices.Repeat([]arrival{{2 * time.Second, 2 * time.Second}}, 12), "ramp": ramp, "night and day": day,
	}
}

// Neither burst nor ramp nor the change of night and day may have requests wait longer than under php-fpm, and the pool must
// not be larger for it than requests need.
func TestScalerWaitsLessThanFPMsOnTraces(t *testing.T) {
	for _, pm := range []string{PMDynamic, PMOndemand} {
		cfg := DefaultPoolConfig(2)
		cfg.PM, cfg.MaxChildren, cfg.MinSpareServers, cfg.MaxSpareServers, cfg.StartServers = pm, 20, 2, 6, 2
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		for name, trace := range traces() {
			mine, theirs := simulate(cfg, trace, ours), simulate(cfg, trace, fpms())
			for _, s := range []*simulated{mine, theirs} {
				if len(s.waits) != len(trace) {
					t.Fatalf("%s, %s: %d of %d requests served", pm, name, len(s.waits), len(trace))
				}
			}
			t.Logf("%-8s %-13s phpserve: %s; php-fpm: %s", pm, name, mine, theirs)
			if mine.mean() > theirs.mean() || slices.Max(mine.waits) > slices.Max(theirs.waits) {
				t.Errorf("%s, %s: requests wait longer than under php-fpm", pm, name)
			}
			if mine.peak > cfg.MaxChildren {
				t.Errorf("%s, %s: %d workers, more than pm.max_children", pm, name, mine.peak)
			}
			if name == "burst" && slices.Max(mine.waits) > 5*simStep {
				t.Errorf("%s: a burst of 12 has to wait %v for its workers", pm, slices.Max(mine.waits))
			}
		}
	}
}

func (s *simulated) mean() time.Duration {
	var sum time.Duration
	for _, w := range s.waits {
		sum += w
	}
	return sum / time.Duration(len(s.waits))
}

func (s *simulated) String() string {
	return fmt.Sprintf("wait mean %v, longest %v, %d workers at most, %.0f worker-seconds", s.mean().Round(time.Millisecond),
		slices.Max(s.waits), s.peak, s.workers)
}

// Under a load that stays as it is, no worker may come and go once the pool has found its size.
func TestScalerKeepsItsWorkersUnderASteadyLoad(t *testing.T) {
	const minutes = 10
	for _, perSecond := range []int{1, 2, 5, 11, 20, 37, 60} {
		for _, takes := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 120 * time.Millisecond, 300 * time.Millisecond} {
			for _, size := range []struct{ children, minSpare, maxSpare int }{{4, 1, 2}, {4, 1, 1}, {8, 1, 4}, {20, 2, 6}, {50, 5, 35}} {
				cfg := DefaultPoolConfig(2)
				cfg.PM, cfg.MaxChildren, cfg.MinSpareServers, cfg.MaxSpareServers = PMDynamic, size.children, size.minSpare, size.maxSpare
				if err := cfg.Validate(); err != nil {
					t.Fatal(err)
				}
				if takes*time.Duration(perSecond) > time.Duration(size.children)*time.Second*8/10 {
					continue // more than the pool can do
				}
				random := rand.New(rand.NewPCG(1, uint64(perSecond)))
				var trace []arrival
				for at := time.Duration(0); at < minutes*time.Minute; at += time.Duration(random.ExpFloat64() * float64(time.Second) / float64(perSecond)) {
					trace = append(trace, arrival{at, time.Duration((0.5 + random.Float64()) * float64(takes))})
				}
				mine, theirs := simulate(cfg, trace, ours), simulate(cfg, trace, fpms())
				if mine.started > cfg.MaxChildren+3*minutes || mine.mean() > theirs.mean() {
					t.Errorf("%d requests/s of %v, %+v: %d workers started, %s; php-fpm: %d, %s", perSecond, takes, size, mine.started, mine, theirs.started, theirs)
				}
			}
		}
	}
}
