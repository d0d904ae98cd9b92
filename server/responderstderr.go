package server

import (
	"context"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/server/spool"
)

// passStderr hands PHP's messages on, and ends the response where the script said so.
func (q *responderRequest) passStderr(p []byte, more bool, abort *aborter) error {
	messages, signals := q.messages.add(p, more)
	if signals.peak > 0 {
		q.trace.memory = int64(signals.peak)
		q.worker.Peak(signals.peak)
	}
	if err := q.passMessages(messages); err != nil {
		return err
	}
	if !signals.finish || q.released {
		return nil
	}
	if err := q.passMessages(q.messages.rest()); err != nil {
		return err
	}
	if !q.headDone { // the response is empty, and PHP sends its head now
		q.finishing = true
		return nil
	}
	return q.finish(abort)
}

// passMessages logs messages and hands them on in php-fpm's form (fpm_main.c:sapi_cgi_log_fastcgi), all in one record: nginx has
// room for the heads of few before that of the response (fastcgi_buffer_size).
func (q *responderRequest) passMessages(messages []string) error {
	q.logMessages(messages)
	if q.released {
		return nil
	}
	var text []byte
	for _, m := range messages {
		q.errors.note(m)
		if q.said {
			text = append(text, "; "...)
		}
		q.said = true
		text = append(append(text, "PHP message: "...), m...)
	}
	if len(text) == 0 {
		return nil
	}
	if err := q.in.WriteStderr(text); err != nil {
		return errClientGone
	}
	return nil
}

// logMessages logs what the script says.
func (q *responderRequest) logMessages(messages []string) {
	for _, m := range messages {
		q.target.log.Log(context.Background(), phpLevel(m), "php message", "pid", q.worker.PID(), "script", q.script.Filename, "text", m)
	}
}

// desert leaves the script to itself, because the web server has left.
func (q *responderRequest) desert(conn *fastcgi.Conn, body *spool.Body, deadline time.Time) {
	if q.timer != nil {
		q.timer.Stop()
	}
	d := &deserted{
		conn: conn, worker: q.worker, messages: q.messages, deadline: deadline, trackFinished: q.pool.trackFinished, body: body, log: q.logMessages,
	}
	q.p.s.tails.Go(d.listen)
}
