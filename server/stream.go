package server

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/phpserve/phpserve/manager"
)

// stream sends a response that PHP is still writing.
func (y *relay) stream() error {
	spool := newResponseSpool(y.s.cfg)
	if y.s.metrics != nil {
		spool.spooled = y.s.metrics.spooledResponses
	}
	status := y.writeHead(-1)
	send := y.bodyAllowed(status)
	if rest := y.raw[y.bodyAt:]; send && len(rest) > 0 {
		if _, err := spool.Write(rest); err != nil {
			return y.fail(err)
		}
	}
	x := y.x
	y.s.tails.Go(func() { y.tail(spool) })
	err := copySpool(x, spool, send)
	spool.leave()
	x.phpTime = time.Since(y.started)
	if err != nil {
		x.err = err
		// Part of the response is out: the only honest end is to break the connection off.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// copySpool writes what arrives in the spool to the client, each piece at once. Each has timeouts.write, but not the
// pauses of the script between them.
func copySpool(x *exchange, spool *responseSpool, send bool) error {
	control := http.NewResponseController(x.ResponseWriter)
	left := announced(x.Header())
	for {
		p, err := spool.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !send:
			continue
		}
		tooLong := left >= 0 && int64(len(p)) > left
		if tooLong {
			p = p[:left]
		}
		left -= int64(len(p))
		x.conn.hold()
		_, err = x.Write(p)
		if err == nil {
			err = control.Flush()
		}
		if released := x.conn.release(); err != nil || released != nil {
			return errClientGone
		}
		x.pauseWrite()
		if tooLong {
			return nil // the script announced less than it sent: the rest is dropped, as nginx does
		}
	}
}

// announced is the Content-Length of a response head, -1 without one.
func announced(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1 // net/http sends it no more than we believe it
	}
	return n
}

// tail drains the worker to the end of its request, into the spool if there is one, and gives it back.
func (y *relay) tail(spool *responseSpool) {
	var spoolErr error
	sink := func(p []byte) error {
		if spool == nil {
			return nil
		}
		_, err := spool.Write(p)
		return err
	}
	for !y.ended {
		was := y.finished
		err := y.step(sink)
		if y.finished && !was {
			y.detach()
			if spool != nil {
				spool.end(nil)
			}
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errReaderGone) {
			err = errClientGone
		}
		if spool != nil {
			spool.end(err)
		}
		spoolErr = err
		break
	}
	if spoolErr != nil {
		if err := y.fail(spoolErr); !y.finished || !errors.Is(err, errClientGone) {
			y.s.log.Warn("request broke off", "pool", y.x.pool, "pid", y.x.pid, "script", y.x.script, "request_id", y.x.id, "error", err)
		}
		return
	}
	if spool != nil {
		spool.end(nil)
	}
	y.release(manager.Done)
}

// detach lets a script go on after its response: neither the client nor request_terminate_timeout ends it
// (request_terminate_timeout_track_finished of php-fpm is off).
func (y *relay) detach() {
	y.abort.disarm()
	if y.timer != nil {
		y.timer.Stop()
	}
}
