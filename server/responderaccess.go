package server

import (
	"net"
	"os"
	"strconv"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/server/accesslog"
)

// closeAccessLogs writes what is left of them.
func (s *Server) closeAccessLogs() {
	for _, p := range s.responders {
		p.close()
	}
	if err := s.access.Close(); err != nil {
		s.log.Error("cannot close the access log", "error", err)
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
	log := q.target.access.log()
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
	if log.NeedsCPU() && t.pid != 0 {
		user, system = cpuTime(t.pid)
	}
	r := &accesslog.FPMRecord{
		Memory: t.memory, UserCPU: max(0, user-t.user), SystemCPU: max(0, system-t.system),
		Start: t.began, End: now, Queue: t.began.Sub(t.queued),
		Method: q.method, URI: q.script.URI, Query: q.params.get("QUERY_STRING"), Script: q.script.Filename, ContentLength: length,
		Status: t.status, User: accesslog.BasicAuthUser(q.params.get("HTTP_AUTHORIZATION")), Pool: q.target.cfg.Pool,
		WorkerPID: t.pid, MasterPID: os.Getpid(), Peer: q.peer,
		Param: q.params.lookup,
		Header: func(name string) (string, bool) {
			values := t.head.Header.Values(name)
			if len(values) == 0 {
				return "", false
			}
			return values[0], true
		},
	}
	log.Write(r)
}

// peerOf is the address of a web server; empty for one on a unix socket.
func peerOf(nc net.Conn) string {
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	return ""
}
