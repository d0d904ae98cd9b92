//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var adminRow = regexp.MustCompile(`(?m)^  Dashboard +(\S+?)/$`)

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
	var text string
	var families map[string]*dto.MetricFamily
	value := func(name string, labels ...string) (sum float64) {
		for _, m := range families[name].GetMetric() {
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
	var differs string
	defer func() {
		if t.Failed() {
			t.Log(differs)
		}
	}()
	eventually(t, "metrics show what was done", func() bool { // requests are recorded behind their responses
		var status int
		if status, text = askAdmin(t, admin, "/metrics"); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		var err error
		if families, err = parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for _, want := range []struct {
			name   string
			labels []string
			value  float64
		}{
			{"phpserve_request_duration_seconds", []string{"pool=www", "via=http", "code=2xx"}, 3},
			{"phpserve_request_duration_seconds", []string{"pool=www", "via=http", "code=5xx"}, 2},
			{"phpserve_request_duration_seconds", []string{"pool=www", "via=static", "code=2xx"}, 1},
			{"phpserve_request_php_seconds", []string{"pool=www"}, 5},
			{"phpserve_request_queue_seconds", []string{"pool=www"}, 5},
			{"phpserve_requests_in_flight", nil, 0},
			{"phpserve_worker_exits_total", []string{"pool=www"}, 1},
			{"phpserve_requests_rejected_total", []string{"pool=www", "reason=queue_full"}, 0},
			{"phpfpm_accepted_connections", []string{"pool=www"}, 5},
			{"phpfpm_max_active_processes", []string{"pool=www"}, 1},
			{"phpfpm_up", []string{"pool=www"}, 1},
		} {
			if families[want.name] == nil {
				t.Fatalf("there is no %s", want.name)
			}
			if got := value(want.name, want.labels...); got != want.value {
				differs = fmt.Sprintf("%s %v is %v, want %v", want.name, want.labels, got, want.value)
				return false
			}
		}
		return true
	})
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
}
