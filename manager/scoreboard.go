package manager

import (
	"cmp"
	"slices"
	"time"
)

// Status is what a pool and its workers do at one moment: php-fpm's scoreboard (sapi/fpm/fpm/fpm_scoreboard.h).
type Status struct {
	// Pool is the pool's name and PM its process manager.
	Pool, PM string
	// PHP is the version of the pool's PHP.
	PHP string
	// Start is when the pool was made; a reload that replaces it begins anew.
	Start time.Time
	// Taken is when this snapshot was.
	Taken time.Time
	// Accepted counts the requests that came to the pool, those for its status among them.
	Accepted uint64
	// ListenQueue is how many requests wait for a worker, MaxListenQueue the most that ever did, and ListenQueueLen how many may:
	// the server fills it.
	ListenQueue, MaxListenQueue, ListenQueueLen int
	// Idle and Active are the workers that wait and that run a request; MaxActive is the most that ever did.
	Idle, Active, MaxActive int
	// MaxChildrenReached counts how often requests had to wait because there were pm.max_children workers. Always 0 with static.
	MaxChildrenReached uint64
	// SlowRequests counts those that ran longer than request_slowlog_timeout.
	SlowRequests uint64
	// MemoryPeak is the largest peak of a request so far, in bytes; zero where it is not measured.
	MemoryPeak uint64
	// Processes are the workers, in the order of their start.
	Processes []ProcessStatus
}

// ProcessStatus is what one worker does.
type ProcessStatus struct {
	PID   int
	State string // in php-fpm's words (fpm_request.c:fpm_request_get_stage_name)
	Start time.Time
	// Requests counts those that it was given, the one that runs among them.
	Requests uint64
	// Duration is how long the request runs or, of an idle worker, how long its last one did.
	Duration time.Duration
	// Request is the one that runs or, of an idle worker, the last.
	Request Request
	// CPU is the processor time that the last request used, in percent of its duration, and Memory its peak in bytes. Both are
	// zero unless the worker is idle, and where they are not measured, see [PoolConfig.Observe].
	CPU    float64
	Memory uint64
	// Usage is what the process takes now; zero before [Status.Measure].
	Usage Usage
}

// Working says whether a request runs, or what a script does behind its response.
func (w *ProcessStatus) Working() bool {
	return w.State == statusReading || w.State == statusRunning || w.State == statusFinishing
}

// The states of a worker in php-fpm's words.
const (
	statusCreating  = "Creating"
	statusIdle      = "Idle"
	statusReading   = "Reading headers"
	statusRunning   = "Running"
	statusFinishing = "Finishing"
)

// accounting is what is known of a worker's request that runs, and of its last one.
type accounting struct {
	begun     time.Time
	finished  bool          // the response is out, the script goes on
	cpuBefore time.Duration // of the process, when the request began
	duration  time.Duration // of the last request
	cpu       time.Duration // of the last request
	memory    uint64        // peak of the current request once it is known, else of the last
	last      Request
}

// begin notes the start of a request.
func (a *accounting) begin(cpu time.Duration) {
	*a = accounting{begun: time.Now(), cpuBefore: cpu, last: a.last}
}

// end notes the end of a request, if there was one.
func (a *accounting) end(r Request, cpu time.Duration) {
	if a.begun.IsZero() {
		return
	}
	a.duration, a.begun, a.finished, a.last = time.Since(a.begun), time.Time{}, false, r
	a.cpu = max(0, cpu-a.cpuBefore)
}

// Accept counts a request that came to the pool.
func (p *Pool) Accept() { p.accepted.Add(1) }

// Status returns what the pool and its workers do, and the pools that it speaks for. Without processes it is cheaper.
func (p *Pool) Status(processes bool) Status {
	s := p.ownStatus(processes)
	for _, v := range p.included() {
		more := v.ownStatus(processes)
		s.add(&more)
	}
	slices.SortFunc(s.Processes, func(a, b ProcessStatus) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.PID, b.PID))
	})
	return s
}

func (p *Pool) ownStatus(processes bool) Status {
	s := Status{
		Pool: p.cfg.Name, PM: p.cfg.PM, PHP: p.php.Version, Start: p.made, Taken: time.Now(), Accepted: p.accepted.Load(), SlowRequests: p.slowRequests.Load(),
		ListenQueueLen: p.cfg.QueueSize,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.ListenQueue, s.MaxListenQueue = p.queue.n, p.stats.MaxWaiting
	s.Idle, s.Active, s.MaxActive = p.count[StateIdle], p.active(), p.stats.MaxActive
	s.MaxChildrenReached, s.MemoryPeak = p.stats.MaxChildrenReached, p.memoryPeak
	if !processes {
		return s
	}
	for _, w := range p.workers {
		if w.state <= StateDetached {
			s.Processes = append(s.Processes, w.status(s.Taken))
		}
	}
	return s
}

// active counts the workers that run a request. p.mu must be held.
func (p *Pool) active() int { return p.count[StateBusy] + p.count[StateDetached] }

// status describes a worker. Pool.mu must be held.
func (w *Worker) status(now time.Time) ProcessStatus {
	s := ProcessStatus{
		PID: w.proc.pid, State: statusRunning, Start: w.proc.started, Requests: uint64(w.requests), Request: w.request,
	}
	switch {
	case w.state == StateStarting:
		s.State = statusCreating
	case w.state == StateIdle:
		s.State, s.Duration, s.Memory, s.Request = statusIdle, w.account.duration, w.account.memory, w.account.last
		if s.Duration > 0 {
			s.CPU = 100 * float64(w.account.cpu) / float64(s.Duration)
		}
	case w.account.begun.IsZero():
		s.State = statusReading
	default:
		s.Duration = now.Sub(w.account.begun)
		if w.account.finished {
			s.State = statusFinishing
		}
	}
	if w.state == StateBusy {
		s.Requests++
	}
	return s
}

// Finishing notes that the response of the worker's request is out and that the script goes on: fastcgi_finish_request().
func (w *Worker) Finishing() {
	w.pool.mu.Lock()
	w.account.finished = true
	w.pool.mu.Unlock()
}

// Peak notes the peak of the memory that the worker's request used, in bytes.
func (w *Worker) Peak(bytes uint64) {
	w.pool.mu.Lock()
	w.account.memory = bytes
	w.pool.memoryPeak = max(w.pool.memoryPeak, bytes)
	w.pool.mu.Unlock()
}
