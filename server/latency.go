package server

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A latency histogram has latencySteps buckets for each doubling of the time, in microseconds: a bucket's bounds are 12 % apart.
const (
	latencyBits    = 3
	latencySteps   = 1 << latencyBits
	latencyBuckets = 32 * latencySteps // up to some 70 minutes
)

// latency counts requests by how long they took, for percentiles of any stretch of time.
type latency struct{ counts [latencyBuckets]atomic.Uint64 }

// latencyCounts are the counts of one moment or, as the difference of two, of the time between.
type latencyCounts [latencyBuckets]uint64

func latencyBucket(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < latencySteps {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - latencyBits
	return min((shift+1)<<latencyBits+int(us>>shift)-latencySteps, latencyBuckets-1)
}

// latencyOf is the middle of a bucket.
func latencyOf(bucket int) time.Duration {
	if bucket < latencySteps {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket>>latencyBits - 1
	low := (latencySteps + bucket&(latencySteps-1)) << shift
	return time.Duration(low+1<<shift/2) * time.Microsecond
}

func (l *latency) add(d time.Duration) { l.counts[latencyBucket(d)].Add(1) }

func (l *latency) now() *latencyCounts {
	var c latencyCounts
	for i := range c {
		c[i] = l.counts[i].Load()
	}
	return &c
}

// since is what came behind before.
func (c *latencyCounts) since(before *latencyCounts) *latencyCounts {
	d := *c
	for i := range d {
		d[i] -= before[i]
	}
	return &d
}

func (c *latencyCounts) total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// quantile is the time that a share q of the requests did not exceed; zero without requests.
func (c *latencyCounts) quantile(q float64) time.Duration {
	n := c.total()
	rank := uint64(q * float64(n))
	for i, k := range c {
		if k > 0 && rank < k {
			return latencyOf(i)
		}
		rank -= min(k, rank)
	}
	if n == 0 {
		return 0
	}
	return latencyOf(latencyBuckets - 1)
}
