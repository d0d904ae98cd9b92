//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var adminRow = regexp.MustCompile(`(?m)^  Admin +(\S+) `)

// askAdmin asks the admin listener.
func askAdmin(t *testing.T, base, path string, header ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// adminSite serves scripts with an admin listener.
func adminSite(t *testing.T, args ...string) (s *instance, admin string) {
	t.Helper()
	dir := openFolder(t, "phpserve-admin-")
	for name, text := range map[string]string{
		"index.php": `<?php echo str_repeat("x", 1000);`, "bad.php": `<?php http_response_code(503);`, "crash.php": `<?php posix_kill(getmypid(), 9);`,
		"style.css": "p {}", "long.php": `<?php touch('runs'); while (!file_exists('go')) { usleep(1000); clearstatcache(); } echo "done";`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil { // for what scripts write
		t.Fatal(err)
	}
	s = serve(t, dir, append([]string{".", "--admin", "127.0.0.1:0", "--pm", "static", "--workers", "2"}, args...)...)
	m := adminRow.FindStringSubmatch(s.stdout.String())
	if m == nil {
		t.Fatalf("the first screen does not name the admin listener\n%s", s.stdout.String())
	}
	return s, m[1]
}

// TestMetricsTellOfRequests: what Prometheus gets is what happened, under php-fpm's names and phpserve's.
func TestMetricsTellOfRequests(t *testing.T) {
	t.Parallel()
	s, admin := adminSite(t)
	v := newVisitor(t, s.url)
	for range 3 {
		v.get(200, "/")
	}
	v.get(503, "/bad.php")
	v.get(200, "/style.css")
	v.post(502, "/crash.php", nil)
	status, text := askAdmin(t, admin, "/metrics")
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	value := func(name string, labels ...string) (sum float64) {
		t.Helper()
		family := families[name]
		if family == nil {
			t.Errorf("there is no %s", name)
			return -1
		}
		for _, m := range family.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					has++
				}
			}
			if has == len(labels) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return sum
	}
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"phpserve_request_duration_seconds", []string{"pool=www", "class=2xx"}, 3},
		{"phpserve_request_duration_seconds", []string{"pool=www", "class=5xx"}, 2},
		{"phpserve_request_duration_seconds", []string{"pool=", "class=2xx"}, 1},
		{"phpserve_php_duration_seconds", []string{"pool=www"}, 5},
		{"phpserve_queue_duration_seconds", []string{"pool=www"}, 5},
		{"phpserve_requests_in_flight", nil, 0},
		{"phpserve_worker_exits_total", []string{"pool=www", "reason=killed"}, 1},
		{"phpserve_rejected_total", []string{"pool=www", "reason=queue_full"}, 0},
		{"phpfpm_accepted_connections", []string{"pool=www"}, 5},
		{"phpfpm_max_active_processes", []string{"pool=www"}, 1},
		{"phpfpm_up", []string{"pool=www"}, 1},
	} {
		if got := value(want.name, want.labels...); got != want.value {
			t.Errorf("%s %v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	if sent := value("phpserve_response_bytes_total", "pool=www"); sent < 3000 {
		t.Errorf("%v bytes were sent", sent)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "phpfpm_") { // those have php-fpm's own names
			t.Errorf("promtool says of %s: %s", p.Metric, p.Text)
		}
	}
	// The board of the documentation shows what there is.
	board, err := os.ReadFile(filepath.Join("..", "..", "docs", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(board) {
		t.Error("docs/grafana.json is no JSON")
	}
	names := regexp.MustCompile(`\b(?:phpserve|phpfpm)_[a-z_]+`).FindAllString(string(board), -1)
	if len(names) < 8 {
		t.Errorf("the board shows %v", names)
	}
	for _, name := range names {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if families[name] == nil && families[base] == nil {
			t.Errorf("the board shows %s, which there is not", name)
		}
	}
}

// TestReadyEndsFirst: who balances load learns of the end before requests do.
func TestReadyEndsFirst(t *testing.T) {
	t.Parallel()
	s, admin := adminSite(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := askAdmin(t, admin, path); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	answer := make(chan string, 1)
	go func() { answer <- newVisitor(t, s.url).get(200, "/long.php").body }()
	eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.cmd.Dir, "runs")) })
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not ready", func() bool { status, _ := askAdmin(t, admin, "/readyz"); return status == 503 })
	if status, _ := askAdmin(t, admin, "/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if err := os.WriteFile(filepath.Join(s.cmd.Dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != "done" {
		t.Errorf("got %s", got)
	}
}

// TestAdminIsNotForOthers: a token where others can reach it, names of this machine where they cannot (DNS rebinding).
func TestAdminIsNotForOthers(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef"
	_, local := adminSite(t)
	_, guarded := adminSite(t, "--config", writeConfig(t, "admin_token: "+token+"\n"))
	for _, tt := range []struct {
		name, base, header string
		status             int
	}{
		{"local", local, "Accept: */*", 200},
		{"by name", local, "Host: localhost:1", 200},
		{"by IPv6 address", local, "Host: [::1]", 200},
		{"rebound", local, "Host: evil.example", 403},
		{"rebound with a port", local, "Host: evil.example:9000", 403},
		{"looks local", local, "Host: localhost.evil.example", 403},
		{"no token", guarded, "Accept: */*", 401},
		{"a wrong token", guarded, "Authorization: Bearer 0123456789abcdeF", 401},
		{"a longer token", guarded, "Authorization: Bearer " + token + "0", 401},
		{"another scheme", guarded, "Authorization: Basic " + token, 401},
		{"the token", guarded, "Authorization: bearer " + token, 200},
	} {
		for _, path := range []string{"/metrics", "/healthz", "/"} {
			if status, text := askAdmin(t, tt.base, path, tt.header); status != tt.status {
				t.Errorf("%s, %s: %d and not %d: %.80s", tt.name, path, status, tt.status, text)
			}
		}
	}
	for config, want := range map[string]string{
		"admin: 0.0.0.0:0\n":                             `admin "0.0.0.0:0" can be reached by other machines: it needs admin_token`,
		"admin: 0.0.0.0:0\nadmin_token: short\n":         "admin_token must have at least 16 characters",
		"admin: https://localhost:0\n":                   "it speaks plain HTTP",
		"admin: example.com:9\nadmin_token: " + "\"\"\n": "needs admin_token",
	} {
		if code, _, errs := phpserve(t, "check", t.TempDir(), "--config", writeConfig(t, config)); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%q: %d %s", config, code, errs)
		}
	}
}

// writeConfig writes a phpserve.yaml.
func writeConfig(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "phpserve.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
