package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// noisy is the share of the machine used by strangers above which the report
// warns.
const noisy = 0.05

// writeReport prints the result for the operator.
func writeReport(out io.Writer, r *result) error {
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&text, "%s: %s\n", name, r.Versions[name])
	}
	fmt.Fprintf(&text, "%d processors, %d PHP workers a side, %d rounds of %.0f s, CPU-bound script: %d loops\n",
		r.CPUs, r.Workers, r.Rounds, r.Duration, r.CPULoops)
	for _, c := range r.Cells {
		text.WriteByte('\n')
		writeCell(&text, r, c)
	}
	text.WriteByte('\n')
	writeMemory(&text, r)
	if len(r.peers()) > 0 {
		text.WriteByte('\n')
		writeVerdicts(&text, verdicts(r))
	}
	_, err := out.Write(text.Bytes())
	return err
}

// table returns a writer that aligns tab-separated columns to the right.
func table(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func writeCell(out *bytes.Buffer, r *result, c *cell) {
	fmt.Fprintf(out, "%s, %d connections (medians of %d rounds)\n", c.Script, c.Connections, r.Rounds)
	w := table(out)
	fmt.Fprint(w, "side\treq/s\tp50 ms\tp99 ms\tCPU µs/req: front\tPHP\ttotal\t\n")
	median := func(name string, value func(sample) float64) float64 {
		return spreadOf(c.column(name, value)).Median
	}
	var strangers float64
	for _, name := range r.Sides {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t%.3f\t%.1f\t%.1f\t%.1f\t\n", name,
			median(name, func(m sample) float64 { return m.RequestsPerSecond }),
			median(name, func(m sample) float64 { return m.P50 / 1000 }),
			median(name, func(m sample) float64 { return m.P99 / 1000 }),
			median(name, func(m sample) float64 { return m.FrontCPU }),
			median(name, func(m sample) float64 { return m.PHPCPU }),
			median(name, sample.cpu))
		strangers = max(strangers, median(name, func(m sample) float64 { return m.Strangers }))
	}
	_ = w.Flush()
	if strangers > noisy {
		fmt.Fprintf(out, "warning: other programs used %.0f %% of the machine meanwhile\n", 100*strangers)
	}
	if len(r.peers()) == 0 {
		return
	}
	w = table(out)
	fmt.Fprint(w, "ratio of rounds\treq/s\tp50\tp99\tCPU/req\t\n")
	for _, peer := range r.peers() {
		fmt.Fprintf(w, "phpserve / %s\t%s\t%s\t%s\t%s\t\n", peer,
			c.ratio(peer, func(m sample) float64 { return m.RequestsPerSecond }),
			c.ratio(peer, func(m sample) float64 { return m.P50 }),
			c.ratio(peer, func(m sample) float64 { return m.P99 }),
			c.ratio(peer, sample.cpu))
	}
	_ = w.Flush()
}

// String returns the median and, in parentheses, smallest and largest value.
func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}

func writeMemory(out *bytes.Buffer, r *result) {
	const mib = 1 << 20
	fmt.Fprint(out, "memory after load, each side alone (PSS, MiB)\n")
	w := table(out)
	fmt.Fprint(w, "side\tfront\tPHP\ttotal\tnot file-backed: front\tPHP\ttotal\tprocesses: front\tPHP\t\n")
	for _, name := range r.Sides {
		m := r.Memory[name]
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%d\t\n", name,
			float64(m.Front)/mib, float64(m.PHP)/mib, float64(m.Front+m.PHP)/mib,
			float64(m.FrontUnbacked)/mib, float64(m.PHPUnbacked)/mib, float64(m.FrontUnbacked+m.PHPUnbacked)/mib,
			m.FrontProcess, m.PHPProcess)
	}
	_ = w.Flush()
}

func writeVerdicts(out *bytes.Buffer, list []verdict) {
	fmt.Fprint(out, "verdict: requests/s of phpserve through the peer's: median of the rounds (min-max), and where that would be with more of them\n")
	w := table(out)
	for _, v := range list {
		word := "at least equal"
		if v.Ratio.Median < 1 {
			word = "BELOW"
		}
		fmt.Fprintf(w, "%s\t%d connections\t%s\t%s\t%.3f-%.3f\t%s\t\n", v.Script, v.Connections, v.Peer, v.Ratio, v.Ratio.Low, v.Ratio.High, word)
	}
	_ = w.Flush()
}
