package server

import "time"

// count notes that a site has a request.
func (x *exchange) count() {
	if x.metrics = x.php.metrics; x.metrics != nil {
		x.metrics.http().inFlight.Inc()
	}
}

// observe records the end of a site's request.
func (x *exchange) observe() {
	if x.metrics == nil {
		return
	}
	r := x.metrics.http()
	r.inFlight.Dec()
	if x.pool == "" {
		r = x.metrics.static()
	}
	r.bytes.Add(float64(x.bytes))
	c := r.class(x.status)
	c.duration.Observe(time.Since(x.start).Seconds())
	if x.pool == "" {
		return
	}
	x.metrics.latency.add(time.Since(x.start))
	c.queue.Observe(x.queueTime.Seconds())
	if x.pid != 0 {
		c.php.Observe(x.phpTime.Seconds())
	}
}
