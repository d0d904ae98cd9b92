package metrics

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLatencyBucketsAreInOrderAndClose(t *testing.T) {
	last := -1
	for us := int64(0); us < 4_000_000_000; us += 1 + us/50 {
		d := time.Duration(us) * time.Microsecond
		b := latencyBucket(d)
		if b < last || b >= latencyBuckets {
			t.Fatalf("%v is in bucket %d, behind %d", d, b, last)
		}
		last = b
		if got := latencyOf(b); got < d*93/100-time.Microsecond || got > d*107/100+time.Microsecond {
			t.Fatalf("%v is told as %v", d, got)
		}
	}
	if got := latencyBucket(1000 * time.Hour); got != latencyBuckets-1 {
		t.Errorf("1000 h are in bucket %d", got)
	}
}

func TestLatencyQuantiles(t *testing.T) {
	var l Latency
	l.Add(time.Hour) // from before
	before := l.Now()
	if got := l.Now().Since(before).Quantile(.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 5000 {
		d := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
		all = append(all, d)
		l.Add(d)
	}
	slices.Sort(all)
	got := l.Now().Since(before)
	if got.Total() != 5000 {
		t.Errorf("there are %d", got.Total())
	}
	for _, q := range []float64{.5, .95, .99} {
		want := all[int(q*5000)]
		if d := got.Quantile(q); d < want*92/100 || d > want*108/100 {
			t.Errorf("%v: %v, want %v", q, d, want)
		}
	}
}
