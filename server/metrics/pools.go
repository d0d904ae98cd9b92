package metrics

import (
	"context"

	"github.com/phpserve/phpserve/manager"
	"github.com/prometheus/client_golang/prometheus"
)

// poolCollector tells what the pools know by themselves, read when somebody asks.
type poolCollector struct {
	s        Source
	opcaches *Opcaches

	fpm map[string]*prometheus.Desc // php-fpm's, by name

	up, workers, queue, rejected, starts, exits, spool *prometheus.Desc

	opcacheMemory, opcacheStrings, opcacheScripts, opcacheHits, opcacheMisses, opcacheRestarts *prometheus.Desc
}

// php-fpm puts the pool's name into this help text, which several pools in one answer rule out.
const fpmUpHelp = "Could the pool be reached?"

func newPoolCollector(s Source, opcaches *Opcaches) *poolCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	c := &poolCollector{
		s: s, opcaches: opcaches, fpm: map[string]*prometheus.Desc{},
		up:       desc("phpfpm_up", fpmUpHelp, "pool"),
		workers:  desc("phpserve_workers", "Workers by what they do.", "pool", "state"),
		queue:    desc("phpserve_queue_requests", "Requests that wait for a worker.", "pool"),
		rejected: desc("phpserve_requests_rejected_total", "Requests that got no worker.", "pool", "reason"),
		starts:   desc("phpserve_worker_starts_total", "Workers that were started.", "pool"),
		exits:    desc("phpserve_worker_exits_total", "Workers that ended, by why.", "pool", "reason"),
		spool:    desc("phpserve_spool_request_bytes", "Bytes that request bodies take on disk, of spool.bodies."),

		opcacheMemory:   desc("phpserve_opcache_memory_bytes", "Opcache's memory by its use.", "pool", "state"),
		opcacheStrings:  desc("phpserve_opcache_interned_strings_bytes", "Opcache's buffer for interned strings by its use.", "pool", "state"),
		opcacheScripts:  desc("phpserve_opcache_scripts", "Scripts in opcache.", "pool"),
		opcacheHits:     desc("phpserve_opcache_hits_total", "Scripts that opcache had.", "pool"),
		opcacheMisses:   desc("phpserve_opcache_misses_total", "Scripts that opcache did not have.", "pool"),
		opcacheRestarts: desc("phpserve_opcache_restarts_total", "Times that opcache was emptied, by why.", "pool", "reason"),
	}
	every := manager.Status{PHP: "99.0"} // newer versions of php-fpm have more of them
	for _, m := range every.Metrics() {
		c.fpm[m.Name] = desc(m.Name, m.Help, "pool")
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *poolCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.fpm {
		to <- d
	}
	for _, d := range []*prometheus.Desc{
		c.up, c.workers, c.queue, c.rejected, c.starts, c.exits, c.spool,
		c.opcacheMemory, c.opcacheStrings, c.opcacheScripts, c.opcacheHits, c.opcacheMisses, c.opcacheRestarts,
	} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *poolCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	pools := c.s.Pools()
	ctx, cancel := context.WithTimeout(context.Background(), opcacheRound)
	defer cancel()
	c.opcaches.Renew(ctx, pools, OpcacheFresh)
	for _, p := range pools {
		name, status, stats := p.Config().Name, p.Status(false), p.Stats()
		up := 0.0
		if p.Ready() {
			up = 1
		}
		gauge(c.up, up, name)
		for _, m := range status.Metrics() {
			kind := prometheus.GaugeValue
			if m.Counter {
				kind = prometheus.CounterValue
			}
			to <- prometheus.MustNewConstMetric(c.fpm[m.Name], kind, m.Value, name)
		}
		gauge(c.workers, float64(stats.Idle), name, "idle")
		gauge(c.workers, float64(stats.Busy), name, "busy")
		gauge(c.workers, float64(stats.Starting), name, "starting")
		gauge(c.queue, float64(stats.Waiting), name)
		counter(c.rejected, stats.QueueFull, name, "queue_full")
		counter(c.rejected, stats.QueueTimeouts, name, "queue_timeout")
		counter(c.starts, stats.Started, name)
		for reason := range manager.EndReasons {
			counter(c.exits, stats.EndedBy[reason], name, reason.String())
		}
		o := c.opcaches.Last(name)
		if o.Asked.IsZero() || o.Problem != "" {
			continue
		}
		gauge(c.opcacheMemory, float64(o.Used), name, "used")
		gauge(c.opcacheMemory, float64(o.Free), name, "free")
		gauge(c.opcacheMemory, float64(o.Wasted), name, "wasted")
		gauge(c.opcacheStrings, float64(o.StringsUsed), name, "used")
		gauge(c.opcacheStrings, float64(o.StringsSize-min(o.StringsUsed, o.StringsSize)), name, "free")
		gauge(c.opcacheScripts, float64(o.Scripts), name)
		counter(c.opcacheHits, o.Hits, name)
		counter(c.opcacheMisses, o.Misses, name)
		counter(c.opcacheRestarts, o.OOMResets, name, "memory")
		counter(c.opcacheRestarts, o.HashResets, name, "keys")
		counter(c.opcacheRestarts, o.Resets, name, "manual")
	}
	gauge(c.spool, float64(c.s.SpooledBodies()))
}
