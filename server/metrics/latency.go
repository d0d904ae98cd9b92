package metrics

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

// Latency counts requests by how long they took, for percentiles of any stretch of time.
type Latency struct{ counts [latencyBuckets]atomic.Uint64 }

// Counts are the counts of one moment or, as the difference of two, of the time between.
type Counts [latencyBuckets]uint64

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

// Add counts a request that took d.
func (l *Latency) Add(d time.Duration) { l.counts[latencyBucket(d)].Add(1) }

// Now is how many there have been up to now.
func (l *Latency) Now() *Counts {
	var c Counts
	for i := range c {
		c[i] = l.counts[i].Load()
	}
	return &c
}

// Since is what came behind before.
func (c *Counts) Since(before *Counts) *Counts {
	d := *c
	for i := range d {
		d[i] -= before[i]
	}
	return &d
}

// Total is the number of requests.
func (c *Counts) Total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Quantile is the time that a share q of the requests did not exceed; zero without requests.
func (c *Counts) Quantile(q float64) time.Duration {
	n := c.Total()
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
