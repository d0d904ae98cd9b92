package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/manager/phpstack"
	"github.com/phpserve/phpserve/server/metrics"
)

const (
	// watchInterval is how often the pools are looked at.
	watchInterval = time.Second
	// watchKept is how many of these looks are remembered, for who opens the dashboard later.
	watchKept = 300
	// watchWindow is over how many of them percentiles are taken: of one second alone they would jump.
	watchWindow = 10
	// watchSlow is how many slow requests are remembered, those of pools that a reload has replaced among them.
	watchSlow = 50
	// watchWorkers is how many workers are told of, those that run a request first.
	watchWorkers = 300
	// watchClients is how many may listen, watchBacklog how many messages one of them may be behind before it is left.
	watchClients, watchBacklog = 32, 8
)

// watch looks at the pools again and again, for the dashboard.
type watch struct {
	s *Server

	mu        sync.Mutex // guards what follows
	pools     map[string]*poolWatch
	last      *watchMessage // of the last look
	slow      []slowEntry   // the newest last
	logged    uint64        // number of the last record that was sent
	listeners map[chan []byte]struct{}
}

// poolWatch is what is remembered of one pool.
type poolWatch struct {
	pool      *manager.Pool
	points    []watchPoint // the newest last
	latencies []*metrics.Counts
	cpu       map[int]time.Duration // of each worker, by pid, at the last look
	looked    time.Time
	slowSeen  time.Time // of the newest slow request that is known
}

// watchPoint is a pool at one moment. Its fields make one point in each chart.
type watchPoint struct {
	Time     int64   `json:"t"`    // Unix time in milliseconds
	Rate     float64 `json:"rate"` // requests a second
	P50      float64 `json:"p50"`  // milliseconds, of the last watchWindow looks
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Queue    int     `json:"queue"`
	Idle     int     `json:"idle"`
	Busy     int     `json:"busy"`
	Starting int     `json:"starting"`
	Memory   uint64  `json:"memory"` // bytes, of all workers
	CPU      float64 `json:"cpu"`    // percent of one processor
}

// watchPool is a pool as the dashboard gets it with each look.
type watchPool struct {
	Name     string          `json:"name"`
	PHP      string          `json:"php"`
	PM       string          `json:"pm"`
	Engine   string          `json:"engine"`
	Up       bool            `json:"up"`
	Max      int             `json:"max"`
	Accepted uint64          `json:"accepted"`
	Slow     uint64          `json:"slow"`
	SlowOff  bool            `json:"slowOff,omitempty"` // no request_slowlog_timeout
	Reached  uint64          `json:"reached"`
	Rejected uint64          `json:"rejected"`
	Now      watchPoint      `json:"now"`
	History  []watchPoint    `json:"history,omitempty"` // in the first message
	Opcache  metrics.Opcache `json:"opcache"`
}

// watchWorker is a worker as the dashboard gets it.
type watchWorker struct {
	PID      int     `json:"pid"`
	Pool     string  `json:"pool"`
	State    string  `json:"state"`
	Millis   float64 `json:"ms"`
	Method   string  `json:"method,omitempty"`
	URI      string  `json:"uri,omitempty"`
	Script   string  `json:"script,omitempty"`
	Client   string  `json:"client,omitempty"`
	ID       string  `json:"id,omitempty"`
	Requests uint64  `json:"requests"`
	CPU      float64 `json:"cpu"` // percent of one processor, since the last look
	Memory   uint64  `json:"memory"`
}

// slowEntry is a slow request with its stack.
type slowEntry struct {
	Time   time.Time `json:"time"`
	Pool   string    `json:"pool"`
	PID    int       `json:"pid"`
	Millis float64   `json:"ms"`
	Method string    `json:"method"`
	URI    string    `json:"uri"`
	Top    string    `json:"top"` // the innermost line of PHP
	Stack  string    `json:"stack"`
}

// watchMessage is what the dashboard gets. Slow and Errors hold what is new.
type watchMessage struct {
	Time    int64          `json:"t"`
	Pools   []watchPool    `json:"pools"`
	Workers []watchWorker  `json:"workers"`
	More    int            `json:"more,omitempty"` // workers that are left out
	Slow    []slowEntry    `json:"slow,omitempty"`
	Errors  []recentRecord `json:"errors,omitempty"`
}

func newWatch(s *Server) *watch {
	return &watch{s: s, pools: map[string]*poolWatch{}, listeners: map[chan []byte]struct{}{}}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var (
		asked  time.Time                // when the opcaches were
		asking = make(chan struct{}, 1) // full while they are
	)
	defer func() { asking <- struct{}{} }() // waits
	for {
		w.look(time.Now())
		if w.heard() && time.Since(asked) > metrics.OpcacheFresh {
			select {
			case asking <- struct{}{}:
				asked = time.Now()
				go func() {
					defer func() { <-asking }()
					w.s.opcaches.Renew(ctx, w.s.Pools(), metrics.OpcacheFresh/2)
				}()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// heard says whether anybody listens.
func (w *watch) heard() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.listeners) > 0
}

// look notes what the pools do and tells the listeners.
func (w *watch) look(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = w.message(now)
	if len(w.listeners) == 0 {
		return
	}
	text, err := linelog.MarshalVisible(w.last)
	if err != nil {
		return // none of its types can fail
	}
	for l := range w.listeners {
		select {
		case l <- text:
		default: // it does not read
			delete(w.listeners, l)
			close(l)
		}
	}
}

// message describes this moment and remembers it.
func (w *watch) message(now time.Time) *watchMessage {
	m := &watchMessage{Time: now.UnixMilli(), Pools: []watchPool{}, Workers: []watchWorker{}}
	pools := w.s.Pools()
	for name := range w.pools {
		if !slices.ContainsFunc(pools, func(p *manager.Pool) bool { return p.Config().Name == name }) {
			delete(w.pools, name)
		}
	}
	for _, p := range pools {
		cfg := p.Config()
		known := w.pools[cfg.Name]
		if known == nil {
			known = &poolWatch{cpu: map[int]time.Duration{}}
			w.pools[cfg.Name] = known
		}
		known.pool = p
		status, stats := p.Status(true), p.Stats()
		status.Measure()
		known.note(now, w.s.metrics.LatencyOf(cfg.Name), &status, &stats)
		m.Workers = append(m.Workers, known.workers(now, &status)...)
		m.Slow = append(m.Slow, known.newSlow()...)
		kind, _ := p.Engine()
		m.Pools = append(m.Pools, watchPool{
			Name: cfg.Name, PHP: p.PHP().Version, PM: cfg.PM, Engine: kind, Up: p.Ready(), Max: cfg.MaxChildren, Accepted: status.Accepted,
			Slow: status.SlowRequests, SlowOff: cfg.RequestSlowlogTimeout == 0, Reached: status.MaxChildrenReached,
			Rejected: stats.QueueFull + stats.QueueTimeouts, Opcache: w.s.opcaches.Last(cfg.Name),
			Now: known.points[len(known.points)-1],
		})
	}
	slices.SortFunc(m.Workers, func(a, b watchWorker) int {
		return cmp.Or(cmp.Compare(rank(&b), rank(&a)), cmp.Compare(a.PID, b.PID))
	})
	if n := len(m.Workers); n > watchWorkers {
		m.Workers, m.More = m.Workers[:watchWorkers], n-watchWorkers
	}
	w.slow = append(w.slow, m.Slow...)
	w.slow = w.slow[max(0, len(w.slow)-watchSlow):]
	if m.Errors = w.s.recent.since(w.logged); len(m.Errors) > 0 {
		w.logged = m.Errors[len(m.Errors)-1].Number
	}
	return m
}

// rank has the workers that run a request come first, the longest of all.
func rank(w *watchWorker) float64 {
	if w.State == "Idle" {
		return -1
	}
	return w.Millis
}

// note adds a point to what is remembered.
func (k *poolWatch) note(now time.Time, l *metrics.Latency, status *manager.Status, stats *manager.Stats) {
	p := watchPoint{Time: now.UnixMilli(), Queue: status.ListenQueue, Idle: status.Idle, Busy: status.Active, Starting: stats.Starting}
	if l != nil {
		counts := l.Now()
		if n := len(k.latencies); n > 0 {
			if passed := now.Sub(k.looked).Seconds(); passed > 0 {
				p.Rate = float64(counts.Since(k.latencies[n-1]).Total()) / passed
			}
			lately := counts.Since(k.latencies[0])
			millis := func(q float64) float64 { return float64(lately.Quantile(q).Microseconds()) / 1e3 }
			p.P50, p.P95, p.P99 = millis(.5), millis(.95), millis(.99)
		}
		k.latencies = append(k.latencies, counts)
		k.latencies = k.latencies[max(0, len(k.latencies)-watchWindow):]
	}
	for i := range status.Processes {
		w := &status.Processes[i]
		p.Memory += w.Usage.Memory
		p.CPU += k.share(now, w)
	}
	k.points = append(k.points, p)
	k.points = k.points[max(0, len(k.points)-watchKept):]
}

// share is how much of a processor a worker has used since the last look, in percent.
func (k *poolWatch) share(now time.Time, w *manager.ProcessStatus) float64 {
	before, known := k.cpu[w.PID]
	passed := now.Sub(k.looked).Seconds()
	if !known || before > w.Usage.CPU || passed <= 0 { // it is new
		return 0
	}
	return 100 * (w.Usage.CPU - before).Seconds() / passed
}

// workers describes the workers, and remembers the processor time that they have used.
func (k *poolWatch) workers(now time.Time, status *manager.Status) (all []watchWorker) {
	cpu := make(map[int]time.Duration, len(status.Processes))
	for i := range status.Processes {
		w := &status.Processes[i]
		all = append(all, watchWorker{
			PID: w.PID, Pool: status.Pool, State: w.State, Millis: float64(w.Duration.Microseconds()) / 1e3, Method: shown(w.Request.Method),
			URI: shown(w.Request.URI), Script: shown(w.Request.Script), Client: shown(w.Request.Client), ID: shown(w.Request.ID),
			Requests: w.Requests, CPU: k.share(now, w), Memory: w.Usage.Memory,
		})
		cpu[w.PID] = w.Usage.CPU
	}
	k.cpu, k.looked = cpu, now
	return all
}

// newSlow are the slow requests that were not known yet.
func (k *poolWatch) newSlow() (all []slowEntry) {
	for _, s := range k.pool.SlowRequests() {
		if s.Time.After(k.slowSeen) {
			k.slowSeen = s.Time
			all = append(all, newSlowEntry(&s))
		}
	}
	return all
}

func newSlowEntry(s *phpstack.Slow) slowEntry {
	e := slowEntry{
		Time: s.Time, Pool: s.Pool, PID: s.Stack.PID, Millis: float64(s.Running.Microseconds()) / 1e3, Method: shown(s.Method), URI: shown(s.URI),
	}
	var text strings.Builder
	_ = phpstack.WriteReport(&text, *s) // a builder takes all
	e.Stack, e.Top = strings.TrimSpace(text.String()), shown(topLine(&s.Stack))
	return e
}

// topLine is the innermost call and the line of a script that it is at.
func topLine(s *phpstack.Stack) string {
	name := ""
	for _, f := range s.Frames {
		if f.Call == phpstack.CallNone {
			continue
		}
		if name == "" {
			name = f.Name()
		}
		if f.File != "" {
			return fmt.Sprintf("%s at %s:%d", name, f.File, f.Line)
		}
	}
	return name
}

// errTooManyWatch is a client too many.
var errTooManyWatch = errors.New("too many dashboards are open")

// listen returns what has been up to now, and a channel for what comes. It is closed when its reader falls behind.
func (w *watch) listen() (first []byte, l chan []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.listeners) >= watchClients {
		return nil, nil, errTooManyWatch
	}
	m := watchMessage{Time: time.Now().UnixMilli(), Slow: w.slow, Errors: w.s.recent.before(w.logged)}
	if w.last != nil {
		m.Pools, m.Workers, m.More = slices.Clone(w.last.Pools), w.last.Workers, w.last.More
	}
	for i := range m.Pools {
		m.Pools[i].History = w.pools[m.Pools[i].Name].points
	}
	if first, err = linelog.MarshalVisible(m); err != nil {
		return nil, nil, err
	}
	l = make(chan []byte, watchBacklog)
	w.listeners[l] = struct{}{}
	return first, l, nil
}

// leave ends a listener.
func (w *watch) leave(l chan []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.listeners, l)
}
