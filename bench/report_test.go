package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func testResult() *result {
	r := &result{
		Sides: allSides(), Rounds: 3, Workers: 4, CPUs: 2, Duration: 3, CPULoops: 25000,
		Versions: map[string]string{"kernel": "6.1"},
		Memory: map[string]memory{
			sidePhpserve: {Front: 10 << 20, PHP: 20 << 20, FrontUnbacked: 4 << 20, PHPUnbacked: 7 << 20, FrontProcess: 1, PHPProcess: 5},
			sideNginx:    {Front: 6 << 20, PHP: 19 << 20, FrontProcess: 3, PHPProcess: 5},
		},
	}
	for _, speed := range []float64{1000, 2000, 1500} {
		r.add(scriptHello, 16, sidePhpserve, sample{RequestsPerSecond: speed * 1.2, P50: 1000, P99: 2000, FrontCPU: 40, PHPCPU: 50})
		r.add(scriptHello, 16, sideNginx, sample{RequestsPerSecond: speed, P50: 2000, P99: 4000, FrontCPU: 80, PHPCPU: 100})
		r.add(scriptHello, 16, sideNginxKeepalive, sample{RequestsPerSecond: speed * 1.25, P50: 1000, P99: 2000, FrontCPU: 40, PHPCPU: 50, Strangers: 0.5})
	}
	return r
}

func TestVerdictsCompareWithEveryPeer(t *testing.T) {
	list := verdicts(testResult())
	if len(list) != 2 {
		t.Fatalf("%d verdicts, want 2: %+v", len(list), list)
	}
	for i, want := range []struct {
		peer, ratio string
	}{{sideNginx, "1.20 (1.20-1.20)"}, {sideNginxKeepalive, "0.96 (0.96-0.96)"}} {
		if list[i].Peer != want.peer || list[i].Ratio.String() != want.ratio {
			t.Errorf("verdict %d = %s %s, want %s %s", i, list[i].Peer, list[i].Ratio, want.peer, want.ratio)
		}
	}
}

func TestBelowMinimumLooksAtTheMedianOfEveryPeer(t *testing.T) {
	list := verdicts(testResult())
	for _, test := range []struct {
		minimum float64
		want    bool
	}{{0.95, false}, {1, true}, {1.3, true}} {
		if got := belowMinimum(list, test.minimum); got != test.want {
			t.Errorf("belowMinimum(%v) = %v, want %v", test.minimum, got, test.want)
		}
	}
}

func TestReportWithoutPhpserveHasNoVerdict(t *testing.T) {
	r := testResult()
	r.Sides = []string{sideNginx, sideNginxKeepalive}
	if list := verdicts(r); len(list) != 0 {
		t.Errorf("verdicts = %+v, want none", list)
	}
	var out strings.Builder
	if err := writeReport(&out, r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "verdict") || strings.Contains(out.String(), "phpserve /") {
		t.Errorf("report compares with a side that did not run:\n%s", out.String())
	}
}

func TestReportShowsMediansRatiosMemoryAndVerdicts(t *testing.T) {
	var out strings.Builder
	if err := writeReport(&out, testResult()); err != nil {
		t.Fatal(err)
	}
	// Columns are padded: compare words, not spaces.
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"hello, 16 connections (medians of 3 rounds)",
		"phpserve 1800 1.000 2.000 40.0 50.0 90.0",
		"nginx 1500 2.000 4.000 80.0 100.0 180.0",
		"phpserve / nginx 1.20 (1.20-1.20) 0.50 (0.50-0.50) 0.50 (0.50-0.50) 0.50 (0.50-0.50)",
		"warning: other programs used 50 % of the machine meanwhile",
		"phpserve 10.0 20.0 30.0 4.0 7.0 11.0 1 5",
		"hello 16 connections nginx 1.20 (1.20-1.20) 1.200-1.200 at least equal",
		"hello 16 connections nginx-keepalive 0.96 (0.96-0.96) 0.960-0.960 BELOW",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report has no %q:\n%s", want, out.String())
		}
	}
}

func TestJSONHoldsEverySampleAndTheVerdicts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	if err := writeJSON(path, testResult()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got result
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Cells) != 1 || len(got.Cells[0].Samples[sideNginx]) != 3 || got.Cells[0].Samples[sideNginx][1].RequestsPerSecond != 2000 {
		t.Errorf("cells = %s", text)
	}
	if len(got.Verdicts) != 2 {
		t.Errorf("%d verdicts, want 2", len(got.Verdicts))
	}
}
