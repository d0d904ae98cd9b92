package manager

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager/phpstack"
	"github.com/phpserve/phpserve/safefile"
)

// slowKept is how many slow requests a pool remembers, for those who come later to look.
const slowKept = 20

// SlowNotice ends what the log says of a slow request, of which [Pool.SlowRequests] tells more.
const SlowNotice = " sec), logging"

// slowLog is a pool's slowlog.
type slowLog struct {
	mu   sync.Mutex
	path string // empty: none
	log  *slog.Logger
	out  *linelog.Writer // nil: nothing is written
	kept []phpstack.Slow // the newest last
}

// reopen opens the file anew, which logrotate may have renamed. When that fails, the old one stays.
func (l *slowLog) reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := safefile.OpenAppend(l.path, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open slowlog: %w", err)
	}
	l.mu.Lock()
	out := l.out
	if out == nil {
		l.out = linelog.New(f, linelog.Config{
			Failed: func(err error) {
				l.log.Error("cannot write the slow log, what is to be in it waits", "file", l.path, "error", err)
			},
			Lost: func(n uint64) []byte {
				l.log.Warn("slow requests are missing in the slow log", "file", l.path, "requests", n)
				return nil
			},
		})
	}
	l.mu.Unlock()
	if out != nil {
		out.Replace(f)
	}
	return nil
}

func (l *slowLog) close() {
	l.mu.Lock()
	out := l.out
	l.out = nil
	l.mu.Unlock()
	if out != nil {
		if err := out.Close(); err != nil {
			l.log.Warn("cannot close the slow log", "file", l.path, "error", err)
		}
	}
}

// add remembers a slow request and writes it.
func (l *slowLog) add(s phpstack.Slow, report bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) == slowKept {
		l.kept = slices.Delete(l.kept, 0, 1)
	}
	l.kept = append(l.kept, s)
	if l.out == nil {
		return nil
	}
	var block strings.Builder // in one write
	write := phpstack.WriteSlowLog
	if report {
		write = phpstack.WriteReport
	}
	if err := write(&block, s); err != nil {
		return err
	}
	_, err := l.out.Write([]byte(block.String())) // it never fails
	return err
}

// ReopenSlowlog opens the pool's slowlog anew, for logrotate.
func (p *Pool) ReopenSlowlog() error {
	if err := p.slowlog.reopen(); err != nil {
		return fmt.Errorf("[pool %s] %w", p.cfg.Name, err)
	}
	return nil
}

// SlowRequests returns the last requests that ran longer than request_slowlog_timeout, the newest last, with those of the pools that
// it speaks for.
func (p *Pool) SlowRequests() []phpstack.Slow {
	all := p.slowlog.last()
	for _, v := range p.included() {
		all = append(all, v.slowlog.last()...)
	}
	slices.SortStableFunc(all, func(a, b phpstack.Slow) int { return a.Time.Compare(b.Time) })
	return all
}

func (l *slowLog) last() []phpstack.Slow {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}

// watchSlow has the request that begins be traced when it runs too long.
func (w *Worker) watchSlow() {
	timeout := w.pool.cfg.RequestSlowlogTimeout
	if timeout == 0 {
		return
	}
	if w.slowTimer == nil {
		w.slowTimer = time.AfterFunc(timeout, w.slow)
	} else {
		w.slowTimer.Reset(timeout)
	}
}

// slow is what the timer does.
func (w *Worker) slow() {
	p := w.pool
	p.mu.Lock()
	running := time.Since(w.account.begun)
	// The timer may have fired for the request before this one. A script behind its response is no request any more, as in php-fpm.
	if w.state != StateBusy || w.account.begun.IsZero() || w.account.finished || running < p.cfg.RequestSlowlogTimeout {
		p.mu.Unlock()
		return
	}
	request := w.request
	p.wg.Add(1) // that of the worker's watch holds it above zero
	p.mu.Unlock()
	defer p.wg.Done()
	p.slowRequests.Add(1)
	// php-fpm's words (fpm_request.c:fpm_request_check_timed_out)
	p.log.Warn(fmt.Sprintf("child %d, script '%s' (request: \"%s %s\") executing too slow (%f"+SlowNotice, //nolint:sloglint // as above
		w.proc.pid, PrintableName(request.Script), request.Method, request.Target(), running.Seconds()))
	s := phpstack.Slow{
		Time: time.Now(), Pool: p.cfg.Name, Depth: p.cfg.RequestSlowlogTraceDepth, Running: running, Method: request.Method,
		URI: request.URI, Client: request.Client, RequestID: request.ID,
	}
	reader, err := p.tracer.open(p)
	if err == nil {
		s.Stack, err = reader.Trace(w.proc.pid, phpstack.Options{Args: p.cfg.SlowlogArgs})
	}
	if s.Err = err; err != nil {
		s.Stack.PID = w.proc.pid
		p.log.Error("cannot trace a slow request", "error", err, "pid", w.proc.pid, "script", request.Script)
	}
	if err := p.slowlog.add(s, p.cfg.SlowlogReport); err != nil {
		p.log.Error("cannot write the slow log", "file", p.cfg.Slowlog, "error", err)
	}
}

// PrintableName is a script's name as php-fpm puts it into its error log.
func PrintableName(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c < ' ' || c > '\x7f' {
			b[i] = '.'
		}
	}
	return string(b)
}
