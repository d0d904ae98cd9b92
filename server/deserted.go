package server

import (
	"errors"
	"os"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/spool"
)

// desertedOutput is how long a script whose client has left may go on once it writes output. Most scripts are done then. Its next
// output fails, by which PHP learns that nobody is there and ends a script that does not want to go on (ignore_user_abort); what it
// says behind that is lost, because php-cgi has no other way for it.
const desertedOutput = time.Second

// deserted is a script whose client has left. What it says is still heard, so that the log has it.
type deserted struct {
	conn     *fastcgi.Conn
	worker   *manager.Worker
	messages messageBuffer
	deadline time.Time   // by request_terminate_timeout; zero: none
	body     *spool.Body // its own share
	log      func(messages []string)
}

// listen hears a script to its end, or until it has written output for a while, and gives the worker back.
func (d *deserted) listen() {
	if !d.deadline.IsZero() {
		defer time.AfterFunc(time.Until(d.deadline), func() {
			d.worker.Kill("request_terminate_timeout, behind a client that left")
		}).Stop()
	}
	outcome := manager.Done
	writes := false
	for {
		rec, err := d.conn.Next()
		if err != nil {
			if outcome = manager.Broken; errors.Is(err, os.ErrDeadlineExceeded) {
				outcome = manager.Aborted
			}
			break
		}
		if rec.Type == fastcgi.TypeStderr {
			said, signals := d.messages.add(rec.Content, d.conn.Buffered())
			if signals.peak > 0 {
				d.worker.Peak(signals.peak)
			}
			d.log(said)
		}
		if rec.Type == fastcgi.TypeStdout && !writes {
			writes = true
			_ = d.conn.NetConn().SetReadDeadline(time.Now().Add(desertedOutput)) // an error is its end, which Next tells
		}
		if rec.Type == fastcgi.TypeEndRequest {
			_ = d.conn.NetConn().SetReadDeadline(time.Time{}) // as above
			break
		}
	}
	d.log(d.messages.rest())
	if outcome == manager.Done && !d.conn.Reusable() {
		outcome = manager.Aborted
	}
	d.worker.Release(outcome)
	d.body.Close()
}
