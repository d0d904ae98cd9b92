package manager

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pool is a set of workers that run the same PHP with the same settings.
type Pool struct {
	cfg    PoolConfig
	asked  PoolConfig // cfg before anything was filled in
	php    *PHP
	stamps []string // of PHP's files when the pool was made
	log    *slog.Logger
	dialer Dialer
	dir    *runtimeDir
	kind   string // the engine in use: EngineZygote or EngineSpawn
	why    string // why that engine

	late     bool // workers give up root by themselves, see latedrop.go
	priority int  // nice value of PHP: process.priority, or phpserve's own when the pool was made

	veil         sync.Once // what is said about the environment
	made         time.Time
	tracer       tracer
	slowlog      slowLog
	accepted     atomic.Uint64
	slowRequests atomic.Uint64

	statusSocket net.Listener // of fpm_get_status(); nil: none
	orphans      *orphans     // of scripts; nil before Start

	limit    *ProcessLimit // shared with other pools; nil: none
	children *children     // shared with the pool's variants
	crashed  func()        // is told of crashes; may be nil

	wake     chan struct{} // capacity 1: something changed that the scaler should look at
	stopping chan struct{} // closed by Stop
	wg       sync.WaitGroup

	// mu guards everything below and the workers' fields. Nothing slow happens under it: no I/O, no signal, no log.
	mu         sync.Mutex
	opened     bool // Start has been here
	closed     bool
	variants   func() []*Pool // pools that this one speaks for, see Include; nil: none
	engine     engine         // nil: there is none, and the next worker starts one, see onDemand
	comingUp   *engineStart   // of the engine that a worker waits for; nil: none
	generation int
	workers    map[int]*Worker
	count      [StateDead + 1]int
	water      lowWater  // of idle
	idle       []*Worker // least recently used first; taken from the end
	queue      fairQueue
	early      map[int]attached // connections of workers that greeted before their fork was reported
	spawning   int              // processes asked for that do not exist yet
	toReplace  int              // workers that ended and were not too many
	failures   int              // failed starts in a row
	retryAt    time.Time        // no start before it
	lastErr    error            // of the last failed start
	hearing    hearing
	badForks   int  // workers in a row that ended before they could serve
	served     bool // a worker of this generation could serve
	stats      Stats
	memoryPeak uint64
	crowded    bool          // requests wait and there are pm.max_children workers
	changed    chan struct{} // closed and replaced when a worker started, failed to, or ended
}

// Stats counts what a pool did since its start.
type Stats struct {
	Idle, Busy, Starting, Total int                // workers now
	Waiting                     int                // requests in the queue now
	MaxWaiting                  int                // most that ever waited
	QueueFull, QueueTimeouts    uint64             // requests refused
	Requests                    uint64             // requests that had a worker
	Started, Ended              uint64             // workers
	EndedBy                     [EndReasons]uint64 // workers, by why
	MaxActive                   int                // most workers that ever ran a request at the same time
	MaxChildrenReached          uint64             // times that requests waited because there were pm.max_children workers
}

// MessageStartup is the message of a log record with what PHP says at its start, before it runs a script. It comes once for a pool.
const MessageStartup = "php says at its start"

// NewPool checks cfg, finds out what PHP can do and prepares the pool's runtime folder. Start starts it.
func NewPool(ctx context.Context, cfg PoolConfig, php *PHP, d Dialer, log *slog.Logger) (*Pool, error) {
	own := *php // what it can do depends on the ini files, which are the pool's
	php = &own
	asked, said := cfg, php.startup
	kind, why, err := cfg.Check(ctx, php)
	if err != nil {
		return nil, err
	}
	owner, err := findCredential(&cfg)
	if err != nil {
		return nil, err
	}
	log = log.With("pool", cfg.Name)
	for _, line := range php.startup {
		if !slices.Contains(said, line) { // else another pool of this PHP has told it
			log.Warn(MessageStartup, "text", line)
		}
	}
	warnings, err := cfg.Warnings(php, kind)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		log.Warn(w.Message, "why", w.Why) //nolint:sloglint // one of three constants
	}
	late, _ := cfg.lateDrop(kind, php, owner)
	if late {
		cfg.withhold(php)
	}
	dir, err := newRuntimeDir(cfg.Name, owner, php.swept)
	if err != nil {
		return nil, err
	}
	if err := dir.write(&cfg, php, late); err != nil {
		_ = dir.remove() // the first error is the one to tell
		return nil, err
	}
	priority := ownPriority()
	if cfg.Priority != nil {
		priority = *cfg.Priority
	}
	p := &Pool{
		cfg: cfg, asked: asked, php: php, stamps: php.stamps(), log: log, dialer: d, dir: dir, kind: kind, why: why, late: late,
		priority: priority, made: time.Now(),
		wake: make(chan struct{}, 1), stopping: make(chan struct{}), changed: make(chan struct{}),
		workers: map[int]*Worker{}, early: map[int]attached{},
	}
	p.children = newChildren(cfg.MaxChildren, p)
	return p, nil
}

// Engine names the engine in use and why it was chosen.
func (p *Pool) Engine() (kind, why string) { return p.kind, p.why }

// Config returns the pool's configuration.
func (p *Pool) Config() PoolConfig { return p.cfg }

// PHP returns the pool's PHP.
func (p *Pool) PHP() *PHP { return p.php }

// INI returns the value that a setting of php.ini has for the pool, if it is one of those that decide which script a request is
// for: cgi.fix_pathinfo, cgi.discard_path, doc_root, to which phpserve gives values of its own for php-cgi itself; or of those that
// are in the head of every answer: expose_php, default_charset.
func (p *Pool) INI(name string) string { return p.php.iniAfter(&p.cfg, name) }

// FinishToken is what a script's fastcgi_finish_request() sends on FCGI_STDERR to end the response.
func (p *Pool) FinishToken() string { return p.dir.token }

// Share has the pool keep a limit that other pools keep with it, and tell of workers that end by SIGSEGV or SIGBUS. It comes
// before Start.
func (p *Pool) Share(limit *ProcessLimit, crashed func()) { p.limit, p.crashed = limit, crashed }

// Start starts the first workers, with the engine, and waits until they can serve. A pool with pm = ondemand has none: the first request
// starts its engine. After an error the pool is stopped.
func (p *Pool) Start(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		p.Stop(ctx)
		return err
	}
	p.openStatus()
	p.wg.Go(p.run)
	want := p.limit.take(p.cfg.startServers())
	if granted, _ := p.children.take(p, want, 0, time.Time{}); granted < want {
		for range want - granted {
			p.limit.giveBack()
		}
		want = granted
	}
	p.mu.Lock()
	p.spawning += want
	p.mu.Unlock()
	for range want {
		p.wg.Go(p.startWorker)
	}
	for {
		p.mu.Lock()
		ready := p.count[StateIdle] + p.count[StateBusy]
		failed, err, changed := p.failures > 0, p.lastErr, p.changed
		p.mu.Unlock()
		if failed && !isUnheard(err) { // else the next one says why
			p.Stop(ctx)
			return err
		}
		if ready >= want {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.Stop(ctx)
			return fmt.Errorf("[pool %s] cannot start: %v", p.cfg.Name, context.Cause(ctx))
		}
	}
}

// Acquire is AcquireFor for a client that is not known.
func (p *Pool) Acquire(ctx context.Context) (*Worker, error) { return p.AcquireFor(ctx, netip.Addr{}) }

// AcquireFor returns a free worker, waiting for one in the pool's queue if need be. The caller gives it back with
// Worker.Release. Errors: ErrQueueFull, ErrQueueTimeout, ErrPoolClosed, or the cause of ctx's end.
//
// While there are too few workers, clients get them in turn; none gets more than half of them while others wait, and where the queue
// is full, the one with most requests in it makes room. The zero address is a client that is not known, to which this does not apply.
func (p *Pool) AcquireFor(ctx context.Context, client netip.Addr) (*Worker, error) {
	for {
		w, err := p.acquire(ctx, client)
		if err != nil || w.silent() {
			return w, err
		}
	}
}

func (p *Pool) acquire(ctx context.Context, client netip.Addr) (*Worker, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrPoolClosed
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.water.note(n - 1)
		w.transition(StateBusy)
		w.serve(client)
		low := p.cfg.PM == PMDynamic && n-1 < p.cfg.MinSpareServers
		p.mu.Unlock()
		if low {
			p.poke()
		}
		return w, nil
	}
	if p.queue.n >= p.cfg.QueueSize {
		p.stats.QueueFull++
		out := p.queue.makeRoom(client)
		if out == nil {
			p.mu.Unlock()
			return nil, ErrQueueFull
		}
		out.refused = true
		out.ready <- nil
	}
	wt := &waiter{ready: make(chan *Worker, 1), client: client, since: time.Now()}
	p.queue.push(wt)
	p.stats.MaxWaiting = max(p.stats.MaxWaiting, p.queue.n)
	p.mu.Unlock()
	p.poke()
	return p.wait(ctx, wt)
}

// AcquireIdle is Acquire for what nobody waits for: it returns nil where no worker is idle.
func (p *Pool) AcquireIdle() *Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 || p.closed {
		return nil
	}
	w := p.idle[n-1]
	p.idle = p.idle[:n-1]
	w.idleSince = w.since
	most := p.stats.MaxActive // is about requests
	w.transition(StateBusy)
	p.stats.MaxActive = most
	return w
}

// WorkerScript is the script that runtime/worker.php is to workers. With the parameter PHPSERVE_OPCACHE it tells how much of opcache
// is used.
func (p *Pool) WorkerScript() string { return p.dir.workerScript() }

// wait waits for a worker that Release or a greeting hands to wt.
func (p *Pool) wait(ctx context.Context, wt *waiter) (*Worker, error) {
	deadline := time.NewTimer(p.cfg.QueueTimeout)
	defer deadline.Stop()
	var err error
	select {
	case w := <-wt.ready:
		if w == nil {
			return nil, wt.refusal()
		}
		return w, nil
	case <-deadline.C:
		err = ErrQueueTimeout
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	select {
	case w := <-wt.ready: // handed over at the same moment
		p.mu.Unlock()
		if w == nil {
			return nil, wt.refusal()
		}
		if err == ErrQueueTimeout {
			return w, nil
		}
		w.Release(Unused)
		return nil, err
	default:
	}
	p.queue.remove(wt)
	if err == ErrQueueTimeout {
		p.stats.QueueTimeouts++
	}
	p.mu.Unlock()
	p.poke() // it may want fewer workers now
	return nil, err
}

// poke has the run loop look at the pool.
func (p *Pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counters, with those of the pools that it speaks for.
func (p *Pool) Stats() Stats {
	s := p.ownStats()
	for _, v := range p.included() {
		more := v.ownStats()
		s.add(&more)
	}
	return s
}

func (p *Pool) ownStats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Idle, s.Busy, s.Starting = p.count[StateIdle], p.count[StateBusy], p.count[StateStarting]+p.spawning
	s.Total, s.Waiting = len(p.workers), p.queue.n
	return s
}

// WorkerInfo is a snapshot of one worker.
type WorkerInfo struct {
	PID      int
	State    State
	Started  time.Time // of the process
	Since    time.Time // of the state; for a busy worker the start of its request
	Requests int       // served before the current one
	Request  Request   // current or last
}

// Workers returns a snapshot of every worker.
func (p *Pool) Workers() []WorkerInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	infos := make([]WorkerInfo, 0, len(p.workers))
	for pid, w := range p.workers {
		infos = append(infos, WorkerInfo{pid, w.state, w.proc.started, w.since, w.requests, w.request})
	}
	return infos
}
