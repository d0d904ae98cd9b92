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
	deadline time.Time // by request_terminate_timeout; zero: none
	// trackFinished is request_terminate_timeout_track_finished.
	trackFinished bool
	body          *spool.Body // its own share
	log           func(messages []string)
}

// listen hears a script to its end, or until it has written output for a while, and gives the worker back. After
// fastcgi_finish_request() its output is nobody's, as with php-fpm, and does not end it.
func (d *deserted) listen() {
	var timer *time.Timer
	if !d.deadline.IsZero() {
		timer = time.AfterFunc(time.Until(d.deadline), func() {
			d.worker.Kill("request_terminate_timeout, behind a client that left")
		})
		defer timer.Stop()
	}
	outcome := manager.Done
	writes, finished := false, false
	for {
		rec, err := d.conn.Next()
		if err != nil {
			if outcome = manager.Broken; errors.Is(err, os.ErrDeadlineExceeded) {
				outcome = manager.Aborted
			}
			break
		}
		if rec.Type == fastcgi.TypeStderr && d.hear(rec.Content) && !finished {
			finished = true
			d.worker.Finishing()
			d.patience(time.Time{})
			if timer != nil && !d.trackFinished {
				timer.Stop()
			}
		}
		if rec.Type == fastcgi.TypeStdout && !writes && !finished {
			writes = true
			d.patience(time.Now().Add(desertedOutput))
		}
		if rec.Type == fastcgi.TypeEndRequest {
			d.patience(time.Time{})
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

// hear logs what the script says, and tells whether it has called fastcgi_finish_request().
func (d *deserted) hear(content []byte) (finish bool) {
	said, signals := d.messages.add(content, d.conn.Buffered())
	if signals.peak > 0 {
		d.worker.Peak(signals.peak)
	}
	d.log(said)
	return signals.finish
}

// patience is until when the script's next record is waited for; the zero time: for ever.
func (d *deserted) patience(until time.Time) {
	_ = d.conn.NetConn().SetReadDeadline(until) // an error is the connection's end, which Next tells
}
