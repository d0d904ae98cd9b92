package server

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label via.
const (
	viaHTTP    = "http"    // a site's request that PHP was to answer
	viaStatic  = "static"  // a site's request that was answered without PHP: files, redirects, errors
	viaFastCGI = "fastcgi" // a web server's request
)

// statusClasses are the values of the label code.
var statusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}

// poolMetrics are those of the requests of one pool. What is not used has no series.
type poolMetrics struct {
	http, static, fastcgi func() *requestMetrics
	latency               latency // of requests that PHP was to answer
}

// requestMetrics are those of requests with the same pool and via, found once so that requests need not look for them.
type requestMetrics struct {
	bytes    prometheus.Counter
	inFlight prometheus.Gauge
	classes  [len(statusClasses)]func() *classMetrics
}

// classMetrics are those with the same class of status, too.
type classMetrics struct{ duration, queue, php prometheus.Observer }

// pool prepares the metrics of a pool.
func (m *metrics) pool(name string) *poolMetrics {
	if m == nil {
		return nil
	}
	of := func(via string) func() *requestMetrics {
		return sync.OnceValue(func() *requestMetrics { return m.requests(name, via) })
	}
	pool := &poolMetrics{http: of(viaHTTP), static: of(viaStatic), fastcgi: of(viaFastCGI)}
	m.byPool.Store(name, pool)
	return pool
}

// latencyOf finds the times of a pool's requests.
func (m *metrics) latencyOf(pool string) *latency {
	found, ok := m.byPool.Load(pool)
	if !ok {
		return nil
	}
	return &found.(*poolMetrics).latency
}

func (m *metrics) requests(pool, via string) *requestMetrics {
	r := &requestMetrics{bytes: m.bytes.WithLabelValues(pool, via)}
	if via != viaStatic { // which are not known to be before they are answered
		r.inFlight = m.inFlight.WithLabelValues(pool, via)
	}
	for i, class := range statusClasses {
		r.classes[i] = sync.OnceValue(func() *classMetrics {
			c := &classMetrics{duration: m.duration.WithLabelValues(pool, via, class)}
			if via != viaStatic {
				c.queue, c.php = m.queue.WithLabelValues(pool, via, class), m.php.WithLabelValues(pool, via, class)
			}
			return c
		})
	}
	return r
}

// forget drops the series of a pool that is gone.
func (m *metrics) forget(pool string) {
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

// class finds the metrics of a status.
func (r *requestMetrics) class(status int) *classMetrics {
	return r.classes[min(max(status/100, 1), len(statusClasses))-1]()
}
