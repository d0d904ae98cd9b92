package main

import (
	"strings"
	"testing"
	"time"
)

const goodWrkOutput = `Running 1s test @ http://127.0.0.1:8000/hello.php
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.62ms  496.01us   9.91ms   87.11%
  10211 requests in 1.00s, 2.10MB read
Requests/sec:  10190.45
Transfer/sec:      2.10MB
wrk requests=10211 duration_us=1002012 bytes=2205576 connect=0 read=0 write=0 status=0 timeout=0 p50_us=1537 p99_us=2724
`

func TestParseWrkReadsTheResultLine(t *testing.T) {
	got, err := parseWrk(goodWrkOutput)
	if err != nil {
		t.Fatal(err)
	}
	want := load{requests: 10211, duration: 1002012 * time.Microsecond, bytes: 2205576, p50: 1537 * time.Microsecond, p99: 2724 * time.Microsecond}
	if got != want {
		t.Errorf("parseWrk = %+v, want %+v", got, want)
	}
}

func TestParseWrkRefusesRunsThatFailedRequests(t *testing.T) {
	tests := []struct {
		name     string
		old, new string
		want     string
	}{
		{"a socket error on connect", "connect=0", "connect=3", "3 socket errors"},
		{"a socket error on read", "read=0", "read=1", "1 socket errors"},
		{"a socket error on write", "write=0", "write=2", "2 socket errors"},
		{"a timeout", "timeout=0", "timeout=16", "16 socket errors"},
		{"an error status", "status=0", "status=7", "7 responses with an error status"},
		{"no request", "requests=10211", "requests=0", "no request"},
		{"a missing number", " p99_us=2724", "", "no p99_us"},
		{"a broken number", "bytes=2205576", "bytes=inf", "cannot parse wrk's result"},
		{"no result line", "wrk requests", "requests", "no result line"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseWrk(strings.Replace(goodWrkOutput, test.old, test.new, 1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
