package main

import "slices"

// spread is a median with the smallest and largest value it stands for.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

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
	return spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
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
