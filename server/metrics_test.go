package server

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/testcerts"
	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/certs"
	"github.com/phpserve/phpserve/server/metrics"
	"github.com/phpserve/phpserve/server/spool"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// families are the metrics of one scrape by their names.
type families map[string]*dto.MetricFamily

// scrape asks for /metrics.
func (ts *testServer) scrape() families {
	ts.t.Helper()
	a := ts.askAdmin("/metrics")
	if a.StatusCode != http.StatusOK {
		ts.t.Fatalf("/metrics: %s %s", a.Status, a.body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		ts.t.Fatalf("/metrics: %v", err)
	}
	return all
}

// value is that of a series, written as NAME{LABEL=VALUE,...} with its labels in order; of a histogram its count. Without such a
// series it is 0.
func (f families) value(series string) float64 {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for _, m := range f[name].GetMetric() {
		if labelText(m) == labels {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return 0
}

// sum is that of a histogram's values.
func (f families) sum(series string) float64 {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for _, m := range f[name].GetMetric() {
		if labelText(m) == labels {
			return m.GetHistogram().GetSampleSum()
		}
	}
	return 0
}

func labelText(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		pairs = append(pairs, l.GetName()+"="+l.GetValue())
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// shows waits until a scrape has the values, for requests are recorded behind their responses.
func (ts *testServer) shows(want map[string]float64) families {
	ts.t.Helper()
	var last families
	defer func() {
		if ts.t.Failed() {
			for series, v := range want {
				ts.t.Logf("%s is %v, want %v", series, last.value(series), v)
			}
		}
	}()
	eventually(ts.t, "metrics show what was done", func() bool {
		last = ts.scrape()
		for series, v := range want {
			if last.value(series) != v {
				return false
			}
		}
		return true
	})
	return last
}

// metricScripts are what the tests of metrics run.
var metricScripts = map[string]string{
	"ok.php":     `<?php echo 'fine';`,
	"slow.php":   `<?php usleep(30000); echo 'slow';`,
	"code.php":   `<?php http_response_code((int) $_GET['c']); echo 'code';`,
	"body.php":   `<?php echo strlen(file_get_contents('php://input'));`,
	"large.php":  `<?php for ($i = 0; $i < 64; $i++) { echo str_repeat('x', 65536); flush(); usleep(1000); }`,
	"gate.php":   gateScript,
	"file.txt":   "static",
	"crash.php":  `<?php posix_kill(getmypid(), 11); sleep(5);`,
	"finish.php": `<?php echo 'first'; fastcgi_finish_request(); touch(__DIR__ . '/in'); while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); }`,
}

func TestMetricsOfSites(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, metricScripts, func(c *Config) { c.SpoolMemory = 4096 })
	for range 5 {
		ts.get("/ok.php")
	}
	ts.get("/slow.php")
	ts.get("/code.php?c=404")
	ts.get("/code.php?c=500")
	ts.get("/code.php?c=301")
	ts.get("/file.txt")
	ts.get("/missing.txt")
	if a := ts.do(http.MethodPost, "/body.php", strings.NewReader(strings.Repeat("b", 10_000))); a.body != "10000" {
		t.Fatalf("got %q", a.body)
	}
	got := ts.shows(map[string]float64{
		"phpserve_request_duration_seconds{code=2xx,pool=www,via=http}":   7,
		"phpserve_request_duration_seconds{code=3xx,pool=www,via=http}":   1,
		"phpserve_request_duration_seconds{code=4xx,pool=www,via=http}":   1,
		"phpserve_request_duration_seconds{code=5xx,pool=www,via=http}":   1,
		"phpserve_request_duration_seconds{code=2xx,pool=www,via=static}": 1,
		"phpserve_request_duration_seconds{code=4xx,pool=www,via=static}": 1,
		"phpserve_request_queue_seconds{code=2xx,pool=www,via=http}":      7,
		"phpserve_request_php_seconds{code=2xx,pool=www,via=http}":        7,
		"phpserve_response_bytes_total{pool=www,via=http}":                5*4 + 4 + 3*4 + 5,
		"phpserve_requests_in_flight{pool=www,via=http}":                  0,
		"phpserve_spooled_bytes_total{of=request}":                        10_000,
		"phpserve_spool_request_bytes{}":                                  0,
		"phpserve_worker_starts_total{pool=www}":                          2,
		"phpserve_workers{pool=www,state=idle}":                           2,
		"phpserve_workers{pool=www,state=busy}":                           0,
		"phpserve_build_info{version=test}":                               1,
		"phpfpm_up{pool=www}":                                             1,
		"phpfpm_accepted_connections{pool=www}":                           10,
		"phpfpm_idle_processes{pool=www}":                                 2,
		"phpfpm_total_processes{pool=www}":                                2,
		"phpfpm_active_processes{pool=www}":                               0,
	})
	php, whole := got.sum("phpserve_request_php_seconds{code=2xx,pool=www,via=http}"), got.sum("phpserve_request_duration_seconds{code=2xx,pool=www,via=http}")
	if php < .03 || whole < php {
		t.Errorf("PHP took %v s of %v s, with one request of 30 ms", php, whole)
	}
}

func TestMetricsOfQueue(t *testing.T) {
	t.Parallel()
	began := time.Now()
	ts := startAdminServer(t, metricScripts, func(c *Config) {
		c.Pools[0].MaxChildren, c.Pools[0].QueueSize = 1, 1
	})
	a := gate(t, ts, "a")
	defer a.quit()
	a.running(t, ts)
	b := gate(t, ts, "b")
	defer b.quit()
	waiting(t, ts, 1)
	if refused := ts.get("/ok.php"); refused.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %s", refused.Status)
	}
	ts.shows(map[string]float64{
		"phpserve_requests_in_flight{pool=www,via=http}":                2,
		"phpserve_queue_requests{pool=www}":                             1,
		"phpfpm_listen_queue{pool=www}":                                 1,
		"phpfpm_listen_queue_length{pool=www}":                          1,
		"phpfpm_active_processes{pool=www}":                             1,
		"phpserve_workers{pool=www,state=busy}":                         1,
		"phpserve_requests_rejected_total{pool=www,reason=queue_full}":  1,
		"phpserve_request_duration_seconds{code=5xx,pool=www,via=http}": 1,
		"phpserve_request_queue_seconds{code=5xx,pool=www,via=http}":    1,
		"phpserve_request_php_seconds{code=5xx,pool=www,via=http}":      0,
	})
	a.open(t, ts)
	a.finish(t)
	b.open(t, ts)
	b.finish(t)
	got := ts.shows(map[string]float64{
		"phpserve_requests_in_flight{pool=www,via=http}":             0,
		"phpserve_queue_requests{pool=www}":                          0,
		"phpfpm_max_listen_queue{pool=www}":                          1,
		"phpserve_request_queue_seconds{code=2xx,pool=www,via=http}": 2,
	})
	if sum := got.sum("phpserve_request_queue_seconds{code=2xx,pool=www,via=http}"); sum <= 0 || sum > 2*time.Since(began).Seconds() {
		t.Errorf("the requests waited %v s", sum)
	}
}

func TestMetricsOfWorkerExits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path   string
		change func(*manager.PoolConfig)
		reason manager.EndReason
	}{
		"pm.max_requests":           {"/ok.php", func(p *manager.PoolConfig) { p.MaxRequests = 1 }, manager.EndMaxRequests},
		"request_terminate_timeout": {"/gate.php?g=x", func(p *manager.PoolConfig) { p.RequestTerminateTimeout = 100 * time.Millisecond }, manager.EndTimeout},
		"a crash":                   {"/code.php?c=200&", nil, manager.EndSignal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := startAdminServer(t, metricScripts, func(c *Config) {
				c.Pools[0].MaxChildren = 1
				if test.change != nil {
					test.change(&c.Pools[0])
				}
			})
			want := map[string]float64{fmt.Sprintf("phpserve_worker_exits_total{pool=www,reason=%v}", test.reason): 1}
			if test.change == nil {
				ts.do(http.MethodPost, "/crash.php", nil) // a POST is not tried again
				want["phpserve_worker_starts_total{pool=www}"] = 2
			} else {
				ts.get(test.path)
			}
			got := ts.shows(want)
			for reason := range manager.EndReasons {
				series := fmt.Sprintf("phpserve_worker_exits_total{pool=www,reason=%v}", reason)
				if v := got.value(series); reason != test.reason && v != 0 {
					t.Errorf("%s is %v", series, v)
				}
			}
		})
	}
}

func TestMetricsOfFastCGI(t *testing.T) {
	t.Parallel()
	for _, log := range []string{"", "access.log"} { // the log sees the head of responses anyway
		t.Run("log "+log, func(t *testing.T) {
			t.Parallel()
			addr := ""
			ts := startAdminServer(t, metricScripts, func(c *Config) {
				folder := filepath.Dir(c.Sites[0].Root)
				addr = filepath.Join(folder, "fpm.sock")
				r := ResponderConfig{Pool: "www", Listen: addr, LimitExtensions: []string{".php"}}
				if log != "" {
					r.Access.File = filepath.Join(folder, log)
				}
				c.Responders = []ResponderConfig{r}
			})
			var conn *fastcgi.Conn
			ask := func(script, query, want string) {
				t.Helper()
				params := map[string]string{
					"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": ts.root + "/" + script, "SCRIPT_NAME": "/" + script, "QUERY_STRING": query,
				}
				if r := askSide(t, &conn, addr, params, ""); r.Body != want {
					t.Fatalf("%s: got %v", script, r)
				}
			}
			for range 3 {
				ask("ok.php", "", "fine")
			}
			ask("code.php", "c=503", "code")
			ask("code.php", "c=302", "code")
			ask("missing.php", "", "File not found.\n")
			ask("finish.php", "", "first")
			got := ts.shows(map[string]float64{
				"phpserve_request_duration_seconds{code=2xx,pool=www,via=fastcgi}": 4,
				"phpserve_request_duration_seconds{code=3xx,pool=www,via=fastcgi}": 1,
				"phpserve_request_duration_seconds{code=4xx,pool=www,via=fastcgi}": 1,
				"phpserve_request_duration_seconds{code=5xx,pool=www,via=fastcgi}": 1,
				"phpserve_request_php_seconds{code=2xx,pool=www,via=fastcgi}":      4,
				"phpserve_request_php_seconds{code=4xx,pool=www,via=fastcgi}":      0,
				"phpserve_request_queue_seconds{code=2xx,pool=www,via=fastcgi}":    4,
				"phpserve_request_queue_seconds{code=4xx,pool=www,via=fastcgi}":    0,
				"phpserve_response_bytes_total{pool=www,via=fastcgi}":              3*4 + 2*4 + 16 + 5,
				"phpserve_requests_in_flight{pool=www,via=fastcgi}":                0,
				"phpfpm_accepted_connections{pool=www}":                            7,
				"phpfpm_active_processes{pool=www}":                                1, // behind its response
			})
			if got.value("phpserve_requests_in_flight{pool=www,via=http}") != 0 || got["phpserve_requests_in_flight"].Metric[0].Label[1].GetValue() != "fastcgi" {
				t.Error("there are series for sites, which were asked nothing")
			}
			testfiles.Put(t, ts.root, map[string]string{"go": ""})
		})
	}
}

func TestMetricsOfSpooledResponses(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, metricScripts, func(c *Config) { c.SpoolMemory = 4096 })
	if a := ts.get("/large.php"); len(a.body) != 64<<16 {
		t.Fatalf("got %d bytes", len(a.body))
	}
	got := ts.shows(map[string]float64{"phpserve_response_bytes_total{pool=www,via=http}": 64 << 16})
	if n := got.value("phpserve_spooled_bytes_total{of=response}"); n <= 0 || n > 64<<16 {
		t.Errorf("%v of %d bytes were spooled", n, 64<<16)
	}
}

func TestMetricsOfTLSHandshakes(t *testing.T) {
	t.Parallel()
	ca := testcerts.New(t)
	ts := startAdminServer(t, metricScripts, func(c *Config) {
		c.Listen = []string{"https://127.0.0.1:0"}
		c.Sites[0].Hosts = []string{"a.test"}
		c.TLS.Certificates = []certs.File{certs.File(ca.Issue("a", "a.test"))}
	})
	for _, http2 := range []bool{true, false} {
		if a, _ := fetch(t, httpsClient(t, ca.Pool, ts.addr, http2), "https://a.test/ok.php"); a.body != "fine" {
			t.Fatalf("got %q", a.body)
		}
	}
	if _, _, err := tryFetch(t, httpsClient(t, ca.Pool, ts.addr, false), "https://unknown.example/"); err == nil {
		t.Fatal("another name was served")
	}
	ts.shows(map[string]float64{
		"phpserve_tls_handshakes_total{result=ok}":                      2,
		"phpserve_tls_handshakes_total{result=error}":                   1,
		"phpserve_request_duration_seconds{code=2xx,pool=www,via=http}": 2,
	})
}

// What promtool check metrics says is said by the same code. The rules came after php-fpm's names.
func TestMetricsAreAsPromtoolWantsThem(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, metricScripts, func(c *Config) {
		c.Responders = []ResponderConfig{{Pool: "www", Listen: filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")}}
	})
	ts.get("/ok.php")
	ts.get("/file.txt")
	problems, err := promlint.New(strings.NewReader(ts.askAdmin("/metrics").body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "phpfpm_") || p.Text != `counter metrics should have "_total" suffix` {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// Whatever clients send, there are only so many series.
func TestMetricsHaveBoundedLabels(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, metricScripts, nil)
	for i := range 20 {
		ts.do(fmt.Sprintf("METHOD%d", i), fmt.Sprintf("/missing%d", i), nil, "Host", fmt.Sprintf("h%d.example", i), "User-Agent", fmt.Sprint(i))
		ts.get(fmt.Sprintf("/code.php?c=%d", 200+20*i))
	}
	ts.shows(map[string]float64{
		"phpserve_request_duration_seconds{code=4xx,pool=www,via=static}": 20,
		"phpserve_request_duration_seconds{code=5xx,pool=www,via=http}":   5,
	})
	known := map[string][]string{
		"pool": {"www"}, "via": {metrics.ViaHTTP, metrics.ViaStatic, metrics.ViaFastCGI}, "code": metrics.StatusClasses[:], "state": {"idle", "busy", "starting", "used", "free", "wasted"},
		"result": {"ok", "error"}, "of": {"request", "response"}, "version": {"test"}, "reason": {"queue_full", "queue_timeout", "memory", "keys", "manual"},
	}
	for reason := range manager.EndReasons {
		known["reason"] = append(known["reason"], reason.String())
	}
	for name, family := range ts.scrape() {
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if !strings.HasPrefix(name, "go_") && !slices.Contains(known[l.GetName()], l.GetValue()) {
					t.Errorf("%s has %s=%q", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
}

func TestNothingIsRecordedWithoutAdmin(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, metricScripts, nil)
	ts.get("/ok.php")
	if ts.metrics != nil || ts.slots["www"].metrics != nil || ts.spools.CountRequests != nil || ts.AdminURL() != "" {
		t.Error("something is recorded that nobody can ask for")
	}
}

func TestRecordingARequestAllocatesNothing(t *testing.T) {
	m := metrics.New(&Server{spools: spool.New(spool.Config{})}, &metrics.Opcaches{}, "test")
	slot := &poolSlot{metrics: m.Pool("www")}
	x := &exchange{php: slot, start: time.Now(), status: 200, pool: "www", pid: 1, bytes: 10}
	q := &responderRequest{target: &responderTarget{php: slot}}
	record := func() {
		x.count()
		x.observe()
		q.trace = fpmTrace{began: x.start, queued: x.start, status: statusOf([]byte("Status: 404 Not Found\r\n"))}
		q.count()
		q.observe()
	}
	record() // the first makes the series
	if n := testing.AllocsPerRun(100, record); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecordingARequest(b *testing.B) {
	m := metrics.New(&Server{spools: spool.New(spool.Config{})}, &metrics.Opcaches{}, "test")
	x := &exchange{php: &poolSlot{metrics: m.Pool("www")}, start: time.Now(), status: 200, pool: "www", pid: 1, bytes: 10}
	for b.Loop() {
		x.count()
		x.observe()
	}
}

func TestMetricsOfAPoolThatIsGoneGo(t *testing.T) {
	m := metrics.New(&Server{spools: spool.New(spool.Config{})}, &metrics.Opcaches{}, "test")
	for _, name := range []string{"a", "b"} {
		p := m.Pool(name)
		p.HTTP().Class(200).Duration.Observe(1)
		p.FastCGI().Class(500).Queue.Observe(1)
	}
	m.Forget("a")
	all, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range all {
		for _, metric := range f.Metric {
			for _, l := range metric.Label {
				if l.GetName() == "pool" {
					seen++
					if l.GetValue() != "b" {
						t.Errorf("%s has %s", f.GetName(), labelText(metric))
					}
				}
			}
		}
	}
	if seen == 0 {
		t.Error("the other pool's are gone, too")
	}
}
