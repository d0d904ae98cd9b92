package main

import (
	"math"
	"slices"
)

// spread is a median with the smallest and largest value it stands for.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Low and High are where the median of ever more rounds would be, with 95 % confidence, whatever the rounds are distributed like:
	// two of the values (order statistics, by the binomial distribution). With fewer than six values they are Min and Max, and say less.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// confidence is that of spread.Low and spread.High.
const confidence = 0.95

// spreadOf returns the spread of values; that of no values is zero.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	last := len(sorted) - 1
	skip := outside(len(sorted))
	return spread{Median: median, Min: sorted[0], Max: sorted[last], Low: sorted[skip], High: sorted[last-skip]}
}

// outside is how many of n sorted values, at each end, can be left out of an interval that holds the median with that confidence: as
// many as that fewer of n values than that lie on one side of the median with a probability of at most half of the rest.
func outside(n int) int {
	exactly := math.Pow(0.5, float64(n)) // the probability that no value is below the median
	for k, atMost := 0, 0.0; ; k++ {
		if atMost += exactly; atMost > (1-confidence)/2 {
			return max(0, k-1)
		}
		exactly *= float64(n-k) / float64(k+1)
	}
}

// ratios divides round by round: values measured close together in time share
// whatever else the machine was doing, values of different rounds do not.
func ratios(ours, peers []float64) []float64 {
	var quotients []float64
	for i := range min(len(ours), len(peers)) {
		if peers[i] != 0 {
			quotients = append(quotients, ours[i]/peers[i])
		}
	}
	return quotients
}
