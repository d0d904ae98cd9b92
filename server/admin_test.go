package server

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

const testToken = "0123456789abcdef0123"

// startAdminServer starts a server with an admin address on loopback.
func startAdminServer(t *testing.T, files map[string]string, change func(*Config)) *testServer {
	t.Helper()
	return startServer(t, manager.EngineZygote, files, func(c *Config) {
		c.Admin = "127.0.0.1:0"
		if change != nil {
			change(c)
		}
	})
}

// askAdmin asks the admin address for a path.
func (ts *testServer) askAdmin(path string, header ...string) answer {
	ts.t.Helper()
	sites := ts.url
	defer func() { ts.url = sites }()
	ts.url = strings.TrimSuffix(ts.AdminURL(), "/")
	return ts.get(path, header...)
}

func TestAdminAnswersOnlyWhoMayAsk(t *testing.T) {
	t.Parallel()
	cookie := adminCookieOf(t, testToken)
	html := "text/html,application/xhtml+xml"
	for name, test := range map[string]struct {
		token, path string
		other       bool // the address is none of loopback
		header      []string
		want        int
	}{
		"loopback, by address":            {path: "/x", want: 200},
		"loopback, by name":               {path: "/x", header: []string{"Host", "localhost:9100"}, want: 200},
		"loopback, a name below it":       {path: "/x", header: []string{"Host", "phpserve.localhost"}, want: 200},
		"loopback, IPv6":                  {path: "/x", header: []string{"Host", "[::1]:9100"}, want: 200},
		"loopback, the configured name":   {path: "/x", header: []string{"Host", "Box.Test:9100"}, want: 200},
		"loopback, a rebound name":        {path: "/x", header: []string{"Host", "evil.example"}, want: 421},
		"loopback, a name that begins so": {path: "/x", header: []string{"Host", "localhost.evil.example"}, want: 421},
		"loopback, another address":       {path: "/x", header: []string{"Host", "192.0.2.1"}, want: 421},
		"loopback, rebound, health":       {path: "/healthz", header: []string{"Host", "evil.example"}, want: 421},
		"loopback, rebound, with token":   {token: testToken, path: "/x?token=" + testToken, header: []string{"Host", "evil.example"}, want: 421},
		"token missing":                   {token: testToken, path: "/x", want: 401},
		"token missing, health":           {token: testToken, path: "/healthz", want: 200},
		"token missing, ready":            {token: testToken, path: "/readyz", want: 200},
		"token missing, below health":     {token: testToken, path: "/healthz/../x", want: 401},
		"token wrong":                     {token: testToken, path: "/x", header: []string{"Authorization", "Bearer " + testToken + "0"}, want: 401},
		"token empty":                     {token: testToken, path: "/x?token=", header: []string{"Authorization", "Bearer "}, want: 401},
		"token of another scheme":         {token: testToken, path: "/x", header: []string{"Authorization", "Basic " + testToken}, want: 401},
		"token right":                     {token: testToken, path: "/x", header: []string{"Authorization", "bearer " + testToken}, want: 200},
		"token in the query":              {token: testToken, path: "/x?token=" + testToken, want: 200},
		"token in a browser's query":      {token: testToken, path: "/x?a=1&token=" + testToken, header: []string{"Accept", html}, want: 303},
		"wrong token in a query":          {token: testToken, path: "/x?token=no", header: []string{"Accept", html}, want: 401},
		"cookie":                          {token: testToken, path: "/x", header: []string{"Cookie", cookie}, want: 200},
		"cookie of another token":         {token: testToken + "1", path: "/x", header: []string{"Cookie", cookie}, want: 401},
		"cookie that is the token":        {token: testToken, path: "/x", header: []string{"Cookie", adminCookie + "=" + testToken}, want: 401},
		"other machines, any name":        {token: testToken, other: true, path: "/x", header: []string{"Host", "box.example", "Authorization", "Bearer " + testToken}, want: 200},
		"other machines, no token":        {token: testToken, other: true, path: "/x", header: []string{"Host", "box.example"}, want: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newTestAdmin(test.token)
			a.loopback, a.host = !test.other, "box.test"
			r := httptest.NewRequest(http.MethodGet, test.path, nil)
			r.Host = "127.0.0.1:9100"
			for i := 0; i < len(test.header); i += 2 {
				if test.header[i] == "Host" {
					r.Host = test.header[i+1]
				}
				r.Header.Set(test.header[i], test.header[i+1])
			}
			w := httptest.NewRecorder()
			a.guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("got %d %q, want %d", w.Code, w.Body, test.want)
			}
			if cors := w.Header().Get("Access-Control-Allow-Origin"); cors != "" {
				t.Errorf("Access-Control-Allow-Origin is %q", cors)
			}
		})
	}
}

func newTestAdmin(token string) *admin {
	a := &admin{token: token}
	a.makeCookie()
	return a
}

// adminCookieOf is the cookie that a browser gets for a token.
func adminCookieOf(t *testing.T, token string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/x?a=1&token="+token, nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	newTestAdmin(token).guard(http.NotFoundHandler()).ServeHTTP(w, r)
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || w.Header().Get("Location") != "/x?a=1" {
		t.Fatalf("got %v", w.Header())
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

func TestAdminRefusesWhatAnotherOriginPosts(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, nil, nil)
	url := ts.url
	ts.url = strings.TrimSuffix(ts.AdminURL(), "/")
	defer func() { ts.url = url }()
	if a := ts.do(http.MethodPost, "/healthz", nil, "Origin", "http://evil.example"); a.StatusCode != http.StatusForbidden {
		t.Errorf("got %s", a.Status)
	}
}

func TestReadyTurnsOffBeforeAnythingElseOfAShutdown(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, map[string]string{"index.php": `<?php echo 'hello';`}, func(c *Config) {
		c.Admin = "127.0.0.1:" + strconv.Itoa(patient.Port(t)) // nobody else's after the stop
	})
	if a := ts.askAdmin("/readyz"); a.StatusCode != http.StatusOK || a.body != "ready\n" {
		t.Fatalf("got %s %q", a.Status, a.body)
	}
	ts.reloading.Lock() // a shutdown waits here, before it closes anything
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ts.Stop(t.Context())
	}()
	eventually(t, "ready turns off", func() bool { return ts.askAdmin("/readyz").StatusCode == http.StatusServiceUnavailable })
	if a := ts.get("/"); a.StatusCode != http.StatusOK || a.body != "hello" {
		t.Errorf("behind it, the site answers %s %q", a.Status, a.body)
	}
	if a := ts.askAdmin("/healthz"); a.StatusCode != http.StatusOK || a.body != "ok\n" {
		t.Errorf("behind it, /healthz answers %s %q", a.Status, a.body)
	}
	ts.reloading.Unlock()
	<-stopped
	if _, err := http.Get(ts.AdminURL() + "healthz"); err == nil {
		t.Error("the admin address is open after the stop")
	}
}

func TestNotReadyWithoutAPoolThatCanServe(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, nil, nil)
	ts.pool().Stop(t.Context())
	if a := ts.askAdmin("/readyz"); a.StatusCode != http.StatusServiceUnavailable || a.body != "no workers: www\n" {
		t.Errorf("got %s %q", a.Status, a.body)
	}
}

func TestOndemandIsReadyWithoutWorkers(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, nil, func(c *Config) { c.Pools[0].PM = manager.PMOndemand })
	if n := len(ts.pids()); n != 0 {
		t.Fatalf("there are %d workers", n)
	}
	if a := ts.askAdmin("/readyz"); a.StatusCode != http.StatusOK {
		t.Errorf("got %s %q", a.Status, a.body)
	}
}
