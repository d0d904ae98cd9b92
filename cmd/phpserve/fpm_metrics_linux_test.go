package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const metricsPools = `[global]
error_log = DIR/error.log
[www]
USER
listen = DIR/www.sock
pm = static
pm.max_children = 2
pm.status_path = /status
[other]
USER
listen = DIR/other.sock
pm = ondemand
pm.max_children = 1
`

// TestFPMMetricsHaveTheNamesOfPHPFPM compares /metrics with what php-fpm's own status page says in the same place.
func TestFPMMetricsHaveTheNamesOfPHPFPM(t *testing.T) {
	files := map[string]string{"s.php": `<?php echo 'fine';`}
	fpm, own := newSide(t, "php-fpm", metricsPools, files), newSide(t, "phpserve", metricsPools, files)
	addr, token := freeAddress(t, "127.0.0.1"), "0123456789abcdef0123"
	own.env = []string{"PHPSERVE_ADMIN_TOKEN=" + token}
	fpm.start()
	own.start("--admin", addr)
	status := map[string]string{"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "DIR/status", "REQUEST_URI": "/status?openmetrics", "QUERY_STRING": "openmetrics"}
	for _, s := range []*side{fpm, own} {
		for range 3 {
			s.ask("www.sock", nil, "")
		}
	}
	page := fpm.ask("www.sock", status, "")
	metrics := ""
	lacks := func(want ...string) (lacking []string) {
		var code int
		if code, metrics = askAdmin(t, "http://"+addr, "/metrics", "Authorization: Bearer "+token); code != http.StatusOK {
			t.Fatalf("/metrics: %d %s", code, metrics)
		}
		return slices.DeleteFunc(want, func(line string) bool { return strings.Contains(metrics, line+"\n") })
	}
	eventually(t, "metrics show what was done", func() bool { // a request is recorded behind its response
		return len(lacks(`phpserve_request_duration_seconds_count{code="2xx",pool="www",via="fastcgi"} 3`)) == 0
	})
	lines := regexp.MustCompile(`(?m)^# (HELP|TYPE) (phpfpm_\S+) .*$`).FindAllStringSubmatch(page, -1)
	if len(lines) < 20 {
		t.Fatalf("php-fpm says only\n%s", page)
	}
	for _, line := range lines {
		if line[1] == "HELP" && line[2] == "phpfpm_up" {
			continue // the pool's name is in it
		}
		if !strings.Contains(metrics, line[0]+"\n") {
			t.Errorf("/metrics lacks %q", line[0])
		}
	}
	if lacking := lacks(`phpfpm_accepted_connections{pool="www"} 3`, `phpfpm_idle_processes{pool="www"} 2`, `phpfpm_up{pool="www"} 1`,
		`phpfpm_accepted_connections{pool="other"} 0`, `phpfpm_total_processes{pool="other"} 0`, `phpfpm_up{pool="other"} 1`); len(lacking) > 0 {
		t.Errorf("/metrics lacks %q", lacking)
	}
	if code, text := askAdmin(t, "http://"+addr, "/metrics"); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d %s", code, text)
	}
	if code, text := askAdmin(t, "http://"+addr, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, text)
	}
	// A reload keeps the address and what it counts, and drops what is gone.
	config := strings.ReplaceAll(own.file("fpm.conf"), "DIR", own.dir)
	config, _, _ = strings.Cut(config, "[other]")
	if err := os.WriteFile(own.conf, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	own.reload(2, "ready to handle connections")
	_, metrics = askAdmin(t, "http://"+addr, "/metrics", "Authorization: Bearer "+token)
	if strings.Contains(metrics, `pool="other"`) || !strings.Contains(metrics, `phpserve_request_duration_seconds_count{code="2xx",pool="www",via="fastcgi"} 3`) {
		t.Errorf("after a reload without the other pool:\n%s", grepLines(metrics, "pool="))
	}
}

// grepLines are the lines with a text.
func grepLines(text, with string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, with) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

func TestFPMAdminForEverybodyNeedsAToken(t *testing.T) {
	s := newSide(t, "phpserve", metricsPools, nil)
	_, port, err := net.SplitHostPort(freeAddress(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: self, Args: []string{"phpserve", "fpm", "-F", "-O", "-y", s.conf, "--admin", "0.0.0.0:" + port}, Env: os.Environ()}
	text, _ := cmd.CombinedOutput() // the exit code is looked at below
	code, out := cmd.ProcessState.ExitCode(), string(text)
	if want := fmt.Sprintf(`admin: "0.0.0.0:%s" is not a loopback address, so admin_token must be set`, port); code != exitConfig || !strings.Contains(out, want) {
		t.Errorf("got %d\n%s", code, out)
	}
}
