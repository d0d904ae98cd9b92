package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/metrics"
)

// events opens the dashboard's stream.
func (ts *testServer) events(header ...string) *eventStream {
	ts.t.Helper()
	req, err := http.NewRequestWithContext(ts.t.Context(), http.MethodGet, ts.AdminURL()+"api/events", nil)
	if err != nil {
		ts.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { resp.Body.Close() })
	return &eventStream{ts.t, resp, bufio.NewReader(resp.Body)}
}

type eventStream struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
}

// next reads an event; its name is empty at the end of the stream.
func (e *eventStream) next() (name string, m watchMessage) {
	e.t.Helper()
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			return "", m
		}
		line = strings.TrimSuffix(line, "\n")
		if event, ok := strings.CutPrefix(line, "event: "); ok {
			name = event
		} else if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				e.t.Fatalf("%v in %s", err, data)
			}
		} else if line == "" {
			return name, m
		}
	}
}

// until reads events up to one that is looked for.
func (e *eventStream) until(what string, found func(m watchMessage) bool) {
	e.t.Helper()
	for time.Now().Before(patient.LastMoment()) {
		name, m := e.next()
		if name == "" {
			break
		}
		if name != "hello" && found(m) {
			return
		}
	}
	e.t.Fatalf("no event: %s", what)
}

func TestDashboardStreamsWhatHappens(t *testing.T) {
	t.Parallel()
	patient.UnderLimit(t, 50*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
		ts := startAdminServer(t, map[string]string{
			"ok.php": `<?php echo 'fine';`, "gate.php": gateScript, "bad.php": `<?php trigger_error("mind the gap", E_USER_WARNING);`,
		}, func(c *Config) { c.Pools[0].RequestSlowlogTimeout = limit })
		ts.get("/ok.php")
		e := ts.events()
		if kind := e.resp.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("it is %s", kind)
		}
		if name, _ := e.next(); name != "hello" {
			t.Errorf("the first event is %s", name)
		}
		name, m := e.next()
		if name != "first" || len(m.Pools) != 1 || m.Pools[0].Name != "www" || len(m.Pools[0].History) == 0 {
			t.Errorf("then came %s %+v", name, m)
		}
		ts.get("/bad.php")
		e.until("the warning of a script", func(m watchMessage) bool {
			return slices.ContainsFunc(m.Errors, func(r recentRecord) bool {
				return r.Text == "PHP Warning:  mind the gap in "+ts.root+"/bad.php on line 1" && r.Level == "warn" && r.Attrs["pool"] == "www"
			})
		})
		g := gate(t, ts, "one")
		g.running(t, ts)
		e.until("a worker that runs", func(m watchMessage) bool {
			return slices.ContainsFunc(m.Workers, func(w watchWorker) bool {
				return w.State == "Running" && strings.HasPrefix(w.URI, "/gate.php") && w.Memory > 0 && w.Millis > 0
			})
		})
		late := ts.events() // who comes later gets what was
		late.until("the slow request", func(m watchMessage) bool {
			i := slices.IndexFunc(m.Slow, func(s slowEntry) bool { return strings.HasPrefix(s.URI, "/gate.php") })
			if i >= 0 {
				tooSlow = !strings.Contains(m.Slow[i].Top, "gate.php:") || !strings.Contains(m.Slow[i].Stack, "usleep") // it had not come there yet
			}
			return i >= 0 && len(m.Errors) > 0
		})
		g.open(t, ts)
		e.until("the requests", func(m watchMessage) bool { return m.Pools[0].Now.Rate > 0 && m.Pools[0].Now.P99 > m.Pools[0].Now.P50/2 })
		// At the end of phpserve the streams end, and do not hold it up.
		ts.Stop(t.Context())
		if name, _ := last(e); name != "" {
			t.Errorf("the stream goes on with %s", name)
		}
		return tooSlow
	})
}

// last reads a stream to its end.
func last(e *eventStream) (name string, m watchMessage) {
	for range 100 {
		if name, m = e.next(); name == "" {
			break
		}
	}
	return name, m
}

func TestDashboardsThatFallBehindAreLeft(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, map[string]string{"ok.php": "<?php"}, nil)
	var all []chan []byte
	for range watchClients {
		_, l, err := ts.watch.listen()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	if a := ts.askAdmin("/api/events"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many gets %s", a.Status)
	}
	for range watchBacklog + 1 {
		ts.watch.look(time.Now())
	}
	if ts.watch.heard() {
		t.Error("who does not read is still told")
	}
	for _, l := range all {
		for range l { // ends
		}
	}
}

func TestOpcacheIsAskedWithoutARequest(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"ok.php": "<?php echo 1;"}, func(c *Config) {
			c.Admin = "127.0.0.1:0"
			c.Pools[0].PHPAdminValue = append(c.Pools[0].PHPAdminValue, "opcache.file_update_protection=0")
			c.Pools[0].PM, c.Pools[0].MaxChildren, c.Pools[0].MaxRequests = manager.PMStatic, 1, 3
		})
		// An answer that takes too long is none, and costs the worker its life.
		eventually(t, "the worker answers each time", func() bool {
			ts.get("/ok.php")
			pids, before := ts.idleWorkers(1), ts.pool().Status(true)
			for range 5 { // more often than pm.max_requests
				state, ok := metrics.AskOpcache(t.Context(), ts.pool())
				if !ok {
					return false
				}
				if state.Problem != "" || state.Used == 0 || state.Scripts == 0 || state.Misses == 0 || state.MaxKeys == 0 {
					t.Fatalf("opcache is %+v", state)
				}
			}
			after := ts.pool().Status(true)
			if !slices.Equal(ts.idleWorkers(1), pids) || after.Accepted != before.Accepted || after.MaxActive != before.MaxActive ||
				after.Processes[0].Requests != before.Processes[0].Requests || after.Processes[0].Request != before.Processes[0].Request {
				t.Errorf("it counts as a request: %+v, before %+v", after, before)
			}
			return true
		})
		eventually(t, "the metrics have scripts", func() bool { return ts.scrape().value("phpserve_opcache_scripts{pool=www}") >= 1 })
	})
}

func TestOpcacheThatDoesNotTell(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"opcache.enable=0": "opcache.enable is off", "opcache.restrict_api=/nowhere": "opcache.restrict_api",
		"disable_functions=opcache_get_status": "disabled",
	} {
		ts := startAdminServer(t, map[string]string{"ok.php": "<?php"}, func(c *Config) {
			c.Pools[0].PHPAdminValue = append(c.Pools[0].PHPAdminValue, setting)
		})
		eventually(t, "a worker is idle and tells", func() bool {
			state, ok := metrics.AskOpcache(t.Context(), ts.pool())
			return ok && strings.Contains(state.Problem, want)
		})
		if values := ts.askAdmin("/metrics").body; strings.Contains(values, "phpserve_opcache_scripts{") {
			t.Errorf("%s: the metrics tell of opcache", setting)
		}
	}
}

func FuzzParseOpcache(f *testing.F) {
	f.Add("phpserve-worker:1;\nmemory_usage.used_memory=12\njit.buffer_size=1\njit.buffer_free=2\nenabled=1\nmissing=1")
	f.Fuzz(func(t *testing.T, text string) {
		if s := metrics.ParseOpcache(text); s.JITUsed > s.JITSize || s.Asked.IsZero() {
			t.Errorf("%q: %+v", text, s)
		}
	})
}

func TestRecentLogKeepsWarningsAndErrors(t *testing.T) {
	t.Parallel()
	var l recentLog
	log := slog.New(&recentHandler{Handler: slog.DiscardHandler, to: &l}).With("pool", "www")
	log.Info("nothing")
	for i := range recentLogKept + 5 {
		log.Warn("careful", "n", i)
	}
	log.Error(strings.Repeat("é", recentTextMost), "empty", "", "error", fmt.Errorf("cause")) //nolint:sloglint // it is to be long
	all := l.since(0)
	if len(all) != recentLogKept {
		t.Fatalf("%d records are kept", len(all))
	}
	newest := all[len(all)-1]
	if newest.Level != "error" || newest.Attrs["error"] != "cause" || newest.Attrs["pool"] != "www" || len(newest.Attrs) != 2 {
		t.Errorf("the newest is %v", newest.Attrs)
	}
	if n := len(newest.Text); n > recentTextMost+5 || !strings.HasSuffix(newest.Text, "é …") {
		t.Errorf("its text has %d bytes", n)
	}
	if got := l.since(newest.Number - 1); len(got) != 1 || got[0].Number != newest.Number {
		t.Errorf("since the last but one: %v", got)
	}
	if got := l.before(newest.Number - 1); len(got) != recentLogKept-1 {
		t.Errorf("%d are older", len(got))
	}
}

func TestConfigurationInForceShowsNoSecrets(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, map[string]string{"ok.php": "<?php"}, func(c *Config) {
		c.AdminToken = testToken
		c.Sites[0].Env = []string{"APP_KEY=secret-1"}
		c.Pools[0].Env = []string{"DB=secret-2", "HOME"}
		c.Pools[0].PHPValue = []string{"mysqli.default_pw=secret-3", "session.save_path=tcp://u:secret-3@h", "precision=11"}
	})
	text := ts.askAdmin("/api/config", "Authorization", "Bearer "+testToken).body
	if strings.Contains(text, "secret-") || strings.Contains(text, testToken) {
		t.Errorf("it tells secrets: %s", text)
	}
	for _, want := range []string{`{"name":"php_value[precision]","value":"11"}`, `"env[APP_KEY]","value":"(not shown)"`, `"env[HOME]","value":""`, `"pm.max_children"`, `{"name":"php.ini: memory_limit","value":"128M"}`, ts.root} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %s: %s", want, text)
		}
	}
}

func TestDashboardProfiles(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, map[string]string{"ok.php": "<?php", "gate.php": gateScript}, nil)
	g := gate(t, ts, "one")
	g.running(t, ts)
	defer g.open(t, ts)
	post := func(query string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ts.AdminURL()+"api/profiles?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text strings.Builder
		if _, err := bufio.NewReader(resp.Body).WriteTo(&text); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, text.String()
	}
	for query, want := range map[string]int{"seconds=0": 400, "seconds=61": 400, "": 400, "seconds=1&pool=none": 404} {
		if status, text := post(query); status != want {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
	if status, _ := post("seconds=1", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("a page of elsewhere gets %d", status)
	}
	if !ts.profiles.begin() {
		t.Fatal("a profile is being taken")
	}
	if status, _ := post("seconds=1"); status != http.StatusConflict {
		t.Errorf("a second one gets %d", status)
	}
	ts.profiles.end("", nil, false)
	id := 0
	patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
		status, text := post(fmt.Sprintf("seconds=%d&pool=www", min(60, limit/time.Second)))
		if id++; status != 200 || !strings.HasPrefix(text, fmt.Sprintf(`{"id":%d,"samples":`, id)) {
			t.Fatalf("%d %s", status, text)
		}
		return !strings.Contains(ts.askAdmin(fmt.Sprintf("/api/profiles/%d.svg", id)).body, "usleep") // one of few samples may be of elsewhere
	})
	for path, want := range map[string]int{
		"N.svg": 200, "N.pprof": 200, "N.folded": 200, "N.html": 404, "99.svg": 404, "x.svg": 404, "..%2fN.svg": 404, "N": 404,
	} {
		path = strings.ReplaceAll(path, "N", strconv.Itoa(id))
		a := ts.askAdmin("/api/profiles/" + path)
		if a.StatusCode != want {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
		if strings.HasSuffix(path, ".svg") && want == 200 && (!strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(a.body, "usleep")) {
			t.Errorf("the graph: %v %s", a.Header, a.body)
		}
	}
}

func TestDashboardPagesNeedTheToken(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, map[string]string{"ok.php": "<?php"}, func(c *Config) { c.AdminToken = testToken })
	for _, path := range []string{"/", "/dashboard.js", "/api/events", "/api/config", "/api/stack?pid=1", "/api/profiles/1.svg"} {
		if a := ts.askAdmin(path); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	a := ts.askAdmin("/", "Authorization", "Bearer "+testToken)
	if a.StatusCode != 200 || a.Header.Get("Content-Security-Policy") != dashboardPolicy || strings.Contains(dashboardPolicy, "unsafe") {
		t.Errorf("the page: %s %v", a.Status, a.Header)
	}
	for query, want := range map[string]int{"pid=1": 404, "pid=x": 400, "": 400, "pid=-1": 400, "pid=0": 400} {
		if a := ts.askAdmin("/api/stack?"+query, "Authorization", "Bearer "+testToken); a.StatusCode != want {
			t.Errorf("stack of %q: %s", query, a.Status)
		}
	}
}
