//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/phpserve/phpserve/internal/patient"
)

// waitingScripts run until the file go is there: one waits in a function, the other computes.
var waitingScripts = map[string]string{
	"waits.php": `<?php
class Shop {
	public function page(string $name, string $password) { self::query("SELECT 1"); }
	private static function query(string $sql) { while (!file_exists('DIR/go')) { usleep(100000); clearstatcache(); } }
}
touch('DIR/waits');
(new Shop)->page("front\033[31m", "geheim");`,
	"computes.php": `<?php
function computes() { for ($i = 0; $i < 100000; $i++) { $x = $i * 2; } }
touch('DIR/computes');
while (!file_exists('DIR/go')) { for ($i = 0; $i < 10; $i++) { computes(); } clearstatcache(); }`,
}

// startWaiting runs both scripts in a pool of three workers.
func startWaiting(t *testing.T) (s *side, at string, finish func()) {
	t.Helper()
	config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 3\n" +
		"[other]\nUSER\nlisten = DIR/other.sock\npm = ondemand\npm.max_children = 1\n"
	s = startOwn(t, config, waitingScripts)
	answers := make(chan string, len(waitingScripts))
	for name := range waitingScripts {
		go func() {
			answers <- s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/" + name, "SCRIPT_NAME": "/" + name, "REQUEST_URI": "/pretty/" + name}, "")
		}()
	}
	for _, name := range []string{"waits", "computes"} {
		eventually(t, name+".php runs", func() bool { return exists(filepath.Join(s.dir, name)) })
	}
	return s, "--control=" + controlOf(t, s.cmd.Process.Pid), func() {
		if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for range waitingScripts {
			<-answers
		}
	}
}

// TestTraceShowsTheGuiltyLine of each worker that runs a request.
func TestTraceShowsTheGuiltyLine(t *testing.T) {
	t.Parallel()
	s, at, finish := startWaiting(t)
	code, out, errs := phpserve(t, "trace", "--args", at)
	out = s.neutral(out)
	for _, want := range []string{
		"request = GET /pretty/waits.php\n", "client = 192.0.2.1\n", "Shop::query($sql = \"SELECT 1\") DIR/waits.php:4\n",
		`Shop->page($name = "front\x1b[31m", $password = ***) DIR/waits.php:3` + "\n", "{main} DIR/waits.php:7\n",
		"{main} DIR/computes.php:4\n",
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("trace: %d, no %q in\n%s%s", code, want, out, errs)
		}
	}
	if strings.Contains(out, "geheim") || strings.Contains(out, "\033") {
		t.Errorf("trace shows a secret or steers the terminal: %q", out)
	}
	var status struct {
		Processes []struct {
			PID    int
			State  string
			Target string `json:"request target"`
		}
	}
	code, out, errs = phpserve(t, "status", "www", "--full", "--format", "json", at)
	if err := json.Unmarshal([]byte(out), &status); code != 0 || err != nil || len(status.Processes) != 3 {
		t.Fatalf("status: %d %v %s%s", code, err, out, errs)
	}
	for _, p := range status.Processes {
		code, out, errs := phpserve(t, "trace", strconv.Itoa(p.PID), at)
		want := map[string]string{
			"/pretty/waits.php": "Shop::query() ", "/pretty/computes.php": "/computes.php:4", "-": "no request is running",
		}[p.Target]
		if code != 0 || !strings.Contains(out, want) || strings.Count(out, "pid "+strconv.Itoa(p.PID)) != 1 {
			t.Errorf("trace of the worker with %s: %d, no %q in\n%s%s", p.Target, code, want, out, errs)
		}
	}
	finish()
	if code, out, _ := phpserve(t, "trace", at); code != 0 || out != "no worker runs a request\n" {
		t.Errorf("trace of idle workers: %d %s", code, out)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"trace", "1"}, "1 is no worker of phpserve"},
		{[]string{"trace", "x"}, `"x" is not the pid of a worker`},
		{[]string{"trace", "--pool", "nope"}, `there is no such pool: "nope"; the pools are: other, www`},
		{[]string{"status", "nope"}, `there is no such pool: "nope"`},
		{[]string{"status", "--format", "xml"}, "has room for one pool"},
		{[]string{"status", "--format", "yaml"}, `--format must be text, json, xml, html or openmetrics, not "yaml"`},
		{[]string{"profile", "-o", "x.doc"}, `cannot tell the form of a profile from "x.doc"`},
		{[]string{"profile", "--duration", "0s"}, "the duration of a profile must be above 0"},
		{[]string{"profile", "--rate", "5000"}, "the rate of a profile must be from 1 to 1000"},
	} {
		if code, out, errs := phpserve(t, append(tt.args, at)...); code == 0 || !strings.Contains(errs, tt.want) {
			t.Errorf("%q: %d %s%s", tt.args, code, out, errs)
		}
	}
	if code, out, _ := phpserve(t, "status", "--full", at); code != 0 || strings.Count(out, "pool:  ") != 2 || strings.Count(out, "pid:  ") != 3 {
		t.Errorf("status of both pools: %d %s", code, out)
	}
	if code, out, _ := phpserve(t, "status", "--format", "json", at); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("status of both pools: %d %s", code, out)
	}
}

// TestProfileShowsWhereTimeGoes in each of its forms.
func TestProfileShowsWhereTimeGoes(t *testing.T) {
	t.Parallel()
	s, at, finish := startWaiting(t)
	defer finish()
	file := func(name string) (text []byte) {
		t.Helper()
		patient.UnderLimit(t, 700*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
			code, out, errs := phpserve(t, "profile", "--pool", "www", "--duration", limit.String(), "--rate", "200", "-o", filepath.Join(s.dir, name), at)
			var err error
			text, err = os.ReadFile(filepath.Join(s.dir, name))
			if code != 0 || err != nil || !strings.Contains(out, " stacks") {
				t.Fatalf("%s: %d %v %s%s", name, code, err, out, errs)
			}
			stacks := 0
			if _, err := fmt.Sscanf(strings.TrimPrefix(out, filepath.Join(s.dir, name)), ": %d stacks", &stacks); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			return stacks < 20
		})
		return text
	}
	if svg := string(file("p.svg")); xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })) != nil ||
		!strings.Contains(svg, "Shop::query") || !strings.Contains(svg, "computes") {
		t.Errorf("flame graph: %s", svg)
	}
	if page := string(file("p.html")); !strings.HasPrefix(page, "<!doctype html>") || strings.Contains(page, "<?xml") || !strings.Contains(page, "<svg") ||
		!strings.Contains(page, "computes") {
		t.Errorf("flame graph in a page: %.500s", page)
	}
	p, err := profile.Parse(bytes.NewReader(file("p.pprof")))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range p.Function {
		seen[f.Name] = true
	}
	if !seen["Shop::query"] || !seen["computes"] {
		t.Errorf("pprof: %v", seen)
	}
	patient.UnderLimit(t, 700*time.Millisecond, func(limit time.Duration) (tooSlow bool) { // for the script, which must have a processor
		code, out, errs := phpserve(t, "profile", "--cpu", "--duration", limit.String(), "-o", "-", at)
		counts := map[string]int{} // by innermost function
		for line := range strings.Lines(out) {
			stack, n, _ := strings.Cut(strings.TrimSpace(line), " ")
			count, _ := strconv.Atoi(n)
			counts[stack[strings.LastIndexByte(stack, ';')+1:]] += count
		}
		if code != 0 {
			t.Fatalf("of the processor: %d %s%s", code, out, errs)
		}
		return counts["computes"] == 0 || counts["usleep"] >= counts["computes"]
	})
	if code, out, errs := phpserve(t, "profile", "--pool", "other", "--duration", "100ms", "-o", "-", at); code != 0 || out != "" {
		t.Errorf("of an idle pool: %d %s%s", code, out, errs)
	}
}
