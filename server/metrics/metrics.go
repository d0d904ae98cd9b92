package metrics

import (
	"log"
	"net/http"
	"sync"

	"github.com/phpserve/phpserve/manager"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are what /metrics tells. There are none without an admin address: a nil one records nothing.
type Metrics struct {
	Registry *prometheus.Registry

	// Of requests, by pool, via and, but for the last two, the class of the status.
	duration, queue, php *prometheus.HistogramVec
	bytes                *prometheus.CounterVec
	inFlight             *prometheus.GaugeVec

	byPool sync.Map // *Pool by the pool's name

	handshakesDone, handshakesFailed  prometheus.Counter
	SpooledRequests, SpooledResponses prometheus.Counter
}

// metricBuckets are the bounds of the histograms, in seconds.
var metricBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// Source is what metrics are read from when somebody asks.
type Source interface {
	// Pools are the pools that run now.
	Pools() []*manager.Pool
	// SpooledBodies is how many bytes request bodies take on disk.
	SpooledBodies() int64
}

// New prepares the metrics of a server.
func New(s Source, opcaches *Opcaches, version string) *Metrics {
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: name, Help: help, Buckets: metricBuckets}, []string{"pool", "via", "code"})
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		duration: histogram("phpserve_request_duration_seconds", "Time from a request's head to the end of its response."),
		queue:    histogram("phpserve_request_queue_seconds", "Time that a request for PHP waited for a worker."),
		php:      histogram("phpserve_request_php_seconds", "Time that a worker took for a response."),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "phpserve_response_bytes_total", Help: "Bytes of response bodies sent.",
		}, []string{"pool", "via"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "phpserve_requests_in_flight", Help: "Requests whose response has not ended.",
		}, []string{"pool", "via"}),
	}
	handshakes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "phpserve_tls_handshakes_total", Help: "TLS handshakes by their result.",
	}, []string{"result"})
	spooled := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "phpserve_spooled_bytes_total", Help: "Bytes written to spool files because they did not fit into spool.memory.",
	}, []string{"of"})
	m.handshakesDone, m.handshakesFailed = handshakes.WithLabelValues("ok"), handshakes.WithLabelValues("error")
	m.SpooledRequests, m.SpooledResponses = spooled.WithLabelValues("request"), spooled.WithLabelValues("response")
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "phpserve_build_info", Help: "Always 1; the label is the version.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.Registry.MustRegister(m.duration, m.queue, m.php, m.bytes, m.inFlight, handshakes, spooled, build,
		newPoolCollector(s, opcaches), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers a scrape. OpenMetrics is not offered: it would add _total to the names of php-fpm's counters.
func (m *Metrics) Handler(errors *log.Logger) http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{ErrorLog: errors})
}

// Handshake counts a TLS handshake.
func (m *Metrics) Handshake(ok bool) {
	switch {
	case m == nil:
	case ok:
		m.handshakesDone.Inc()
	default:
		m.handshakesFailed.Inc()
	}
}
