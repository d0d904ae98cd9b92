package server

import (
	"github.com/phpserve/phpserve/manager"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what is counted for Prometheus. Without the admin listener there are none: every method of a nil one does nothing.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec // by pool and class
	queue    *prometheus.HistogramVec // by pool
	php      *prometheus.HistogramVec // by pool
	bytes    *prometheus.CounterVec   // by pool
	inFlight prometheus.Gauge
}

// Buckets for times: from what a hello takes to what nobody waits for.
var (
	requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	queueBuckets   = []float64{.0001, .001, .01, .1, .5, 1, 5, 10, 30}
)

// classes are the values of the label class: names of pools and these are all that labels can be.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

func newMetrics(s *Server) *metrics {
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: histogram("phpserve_request_duration_seconds",
			"Time from a request's head to the end of its response; requests without PHP have an empty pool.", requestBuckets, "pool", "class"),
		queue: histogram("phpserve_queue_duration_seconds", "Time that a request waited for a worker.", queueBuckets, "pool"),
		php:   histogram("phpserve_php_duration_seconds", "Time that PHP took for a request.", requestBuckets, "pool"),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "phpserve_response_bytes_total", Help: "Bytes of response bodies over HTTP.",
		}, []string{"pool"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "phpserve_requests_in_flight", Help: "Requests over HTTP that are being answered.",
		}),
	}
	m.registry.MustRegister(m.requests, m.queue, m.php, m.bytes, m.inFlight, &poolCollector{s: s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// begin counts a request over HTTP that begins.
func (m *metrics) begin() {
	if m != nil {
		m.inFlight.Inc()
	}
}

// end counts it when it is over.
func (m *metrics) end(x *exchange) {
	if m == nil {
		return
	}
	m.inFlight.Dec()
	m.bytes.WithLabelValues(x.pool).Add(float64(x.bytes))
	m.answered(x.pool, x.status, time.Since(x.start), x.queueTime, x.phpTime)
}

// answered counts a request of either protocol.
func (m *metrics) answered(pool string, status int, whole, queue, php time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(pool, class(status)).Observe(whole.Seconds())
	if pool == "" {
		return
	}
	m.queue.WithLabelValues(pool).Observe(queue.Seconds())
	m.php.WithLabelValues(pool).Observe(php.Seconds())
}

func class(status int) string {
	if n := status / 100; n > 0 && n < len(classes) {
		return classes[n]
	}
	return classes[0]
}

// poolCollector tells what the pools tell of themselves, when it is asked.
type poolCollector struct{ s *Server }

// Describe says nothing in advance: pools come and go.
func (*poolCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. The names that begin with phpfpm are php-fpm's own (fpm_status.c), for the boards that
// exist; php-fpm's have no label, for each pool has a page of its own.
func (c *poolCollector) Collect(out chan<- prometheus.Metric) {
	// pairs are names and values of labels.
	send := func(name, help string, kind prometheus.ValueType, value float64, pairs ...string) {
		var names, values []string
		for i := 0; i < len(pairs); i += 2 {
			names, values = append(names, pairs[i]), append(values, pairs[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	for _, p := range c.s.Pools() {
		status, stats := p.Status(false), p.Stats()
		pool := status.Pool
		send("phpfpm_up", "Whether the pool serves.", gauge, 1, "pool", pool)
		send("phpfpm_start_since", "The number of seconds since FPM has started.", counter, status.Taken.Sub(status.Start).Seconds(), "pool", pool)
		send("phpfpm_accepted_connections", "The number of requests accepted by the pool.", counter, float64(status.Accepted), "pool", pool)
		send("phpfpm_listen_queue", "The number of requests in the queue of pending connections.", gauge, float64(status.ListenQueue), "pool", pool)
		send("phpfpm_max_listen_queue", "The maximum number of requests in the queue of pending connections since FPM has started.",
			counter, float64(status.MaxListenQueue), "pool", pool)
		send("phpfpm_listen_queue_length", "The size of the socket queue of pending connections.", gauge, float64(status.ListenQueueLen), "pool", pool)
		send("phpfpm_idle_processes", "The number of idle processes.", gauge, float64(status.Idle), "pool", pool)
		send("phpfpm_active_processes", "The number of active processes.", gauge, float64(status.Active), "pool", pool)
		send("phpfpm_total_processes", "The number of idle + active processes.", gauge, float64(status.Idle+status.Active), "pool", pool)
		send("phpfpm_max_active_processes", "The maximum number of active processes since FPM has started.", counter, float64(status.MaxActive), "pool", pool)
		send("phpfpm_max_children_reached", "The number of times, the process limit has been reached, when pm tries to start more children "+
			"(works only for pm 'dynamic' and 'ondemand').", counter, float64(status.MaxChildrenReached), "pool", pool)
		send("phpfpm_slow_requests", "The number of requests that exceeded your 'request_slowlog_timeout' value.", counter,
			float64(status.SlowRequests), "pool", pool)
		for reason, n := range map[string]uint64{"queue_full": stats.QueueFull, "queue_timeout": stats.QueueTimeouts} {
			send("phpserve_rejected_total", "Requests that got no worker.", counter, float64(n), "pool", pool, "reason", reason)
		}
		for state, n := range map[string]int{"starting": stats.Starting, "idle": stats.Idle, "busy": status.Active} {
			send("phpserve_workers", "Workers by what they do.", gauge, float64(n), "pool", pool, "state", state)
		}
		send("phpserve_worker_starts_total", "Workers that were started.", counter, float64(stats.Started), "pool", pool)
		for reason, n := range stats.EndedBy {
			send("phpserve_worker_exits_total", "Workers that ended, by why.", counter, float64(n), "pool", pool, "reason", manager.EndReason(reason).String())
		}
	}
	send("phpserve_spooled_body_bytes", "Request bodies on disk.", gauge, float64(c.s.bodies.used.Load()))
}
