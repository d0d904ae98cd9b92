package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// sample is one side under one load once.
type sample struct {
	Requests          int64   `json:"requests"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	P50               float64 `json:"p50_us"`
	P99               float64 `json:"p99_us"`
	// FrontCPU and PHPCPU are microseconds of processor time per request.
	FrontCPU float64 `json:"front_cpu_us"`
	PHPCPU   float64 `json:"php_cpu_us"`
	// Strangers is the share of all processors that neither the side nor wrk
	// used: other programs, and a hypervisor's theft.
	Strangers float64 `json:"other_cpu_share"`
}

func (s sample) cpu() float64 { return s.FrontCPU + s.PHPCPU }

// cell is one script at one number of connections; Samples has a list with
// one sample per round for each side.
type cell struct {
	Script      string              `json:"script"`
	Connections int                 `json:"connections"`
	Samples     map[string][]sample `json:"samples"`
}

// result is everything measured.
type result struct {
	Versions map[string]string `json:"versions"`
	PHP      string            `json:"php"`
	CPUs     int               `json:"cpus"`
	CPULoops int               `json:"cpu_script_loops"`
	Workers  int               `json:"workers"`
	Rounds   int               `json:"rounds"`
	Duration float64           `json:"duration_seconds"`
	Sides    []string          `json:"sides"`
	Commands map[string]string `json:"commands"`
	Cells    []*cell           `json:"cells"`
	Memory   map[string]memory `json:"memory"`
	Verdicts []verdict         `json:"verdicts"`
}

// verdict compares requests/s of phpserve with those of one peer in one cell.
type verdict struct {
	Script      string `json:"script"`
	Connections int    `json:"connections"`
	Peer        string `json:"peer"`
	Ratio       spread `json:"requests_per_second_ratio"`
}

func newResult(o options, t tools, cpus, loops int, sides []*side) result {
	r := result{
		Versions: t.versions, CPUs: cpus, CPULoops: loops, Workers: o.workers, Rounds: o.rounds,
		Duration: o.duration.Seconds(), Sides: o.sides,
		Commands: make(map[string]string), Memory: make(map[string]memory),
	}
	for _, s := range sides {
		r.Commands[s.name] = s.servers[len(s.servers)-1].String()
	}
	return r
}

// add appends a sample to its cell.
func (r *result) add(scriptName string, connections int, sideName string, m sample) {
	for _, c := range r.Cells {
		if c.Script == scriptName && c.Connections == connections {
			c.Samples[sideName] = append(c.Samples[sideName], m)
			return
		}
	}
	r.Cells = append(r.Cells, &cell{
		Script: scriptName, Connections: connections,
		Samples: map[string][]sample{sideName: {m}},
	})
}

// column returns one number of each of a side's samples.
func (c *cell) column(sideName string, value func(sample) float64) []float64 {
	var values []float64
	for _, m := range c.Samples[sideName] {
		values = append(values, value(m))
	}
	return values
}

// ratio is phpserve's number through the peer's, over the rounds.
func (c *cell) ratio(peer string, value func(sample) float64) spread {
	return spreadOf(ratios(c.column(sidePhpserve, value), c.column(peer, value)))
}

// peers returns the sides phpserve is compared with: none without phpserve.
func (r *result) peers() []string {
	var peers []string
	var ours bool
	for _, name := range r.Sides {
		if name == sidePhpserve {
			ours = true
		} else {
			peers = append(peers, name)
		}
	}
	if !ours {
		return nil
	}
	return peers
}

// verdicts returns one verdict per cell and peer.
func verdicts(r *result) []verdict {
	var list []verdict
	for _, c := range r.Cells {
		for _, peer := range r.peers() {
			list = append(list, verdict{
				Script: c.Script, Connections: c.Connections, Peer: peer,
				Ratio: c.ratio(peer, func(m sample) float64 { return m.RequestsPerSecond }),
			})
		}
	}
	return list
}

// belowMinimum reports whether any median ratio is below the minimum.
func belowMinimum(list []verdict, minimum float64) bool {
	for _, v := range list {
		if v.Ratio.Median < minimum {
			return true
		}
	}
	return false
}

// writeJSON writes the result with every sample.
func writeJSON(path string, r *result) error {
	whole := *r
	whole.Verdicts = verdicts(r)
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode the results: %v", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write the results: %v", err)
	}
	return nil
}
