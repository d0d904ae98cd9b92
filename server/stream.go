package server

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/spool"
)

// stream sends a response that PHP is still writing.
func (y *relay) stream() error {
	out := y.s.spools.NewResponse(y.x.key, int64(freeOf(y.r.ProtoMajor)))
	y.writeHead(-1)
	first, taken := y.raw[y.bodyAt:], y.rawTaken
	y.raw, y.rawTaken = nil, 0 // the goroutine's from now on
	x := y.x
	y.s.tails.Go(func() {
		_, err := out.Write(first)
		first = nil
		y.s.spools.Memory.Give(x.key, taken)
		y.tail(out, err)
	})
	over, err := y.copySpool(out)
	if over {
		y.abort.disarm() // before the context ends: the script goes on
		out.Enough()
	}
	out.Leave()
	x.phpTime = time.Since(y.started)
	return y.sentAll(err)
}

// deliverSpooled sends a response that is complete, but has no room in memory, by way of the spool's file. Where that has no room
// either, the worker waits until there is some: this is how a client that does not read comes to wait itself.
func (y *relay) deliverSpooled() error {
	out := y.s.spools.NewResponse(y.x.key, int64(freeOf(y.r.ProtoMajor)))
	body := y.raw[y.bodyAt:]
	y.raw = nil // the goroutine's from now on
	y.settle()
	y.writeHead(y.lengthOf(body))
	y.s.tails.Go(func() {
		_, err := out.Write(body)
		body = nil
		out.End(err)
		y.tail(nil, nil)
	})
	_, err := y.copySpool(out)
	out.Leave()
	return y.sentAll(err)
}

// sentAll is the end of a response whose head is out.
func (y *relay) sentAll(err error) error {
	if err != nil {
		y.x.err = err
		// Part of the response is out: the only honest end is to break the connection off.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// copySpool writes what arrives in the spool to the client, each piece at once. Each has timeouts.write, but not the
// pauses of the script between them. Once as much as the script announced is out, the response is over: the client's next
// request does not wait for the script.
func (y *relay) copySpool(out *spool.Response) (over bool, err error) {
	x, control := y.x, http.NewResponseController(y.x.ResponseWriter)
	for left := y.announced(); left != 0; {
		p, err := out.Next()
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if left > 0 {
			if int64(len(p)) > left {
				p = p[:left]
				y.tooMuch()
			}
			left -= int64(len(p))
		}
		x.conn.Hold()
		_, err = x.Write(p)
		if err == nil {
			err = control.Flush()
		}
		if released := x.conn.Release(); err != nil || released != nil {
			return false, errClientGone
		}
		x.pauseWrite()
	}
	return true, nil
}

// tail drains the worker to the end of its request, into the spool if there is one, unless err says that this has failed already, and
// gives it back.
func (y *relay) tail(out *spool.Response, err error) {
	sink := func(p []byte) error {
		if out == nil {
			return nil
		}
		_, err := out.Write(p)
		return err
	}
	for err == nil && !y.ended {
		was := y.finished
		err = y.step(sink)
		if y.finished && !was {
			y.detach()
			if out != nil {
				out.End(nil)
			}
		}
	}
	if errors.Is(err, spool.ErrReaderGone) {
		err = errClientGone
	}
	if err != nil {
		if out != nil {
			out.End(err)
		}
		if err := y.fail(err); !y.finished || !errors.Is(err, errClientGone) {
			y.s.log.Warn("request broke off", "pool", y.x.pool, "pid", y.x.pid, "script", y.x.script, "request_id", y.x.id, "error", err)
		}
		return
	}
	if out != nil {
		out.End(nil)
	}
	y.release(manager.Done)
}

// detach lets a script go on after its response: the client does not end it any more, nor does request_terminate_timeout unless
// request_terminate_timeout_track_finished has it hold on.
func (y *relay) detach() {
	y.abort.disarm()
	if y.timer != nil && !y.trackFinished {
		y.timer.Stop()
	}
}
