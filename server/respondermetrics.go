package server

import (
	"bytes"
	"time"
)

// count notes that a web server has a request.
func (q *responderRequest) count() {
	if m := q.target.php.metrics; m != nil {
		q.metrics, q.trace.arrived = m.FastCGI(), time.Now()
		q.metrics.InFlight.Inc()
	}
}

// observe records the end of a web server's response. The first call counts.
func (q *responderRequest) observe() {
	r, t := q.metrics, &q.trace
	if r == nil {
		return
	}
	q.metrics = nil
	r.InFlight.Dec()
	r.Bytes.Add(float64(max(0, t.sentBytes-t.headBytes)))
	now := time.Now()
	c := r.Class(t.status)
	c.Duration.Observe(now.Sub(t.arrived).Seconds())
	if t.queued.IsZero() {
		return // a page of phpserve's own, or no script
	}
	q.target.php.metrics.Latency.Add(now.Sub(t.arrived))
	if t.began.IsZero() {
		c.Queue.Observe(now.Sub(t.queued).Seconds())
		return
	}
	c.Queue.Observe(t.began.Sub(t.queued).Seconds())
	c.PHP.Observe(now.Sub(t.began).Seconds())
}

// statusOf is the status in the beginning of a response's head. PHP sends the field first, and only where it is not 200
// (cgi_main.c:sapi_cgi_send_headers).
func statusOf(head []byte) int {
	const ok, digits = 200, 3
	rest, found := bytes.CutPrefix(head, []byte("Status: "))
	if !found || len(rest) < digits {
		return ok
	}
	status := 0
	for _, d := range rest[:digits] {
		if d < '0' || d > '9' {
			return ok
		}
		status = 10*status + int(d-'0')
	}
	return status
}
