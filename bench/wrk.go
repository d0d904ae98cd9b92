package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// wrkScript makes wrk print what it measured as one exact line; the text it
// prints by itself is rounded and has units to guess.
const wrkScript = `done = function(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      "wrk requests=%.0f duration_us=%.0f bytes=%.0f connect=%.0f read=%.0f write=%.0f status=%.0f timeout=%.0f p50_us=%.0f p99_us=%.0f\n",
      summary.requests, summary.duration, summary.bytes,
      e.connect, e.read, e.write, e.status, e.timeout,
      latency:percentile(50), latency:percentile(99)))
end
`

// load is what one run of wrk measured.
type load struct {
	requests int64
	duration time.Duration
	bytes    int64
	p50, p99 time.Duration
	// cpu is wrk's own processor time, to tell it from that of strangers.
	cpu time.Duration
}

// parseWrk finds wrkScript's line in wrk's output. Any error that wrk counted
// is an error here: a side that fails requests has no speed to compare.
func parseWrk(output string) (load, error) {
	var line string
	for l := range strings.Lines(output) {
		if text, found := strings.CutPrefix(l, "wrk "); found {
			line = strings.TrimSpace(text)
		}
	}
	if line == "" {
		return load{}, fmt.Errorf("cannot parse wrk's output %q: no result line", output)
	}
	values := make(map[string]int64)
	for field := range strings.FieldsSeq(line) {
		name, text, _ := strings.Cut(field, "=")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return load{}, fmt.Errorf("cannot parse wrk's result %q: %v", line, err)
		}
		values[name] = n
	}
	for _, name := range []string{"requests", "duration_us", "bytes", "connect", "read", "write", "status", "timeout", "p50_us", "p99_us"} {
		if _, found := values[name]; !found {
			return load{}, fmt.Errorf("cannot parse wrk's result %q: no %s", line, name)
		}
	}
	for _, name := range []string{"connect", "read", "write", "timeout"} {
		if values[name] != 0 {
			return load{}, fmt.Errorf("wrk counted %d socket errors (%s)", values[name], line)
		}
	}
	if values["status"] != 0 {
		return load{}, fmt.Errorf("wrk counted %d responses with an error status (%s)", values["status"], line)
	}
	if values["requests"] == 0 || values["duration_us"] == 0 {
		return load{}, fmt.Errorf("wrk completed no request (%s)", line)
	}
	return load{
		requests: values["requests"],
		duration: time.Duration(values["duration_us"]) * time.Microsecond,
		bytes:    values["bytes"],
		p50:      time.Duration(values["p50_us"]) * time.Microsecond,
		p99:      time.Duration(values["p99_us"]) * time.Microsecond,
	}, nil
}

// wrk runs wrk for the duration. One thread is enough for the loads here and
// leaves the most of a small machine to the servers.
func (b *bench) wrk(ctx context.Context, s *side, sc script, connections int, duration time.Duration) (load, error) {
	cmd := exec.CommandContext(ctx, b.tools.wrk,
		"--threads", "1", "--connections", strconv.Itoa(connections),
		"--duration", strconv.Itoa(int(duration/time.Second))+"s",
		"--timeout", "5s", "--script", b.wrkFile, s.url(sc.path))
	setChildAttributes(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return load{}, ctx.Err()
		}
		return load{}, fmt.Errorf("cannot run wrk: %v: %s", err, stderr.Bytes())
	}
	l, err := parseWrk(stdout.String())
	if err != nil {
		return load{}, fmt.Errorf("%s, %s, %d connections: %v", s.name, sc.name, connections, err)
	}
	// An error page with status 200, or a cut body, would be a fast answer.
	if l.bytes < l.requests*int64(len(sc.body)) {
		return load{}, fmt.Errorf("%s, %s, %d connections: %d responses had only %d bytes", s.name, sc.name, connections, l.requests, l.bytes)
	}
	l.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return l, nil
}

// writeWrkScript writes wrkScript to a file.
func writeWrkScript(path string) error {
	if err := os.WriteFile(path, []byte(wrkScript), 0o644); err != nil {
		return fmt.Errorf("cannot write wrk's script: %v", err)
	}
	return nil
}
