package server

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/safefile"
)

// FPMAccessConfig is the access log of a FastCGI address, as php-fpm has it.
type FPMAccessConfig struct {
	// File is access.log. Empty: none.
	File string
	// Format is access.format. Empty: that of php-fpm, `%R - %u %t "%m %r" %s`.
	Format string
	// SuppressPath is access.suppress_path[]: no line for a successful GET or HEAD of these, without query and body.
	SuppressPath []string
	// Limit is log_limit, the longest line in bytes. Zero: 1024.
	Limit int
}

// fpmAccessLog writes the access log of a FastCGI address.
type fpmAccessLog struct {
	cfg    FPMAccessConfig
	format *accessFormat
	out    *linelog.Writer
}

// openFPMAccessLog opens the log; nil if there is none.
func openFPMAccessLog(pool string, cfg FPMAccessConfig, log *slog.Logger) (*fpmAccessLog, error) {
	if cfg.File == "" {
		return nil, nil
	}
	if cfg.Format == "" {
		cfg.Format = defaultFPMAccessFormat
	}
	if cfg.Limit <= 0 {
		cfg.Limit = 1024
	}
	format, err := parseAccessFormat(cfg.Format)
	if err != nil {
		return nil, fmt.Errorf("[pool %s] %w", pool, err)
	}
	l := &fpmAccessLog{cfg: cfg, format: format}
	f, err := l.open()
	if err != nil {
		return nil, fmt.Errorf("[pool %s] %w", pool, err)
	}
	lines := linelog.Config{Limit: accessLimit}
	tellTrouble(&lines, log.With("pool", pool), cfg.File)
	l.out = linelog.New(f, lines)
	return l, nil
}

// openAccessLogs opens the logs of addresses for new configurations, in their order. One that does not change goes on; one that is
// replaced is closed by the garbage collector, when the last request has written its line.
func openAccessLogs(responders []*responder, cfgs []ResponderConfig, log *slog.Logger) (logs []*fpmAccessLog, err error) {
	for i, p := range responders {
		if t := p.target.Load(); t != nil && reflect.DeepEqual(t.cfg.Access, cfgs[i].Access) {
			logs = append(logs, t.access)
			continue
		}
		l, err := openFPMAccessLog(cfgs[i].Pool, cfgs[i].Access, log)
		if err != nil {
			return nil, err
		}
		logs = append(logs, l)
	}
	return logs, nil
}

func (l *fpmAccessLog) open() (*os.File, error) {
	f, err := safefile.OpenAppend(l.cfg.File, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open access.log: %w", err)
	}
	return f, nil
}

// reopen opens the file again, which logrotate may have renamed. When that fails, the old one stays.
func (l *fpmAccessLog) reopen() error {
	if l == nil {
		return nil
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	l.out.Replace(f)
	return nil
}

// close writes what is left and closes the file; lines that come later are lost.
func (l *fpmAccessLog) close() error {
	if l == nil {
		return nil
	}
	return l.out.Close()
}

// write adds the line of a request.
func (l *fpmAccessLog) write(r *fpmAccessRecord) {
	if suppressAccess(l.cfg.SuppressPath, r) {
		return
	}
	b := lineBuffers.Get().(*[]byte)
	defer lineBuffers.Put(b)
	*b = l.format.appendLine((*b)[:0], r, l.cfg.Limit)
	if len(*b) > 0 {
		_, _ = l.out.Write(*b) // it never fails
	}
}

// fpmTrace is what is learned of a request for its access line.
type fpmTrace struct {
	began  time.Time // when a worker had it
	queued time.Time // when it began to wait for one
	pid    int
	user   time.Duration // processor time of the worker before the request, if the format wants to know
	system time.Duration
	raw    []byte // of the response, until its head is complete
	head   fastcgi.Head
	done   bool  // head is complete, or hopeless
	status int   // of an answer without a script
	memory int64 // peak of the script, in bytes

	arrived              time.Time // of the request, if metrics are recorded
	sentBytes, headBytes int64     // of the response, and of its head alone
}

// see looks for the response's head.
func (t *fpmTrace) see(p []byte) {
	if t.done {
		return
	}
	t.raw = append(t.raw, p...)
	head, _, done, err := fastcgi.ParseHead(t.raw, headLimit)
	if t.done = done || err != nil; done {
		t.head, t.status = head, head.Status
	}
}

// logAccess writes the request's line.
func (q *responderRequest) logAccess() {
	log := q.target.access
	if _, asked := q.params.lookup("REQUEST_METHOD"); !asked || log == nil {
		return
	}
	t := &q.trace
	now := time.Now()
	if t.began.IsZero() {
		t.began = now
	}
	if t.queued.IsZero() {
		t.queued = t.began
	}
	length, _ := strconv.ParseInt(q.params.get("CONTENT_LENGTH"), 10, 64) // php-fpm takes what is no number for 0
	user, system := t.user, t.system
	if log.format.cpu && t.pid != 0 {
		user, system = cpuTime(t.pid)
	}
	r := &fpmAccessRecord{
		memory: t.memory, userCPU: max(0, user-t.user), systemCPU: max(0, system-t.system),
		start: t.began, end: now, queue: t.began.Sub(t.queued),
		method: q.method, uri: q.script.URI, query: q.params.get("QUERY_STRING"), script: q.script.Filename, contentLength: length,
		status: t.status, user: basicAuthUser(q.params.get("HTTP_AUTHORIZATION")), pool: q.target.cfg.Pool,
		workerPID: t.pid, masterPID: os.Getpid(), peer: q.peer,
		param: q.params.lookup,
		header: func(name string) (string, bool) {
			values := t.head.Header.Values(name)
			if len(values) == 0 {
				return "", false
			}
			return values[0], true
		},
	}
	log.write(r)
}

// peerOf is the address of a web server; empty for one on a unix socket.
func peerOf(nc net.Conn) string {
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	return ""
}
