package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label via.
const (
	ViaHTTP    = "http"    // a site's request that PHP was to answer
	ViaStatic  = "static"  // a site's request that was answered without PHP: files, redirects, errors
	ViaFastCGI = "fastcgi" // a web server's request
)

// StatusClasses are the values of the label code.
var StatusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}

// Pool are the metrics of the requests of one pool. What is not used has no series.
type Pool struct {
	// HTTP, Static and FastCGI are those with the values of via of the same names. The first call of each makes its series; all return
	// the same, and may be called at once.
	HTTP, Static, FastCGI func() *Requests
	// Latency counts the requests that PHP was to answer, by how long they took. Its zero value is ready.
	Latency Latency
}

// Requests are those of requests with the same pool and via, found once so that requests need not look for them.
type Requests struct {
	Bytes    prometheus.Counter
	InFlight prometheus.Gauge
	classes  [len(StatusClasses)]func() *Class
}

// Class are the metrics of requests that have pool, via and class of status in common. All are in seconds; Queue and PHP are nil where via
// is [ViaStatic], whose requests wait for no worker.
type Class struct{ Duration, Queue, PHP prometheus.Observer }

// Pool prepares the metrics of a pool.
func (m *Metrics) Pool(name string) *Pool {
	if m == nil {
		return nil
	}
	of := func(via string) func() *Requests {
		return sync.OnceValue(func() *Requests { return m.requests(name, via) })
	}
	pool := &Pool{HTTP: of(ViaHTTP), Static: of(ViaStatic), FastCGI: of(ViaFastCGI)}
	m.byPool.Store(name, pool)
	return pool
}

// LatencyOf finds the times of a pool's requests by the pool's name; nil if no pool of that name was prepared, or it was forgotten.
func (m *Metrics) LatencyOf(pool string) *Latency {
	found, ok := m.byPool.Load(pool)
	if !ok {
		return nil
	}
	return &found.(*Pool).Latency
}

func (m *Metrics) requests(pool, via string) *Requests {
	r := &Requests{Bytes: m.bytes.WithLabelValues(pool, via)}
	if via != ViaStatic { // which are not known to be before they are answered
		r.InFlight = m.inFlight.WithLabelValues(pool, via)
	}
	for i, class := range StatusClasses {
		r.classes[i] = sync.OnceValue(func() *Class {
			c := &Class{Duration: m.duration.WithLabelValues(pool, via, class)}
			if via != ViaStatic {
				c.Queue, c.PHP = m.queue.WithLabelValues(pool, via, class), m.php.WithLabelValues(pool, via, class)
			}
			return c
		})
	}
	return r
}

// Forget drops the series of a pool that is gone.
func (m *Metrics) Forget(pool string) {
	if m == nil {
		return
	}
	m.byPool.Delete(pool)
	of := prometheus.Labels{"pool": pool}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.duration, m.queue, m.php, m.bytes, m.inFlight} {
		v.DeletePartialMatch(of)
	}
}

// Class finds the metrics of a status.
func (r *Requests) Class(status int) *Class {
	return r.classes[min(max(status/100, 1), len(StatusClasses))-1]()
}
