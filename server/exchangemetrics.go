package server

import "time"

// count notes that a site has a request.
func (x *exchange) count() {
	if x.metrics = x.php.metrics; x.metrics != nil {
		x.metrics.HTTP().InFlight.Inc()
	}
}

// observe records the end of a site's request.
func (x *exchange) observe() {
	if x.metrics == nil {
		return
	}
	r := x.metrics.HTTP()
	r.InFlight.Dec()
	if x.pool == "" {
		r = x.metrics.Static()
	}
	r.Bytes.Add(float64(x.bytes))
	c := r.Class(x.status)
	c.Duration.Observe(time.Since(x.start).Seconds())
	if x.pool == "" {
		return
	}
	x.metrics.Latency.Add(time.Since(x.start))
	c.Queue.Observe(x.queueTime.Seconds())
	if x.pid != 0 {
		c.PHP.Observe(x.phpTime.Seconds())
	}
}
