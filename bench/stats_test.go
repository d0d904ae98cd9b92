package main

import (
	"slices"
	"testing"
)

func TestSpreadOf(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   spread
	}{
		{"nothing", nil, spread{}},
		{"one", []float64{3}, spread{3, 3, 3, 3, 3}},
		{"odd, unsorted", []float64{5, 1, 3}, spread{3, 1, 5, 1, 5}},
		// Of six, all are on one side of the median once in 32 times; of nine, at most one is on one side once in 25.6.
		{"six", []float64{1, 2, 3, 4, 5, 6}, spread{3.5, 1, 6, 1, 6}},
		{"nine", []float64{9, 8, 7, 6, 5, 4, 3, 2, 1}, spread{5, 1, 9, 2, 8}},
		{"even: middle of the two", []float64{4, 1, 2, 8}, spread{3, 1, 8, 1, 8}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.values)
			if got := spreadOf(test.values); got != test.want {
				t.Errorf("spreadOf(%v) = %v, want %v", test.values, got, test.want)
			}
			if !slices.Equal(test.values, before) {
				t.Errorf("spreadOf changed its argument to %v", test.values)
			}
		})
	}
}

func TestRatiosDividesRoundByRound(t *testing.T) {
	// The machine is twice as fast in round two: no ratio shows it.
	if got, want := ratios([]float64{11, 22, 30}, []float64{10, 20, 30}), []float64{1.1, 1.1, 1}; !slices.Equal(got, want) {
		t.Errorf("ratios = %v, want %v", got, want)
	}
	if got, want := ratios([]float64{1, 2}, []float64{0, 4}), []float64{0.5}; !slices.Equal(got, want) {
		t.Errorf("ratios with a zero = %v, want %v", got, want)
	}
}
