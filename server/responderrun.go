package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/accesslog"
	"github.com/phpserve/phpserve/server/metrics"
	"github.com/phpserve/phpserve/server/peer"
	"github.com/phpserve/phpserve/server/spool"
)

// responderRequest is one request of a web server on its way through a worker.
type responderRequest struct {
	p      *responder
	target *responderTarget
	in     *fastcgi.Incoming
	peer   string // address of the web server; empty: on a unix socket
	params *fpmParams
	script fpmScript
	method string
	pool   *poolInUse
	worker *manager.Worker

	stopWatch func() // ends the watch for the web server's leaving
	release   func() // lets the connection go on
	released  bool   // the response has ended, the script has not

	begun     bool   // a byte of the response is out
	headDone  bool   // its head is
	tail      []byte // the last bytes of a head that is not done
	finishing bool   // the script called fastcgi_finish_request() before it said anything
	said      bool   // a message of PHP is out
	messages  messageBuffer
	timer     *time.Timer // request_terminate_timeout; nil: none
	timedOut  atomic.Bool
	errors    *errorHeader // nil: there is none
	trace     fpmTrace
	metrics   *metrics.Requests // nil: nothing is recorded, or all is
}

// run answers one request.
func (q *responderRequest) run(ctx context.Context) {
	params, err := decodeFPMParams(q.in.Params)
	if err != nil {
		q.target.log.Warn("connection closed: not FastCGI", "listen", q.target.cfg.Listen, "error", err)
		q.in.Break()
		return
	}
	q.params, q.method = params, params.get("REQUEST_METHOD")
	q.count()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = q.answer(ctx, cancel)
	if err != nil && !q.released && context.Cause(ctx) == errCutOff {
		err = errCutOff
		q.p.s.handlers.cut.Add(1)
	}
	defer q.logAccess()
	defer q.observe()
	if q.released {
		if err != nil {
			q.target.log.Warn("script broke off behind its response", "script", q.script.Filename, "error", err)
		}
		return
	}
	if err != nil {
		err = q.fail(err)
	}
	if err == nil {
		_ = q.in.End(0, 0) // an error is the web server's leaving
	}
}

// answer finds the script and has a worker run it. A request whose worker died before it said anything is repeated as runPHP
// does.
func (q *responderRequest) answer(ctx context.Context, cancel context.CancelFunc) error {
	if _, ok := q.params.lookup("REQUEST_METHOD"); !ok {
		return nil // php-fpm's answer is empty, too (fpm_main.c:main)
	}
	script, refusal := q.target.script.resolve(q.params)
	q.script = script
	if !q.target.cfg.Status.Only {
		q.target.php.use.Load().Accept()
	}
	if answered, err := q.answerStatus(); answered {
		return err
	}
	if q.target.cfg.Status.Only {
		refusal = &fpmRefusal{Status: 404, StatusText: "Not Found", Body: "File not found.\n", Stderr: "Primary script unknown"}
	}
	if refusal != nil {
		return q.refused(refusal)
	}
	body, err := q.spool()
	if err != nil {
		return err
	}
	defer body.Close()
	q.stopWatch = sync.OnceFunc(q.in.OnAbort(cancel))
	defer q.stopWatch()
	params := q.params.appendTo(nil)
	for repeated := false; ; {
		q.trace.queued = time.Now()
		worker, pool, err := q.target.php.acquireWith(ctx, q.client(), q.params.get("PHP_VALUE"), q.params.get("PHP_ADMIN_VALUE"))
		if err != nil {
			if errors.Is(err, context.Canceled) {
				err = whyOver(ctx)
			}
			return err
		}
		q.pool, q.messages.token = pool, pool.token
		err = q.relay(ctx, worker, body, params)
		pool.done()
		we, again := mayRepeat(err, q.begun, repeated, q.method)
		if !again {
			return err
		}
		repeated = repeated || !we.unsent
		q.target.log.Warn("worker lost, request repeated on another", "pid", worker.PID(), "script", q.script.Filename, "error", we)
	}
}

// refused answers as php-fpm does where there is no script to run.
func (q *responderRequest) refused(r *fpmRefusal) error {
	if r.Log != "" {
		level := slog.LevelInfo
		if r.Error {
			level = slog.LevelError
		}
		q.target.log.Log(context.Background(), level, r.Log) //nolint:sloglint // php-fpm's words, with the path in them
	}
	if r.Unreadable {
		cfg := q.target.php.use.Load().Config()
		q.p.s.tellUnreadable(q.target.log, &cfg, q.script.Filename)
	}
	if r.Stderr != "" {
		if err := q.in.WriteStderr([]byte(r.Stderr)); err != nil {
			return errClientGone
		}
	}
	return q.plain(r.Status, r.StatusText, r.Body)
}

// plain answers with a text of our own.
func (q *responderRequest) plain(status int, reason, text string) error {
	head := fmt.Sprintf("Status: %d %s\r\nContent-type: text/html; charset=UTF-8\r\n\r\n", status, reason)
	q.begun, q.trace.status, q.trace.headBytes = true, status, int64(len(head))
	return q.send([]byte(head + text))
}

// fail answers with what went wrong, if nothing is out yet; else the connection is broken off, which web servers take for what
// it is. An error says that there is nobody to answer.
func (q *responderRequest) fail(err error) error {
	v := judge(err)
	if err != errCutOff || !q.begun || q.trace.status == 0 { // else that which is out is what the web server got
		q.trace.status = v.status
	}
	if v.status != statusClientGone {
		q.target.log.Error("request failed", "status", v.status, "error", err, "method", q.method, "script", q.script.Filename)
	}
	if v.status == statusClientGone && q.in.Aborted() {
		return nil // it waits for an end (FastCGI 1.0 §5.4)
	}
	if q.begun || v.status == statusClientGone {
		q.in.Break()
		return errClientGone
	}
	return q.plain(v.status, http.StatusText(v.status), http.StatusText(v.status)+".\n")
}

// spool takes the request's whole body before a worker is taken.
func (q *responderRequest) spool() (*spool.Body, error) {
	length, unknown := q.bodyLength()
	b := spool.NewBody()
	if name := q.params.get("REQUEST_BODY_FILE"); name != "" {
		if unknown {
			length = 0
		}
		if err := q.target.script.openBody(b, name, length); err != nil {
			return nil, err
		}
		q.tellLength(b.Size, unknown || b.Size < length)
		return b, nil
	}
	in := io.LimitReader(q.in.Body(), max(length, 0)) // PHP reads no more than that
	if err := q.p.s.spools.Fill(b, webServerBody{in}, 0, q.client()); err != nil {
		b.Close()
		return nil, spool.BodyError(err)
	}
	q.tellLength(b.Size, unknown || b.Size < length)
	return b, nil
}

// webServerBody tells the failures of the web server from our own.
type webServerBody struct{ in io.Reader }

func (b webServerBody) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if err != nil && err != io.EOF {
		err = errClientGone
	}
	return n, err
}

// client is who asks the web server, as far as it says so.
func (q *responderRequest) client() netip.Addr {
	addr, err := netip.ParseAddr(q.params.get("REMOTE_ADDR"))
	if err != nil {
		return netip.Addr{} // a socket of the web server's, or nothing
	}
	return peer.Key(addr, q.p.s.trusted)
}

// bodyLength is how much of the body PHP is to get. unknown says that the web server did not know it when it sent the request, as
// with a chunked one: Apache then leaves CONTENT_LENGTH out, and Caddy says -1.
func (q *responderRequest) bodyLength() (length int64, unknown bool) {
	text := q.params.get("CONTENT_LENGTH")
	if text == "" && q.method != http.MethodGet && q.method != http.MethodHead || text == "-1" {
		return math.MaxInt64, true
	}
	length, _ = strconv.ParseInt(text, 10, 64) // php-cgi takes what is no number for 0
	return length, false
}

// tellLength has PHP read the whole of a body whose length was unknown, or less than the web server said: PHP would wait for the rest,
// for ever (as it does in php-fpm).
func (q *responderRequest) tellLength(size int64, wrong bool) {
	if wrong && size > 0 {
		q.params.set("CONTENT_LENGTH", strconv.FormatInt(size, 10))
	}
}

// relay runs the request on one worker and passes on what it says.
func (q *responderRequest) relay(ctx context.Context, worker *manager.Worker, body *spool.Body, params []byte) error {
	conn := worker.Conn().(*fastcgi.Conn)
	begun := q.described()
	terminate := q.pool.terminate
	if terminate > 0 {
		started := time.Now()
		begun.Deadline = started.Add(terminate)
		q.timer = time.AfterFunc(terminate, func() {
			q.timedOut.Store(true)
			// php-fpm's words (fpm_request.c:fpm_request_check_timed_out)
			q.target.log.Warn(fmt.Sprintf("child %d, script '%s' (request: \"%s %s\") execution timed out (%f sec), terminating", //nolint:sloglint // as above
				worker.PID(), manager.PrintableName(begun.Script), begun.Method, begun.Target(), time.Since(started).Seconds()))
			worker.Kill("request_terminate_timeout")
		})
	}
	q.worker, q.errors = worker, newErrorHeader(q.pool)
	worker.Begin(begun)
	q.trace.began, q.trace.pid = time.Now(), worker.PID()
	if q.target.access.log().NeedsCPU() {
		q.trace.user, q.trace.system = cpuTime(q.trace.pid)
	}
	var abort aborter
	abort.arm(ctx, conn)
	share := body.Share()
	err := conn.Send(&fastcgi.Request{Params: params, Body: body.Reader(), BodyLen: body.Size, KeepConn: true})
	sent := err == nil
	for ended := false; err == nil && !ended; {
		var rec fastcgi.Record
		if !q.released && !conn.Buffered() { // behind its response the connection is the next request's
			if err = q.in.Flush(); err != nil {
				err = errClientGone
				break
			}
		}
		if rec, err = conn.Next(); err == nil {
			ended, err = q.pass(rec, conn.Buffered(), &abort)
		}
	}
	if err != nil && !errors.Is(err, errClientGone) {
		err = failureOf(err, q.timedOut.Load(), &abort)
	}
	abort.disarm()
	if isOver(err) && sent {
		q.desert(conn, share, begun.Deadline)
		return err
	}
	q.logMessages(q.messages.rest())
	if q.timer != nil {
		q.timer.Stop()
	}
	switch {
	case err == nil && conn.Reusable():
		worker.Release(manager.Done)
	case err == nil || isOver(err):
		worker.Release(manager.Aborted)
	default:
		worker.Release(manager.Broken)
	}
	share.Close()
	explain(err, worker)
	return err
}

// described is the request for the scoreboard.
func (q *responderRequest) described() manager.Request {
	length, _ := strconv.ParseInt(q.params.get("CONTENT_LENGTH"), 10, 64) // php-fpm takes what is no number for 0
	return manager.Request{
		Method: q.method, URI: q.uri(), Script: q.script.Filename, Name: q.script.URI, Query: q.params.get("QUERY_STRING"),
		User: accesslog.BasicAuthUser(q.params.get("HTTP_AUTHORIZATION")), ContentLength: length, Client: q.params.get("REMOTE_ADDR"),
	}
}

// uri is the request as the web server names it, for logs.
func (q *responderRequest) uri() string {
	if uri := q.params.get("REQUEST_URI"); uri != "" {
		return uri
	}
	return q.script.URI
}

// pass hands one record on.
func (q *responderRequest) pass(rec fastcgi.Record, more bool, abort *aborter) (ended bool, err error) {
	if rec.Type != fastcgi.TypeStderr {
		if err := q.passMessages(q.messages.rest()); err != nil {
			return false, err
		}
	}
	switch rec.Type {
	case fastcgi.TypeEndRequest:
		return true, nil
	case fastcgi.TypeStderr:
		return false, q.passStderr(rec.Content, more, abort)
	case fastcgi.TypeStdout:
		if q.released {
			return false, nil
		}
		content := rec.Content
		if !q.headDone {
			var ready bool
			if content, ready = q.errors.head(content); !ready {
				return false, nil
			}
		}
		q.begun = true
		if q.target.access != nil {
			q.trace.see(content)
		} else if q.metrics != nil && q.trace.status == 0 {
			q.trace.status = statusOf(content)
		}
		if !q.headDone {
			p, done := q.awaitHead(content)
			q.trace.headBytes += int64(len(p))
			if q.finishing && done { // what comes with the head is dropped
				if err := q.send(p); err != nil {
					return false, err
				}
				return false, q.finish(abort)
			}
		}
		return false, q.send(content)
	}
	return false, nil
}

// send sends a part of the response to the web server.
func (q *responderRequest) send(p []byte) error {
	q.trace.sentBytes += int64(len(p))
	if err := q.in.WriteStdout(p); err != nil {
		return errClientGone
	}
	return nil
}

// finish ends the response while the script goes on: the connection is free for the web server's next request, and what that
// does is of no matter to the script.
func (q *responderRequest) finish(abort *aborter) error {
	q.begun = true
	if err := q.in.End(0, 0); err != nil {
		return errClientGone
	}
	q.worker.Finishing()
	q.stopWatch()
	abort.disarm()
	if q.timer != nil && !q.pool.trackFinished {
		q.timer.Stop()
	}
	q.observe()
	q.released = true
	q.release()
	return nil
}
