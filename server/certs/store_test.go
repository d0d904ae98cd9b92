package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/phpserve/phpserve/internal/testcerts"
	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/server/listen"
)

// issue has ca write a certificate for names to files called name.
func issue(ca *testcerts.Authority, name string, names ...string) File {
	return File(ca.Issue(name, names...))
}

// testSites is a configuration, and what it is for.
type testSites struct {
	tls    Config
	served Served
}

// newSites has one site per list of hosts, and the listeners.
func newSites(t *testing.T, listeners []string, hosts ...[]string) *testSites {
	t.Helper()
	c := &testSites{tls: DefaultConfig()}
	for _, text := range listeners {
		a, err := listen.Parse(text)
		switch {
		case err != nil:
			t.Fatal(err)
		case a.TLS:
			c.served.HTTPS = append(c.served.HTTPS, a)
		default:
			c.served.Plain = append(c.served.Plain, a)
		}
	}
	for _, h := range hosts {
		c.served.Sites = append(c.served.Sites, Site{Hosts: h, Root: "public"})
	}
	return c
}

// newTestStore calls newCertificates and stops what it returns at the end of the test.
func newTestStore(t *testing.T, c *testSites) *Store {
	t.Helper()
	if c.tls.Storage == "" {
		c.tls.Storage = t.TempDir()
	}
	s, err := New(&c.tls, &c.served, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func TestTLSConfigSaysWhatCannotWorkAndWhatToDo(t *testing.T) {
	ca := testcerts.New(t)
	good, other := issue(ca, "good", "good.test"), issue(ca, "other", "other.test")
	t.Chdir(filepath.Dir(good.Cert))
	if err := os.Mkdir("public", 0o700); err != nil {
		t.Fatal(err)
	}
	testfiles.Put(t, ".", map[string]string{"empty.pem": "nothing\n"})
	good = File{filepath.Base(good.Cert), filepath.Base(good.Key)}
	other = File{filepath.Base(other.Cert), filepath.Base(other.Key)}
	https, both := []string{"https://127.0.0.1:8443"}, []string{":80", ":443"}

	const none = "listen has an https address, but there is no certificate: "
	for _, test := range []struct {
		name   string
		listen []string
		hosts  []string
		change func(*Config)
		want   string
	}{
		{"the defaults with plain listeners", []string{":80"}, nil, nil, ""},
		{"a public host name", both, []string{"www.phpserve.org"}, nil, ""},
		{"a file for a site without hosts", https, nil, func(c *Config) { c.Certificates = []File{good} }, ""},
		{
			"files do not matter without https",
			[]string{":80"},
			nil,
			func(c *Config) { c.Certificates = []File{{"no.pem", "no.key"}} }, "",
		},
		{
			"a private authority certifies any name", https,
			[]string{"intranet", "localhost"},
			func(c *Config) { c.CA = "https://ca.internal/directory" }, "",
		},
		{"no hosts", https, nil, nil, none + "set hosts of a site for automatic ones, or tls.certificates"},
		{
			"only local names", https,
			[]string{"localhost", "127.0.0.1", "box", "a.test", "nas.local"},
			nil,
			none + `none is to be had automatically for "localhost", "127.0.0.1", "box", "a.test", "nas.local"; ` +
				"set tls.certificates, or tls.ca to a private authority",
		},
		{
			"a wildcard needs a file", https,
			[]string{"*.phpserve.org"},
			nil,
			none + `none is to be had automatically for "*.phpserve.org"; set tls.certificates, or tls.ca to a private authority`,
		},
		{
			"Let's Encrypt's staging is public", https,
			[]string{"box"},
			func(c *Config) { c.CA = "https://acme-staging-v02.api.letsencrypt.org/directory" },
			none + `none is to be had automatically for "box"; set tls.certificates, or tls.ca to a private authority`,
		},
		{
			"auto is off", https,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.Auto = false },
			none + "set tls.certificates, or tls.auto to true",
		},
		{
			"a missing file", https, nil, func(c *Config) { c.Certificates = []File{{"no.pem", good.Key}} },
			`tls.certificates: cannot use certificate "no.pem" with key "good.key": open no.pem: no such file or directory`,
		},
		{
			"the key of another certificate", https, nil,
			func(c *Config) { c.Certificates = []File{{good.Cert, other.Key}} },
			`tls.certificates: cannot use certificate "good.pem" with key "other.key": tls: private key does not match public key`,
		},
		{
			"a file that is no certificate", https, nil,
			func(c *Config) { c.Certificates = []File{{"empty.pem", good.Key}} },
			`tls.certificates: cannot use certificate "empty.pem" with key "good.key": ` +
				"tls: failed to find any PEM data in certificate input",
		},
		{
			"a key that could be downloaded", https, nil,
			func(c *Config) { c.Certificates = []File{{"public/no.pem", "public/no.key"}} },
			`tls.certificates: key "public/no.key" lies in the document root "public", where it could be downloaded` + "\n" +
				`tls.certificates: cannot use certificate "public/no.pem" with key "public/no.key": ` +
				"open public/no.pem: no such file or directory",
		},
		{
			"a storage that could be downloaded", both,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.Storage = "public/keys" },
			`tls.storage: "public/keys" lies in the document root "public", where keys could be downloaded`,
		},
		{
			"the document root as storage", both,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.Storage = "public" },
			`tls.storage: "public" lies in the document root "public", where keys could be downloaded`,
		},
		{
			"a hidden storage is never served", both,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.Storage = "public/.keys" }, "",
		},
		{
			"an unknown challenge",
			[]string{":80"},
			nil, func(c *Config) { c.Challenges = []string{"dns-01"} },
			`tls.challenges must be one of http-01, tls-alpn-01, not "dns-01"`,
		},
		{
			"a challenge without its listener", https,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.Challenges = []string{HTTP01} },
			"tls.challenges: the listen addresses allow none of http-01: " +
				"http-01 needs a plain one and tls-alpn-01 an https one, with a port other than 0",
		},
		{
			"no known port for any challenge",
			[]string{"https://:0"},
			[]string{"www.phpserve.org"},
			nil,
			"tls.challenges: the listen addresses allow none of http-01, tls-alpn-01: " +
				"http-01 needs a plain one and tls-alpn-01 an https one, with a port other than 0",
		},
		{
			"a wrong address",
			[]string{":80"},
			nil, func(c *Config) { c.Email = "Ops <ops@phpserve.org>" },
			`tls.email: "Ops <ops@phpserve.org>" must be an e-mail address`,
		},
		{
			"a directory without encryption",
			[]string{":80"},
			nil, func(c *Config) { c.CA = "http://ca.internal/directory" },
			`tls.ca: "http://ca.internal/directory" must be the https:// URL of an ACME directory`,
		},
		{
			"a missing root", both,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.CARoot = "no.pem" },
			"tls.ca_root: cannot read the file: open no.pem: no such file or directory",
		},
		{
			"a root that is none", both,
			[]string{"www.phpserve.org"},
			func(c *Config) { c.CARoot = "empty.pem" },
			`tls.ca_root: "empty.pem" holds no certificate in PEM`,
		},
		{
			"a port that is none",
			[]string{":80"},
			nil, func(c *Config) { c.RedirectPort = 65536 },
			"tls.redirect_port must be a port, or 0 for the https listener's, not 65536",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newSites(t, test.listen, test.hosts)
			if test.change != nil {
				test.change(&c.tls)
			}
			got := ""
			if err := errors.Join(c.tls.Validate(&c.served)...); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// served200 is the handler behind the redirects.
var served200 = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })

func TestPlainRequestsAreRedirectedOnlyToHostsWithACertificate(t *testing.T) {
	ca := testcerts.New(t)
	files := []File{issue(ca, "a", "site.test", "*.wild.test", "::1", "127.0.0.1")}
	for _, test := range []struct {
		name    string
		listen  []string
		change  func(*testSites)
		method  string
		target  string // as in the request line
		host    string
		header  http.Header
		status  int
		address string
	}{
		{name: "GET", target: "/", host: "site.test", status: 301, address: "https://site.test:8443/"},
		{name: "HEAD", method: "HEAD", target: "/", host: "site.test", status: 301, address: "https://site.test:8443/"},
		{
			name: "POST keeps its method", method: "POST", target: "/form", host: "site.test", status: 308,
			address: "https://site.test:8443/form",
		},
		{
			name: "path and query stay as they were written", target: "/a%2Fb/%C3%A4/c%20d?x=%26&y=1+2?z", host: "site.test", status: 301,
			address: "https://site.test:8443/a%2Fb/%C3%A4/c%20d?x=%26&y=1+2?z",
		},
		{name: "an empty query stays", target: "/p?", host: "site.test", status: 301, address: "https://site.test:8443/p?"},
		{
			name: "two slashes are no host", target: "//evil.test/x", host: "site.test", status: 301,
			address: "https://site.test:8443//evil.test/x",
		},
		{name: "the port of the request is replaced", target: "/", host: "site.test:8080", status: 301, address: "https://site.test:8443/"},
		{name: "case and a final dot do not matter", target: "/", host: "SITE.test.", status: 301, address: "https://site.test:8443/"},
		{name: "a name that the wildcard covers", target: "/", host: "x.wild.test", status: 301, address: "https://x.wild.test:8443/"},
		{name: "two labels are not covered", target: "/", host: "y.x.wild.test", status: 200},
		{name: "the wildcard itself is no host", target: "/", host: "*.wild.test", status: 200},
		{name: "an address", target: "/", host: "127.0.0.1:8080", status: 301, address: "https://127.0.0.1:8443/"},
		{name: "an address of version 6", target: "/", host: "[::1]:8080", status: 301, address: "https://[::1]:8443/"},
		{name: "an unknown host (CWE-601)", target: "/", host: "evil.test", status: 200},
		{name: "a host with a known one before it", target: "/", host: "site.test@evil.test", status: 200},
		{name: "a host with a known one behind it", target: "/", host: "evil.test/.site.test", status: 200},
		{name: "no host", target: "/", host: "", status: 200},
		{name: "a whole URL as target", target: "http://site.test/p?q", host: "site.test", status: 301, address: "https://site.test:8443/p?q"},
		{
			name: "a challenge that is none of ours", target: "/.well-known/acme-challenge/token", host: "site.test", status: 301,
			address: "https://site.test:8443/.well-known/acme-challenge/token",
		},
		{
			name: "a path beside a challenge", target: "/.well-known/acme-challenge/../../private", host: "site.test", status: 301,
			address: "https://site.test:8443/.well-known/acme-challenge/../../private",
		},
		{name: "OPTIONS * is about the server", method: "OPTIONS", target: "*", host: "site.test", status: 200},
		{name: "TRACE is for the refusal behind", method: "TRACE", target: "/", host: "site.test", status: 200},
		{
			name: "the usual port is left out", listen: []string{":80", "https://:8443", ":443"}, target: "/", host: "site.test", status: 301,
			address: "https://site.test/",
		},
		{
			name: "the published port of a container", change: func(c *testSites) { c.tls.RedirectPort = 9443 }, target: "/", host: "site.test",
			status: 301, address: "https://site.test:9443/",
		},
		{
			name: "the published port is the usual one", change: func(c *testSites) { c.tls.RedirectPort = 443 }, target: "/", host: "site.test",
			status: 301, address: "https://site.test/",
		},
		{name: "a port that nobody knows", listen: []string{":80", "https://:0"}, target: "/", host: "site.test", status: 200},
		{name: "redirect is off", change: func(c *testSites) { c.tls.Redirect = false }, target: "/", host: "site.test", status: 200},
		{
			name: "a trusted proxy has HTTPS already", target: "/", host: "site.test", status: 200,
			change: func(c *testSites) { c.served.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} },
			header: http.Header{"X-Forwarded-Proto": {"https"}},
		},
		{
			name: "a stranger is not believed", target: "/", host: "site.test", status: 301, address: "https://site.test:8443/",
			header: http.Header{"X-Forwarded-Proto": {"https"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.listen == nil {
				test.listen = []string{":8080", "https://:8443"}
			}
			c := newSites(t, test.listen, []string{"site.test", "*.wild.test"})
			c.tls.Certificates = files
			if test.change != nil {
				test.change(c)
			}
			if test.method == "" {
				test.method = "GET"
			}
			r := httptest.NewRequest(test.method, test.target, nil) // its client is 192.0.2.1
			r.Host = test.host
			maps.Copy(r.Header, test.header)
			w := httptest.NewRecorder()
			newTestStore(t, c).Plain(served200).ServeHTTP(w, r)
			if w.Code != test.status || w.Header().Get("Location") != test.address {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Header().Get("Location"), test.status, test.address)
			}
		})
	}
}

func TestRedirectWaitsForTheFirstCertificate(t *testing.T) {
	c := newSites(t, []string{":8080", "https://:8443"}, []string{"www.phpserve.org"})
	s := newTestStore(t, c)
	status := func() int {
		w := httptest.NewRecorder()
		s.Plain(served200).ServeHTTP(w, httptest.NewRequest("GET", "http://www.phpserve.org/", nil))
		return w.Code
	}
	if got := status(); got != 200 {
		t.Errorf("without a certificate: got %d, want 200", got)
	}
	s.managed["www.phpserve.org"].ready.Store(true)
	if got := status(); got != 301 {
		t.Errorf("with a certificate: got %d, want 301", got)
	}
}

func TestWithoutAnHTTPSListenerNothingStandsBeforeTheHandler(t *testing.T) {
	s := newTestStore(t, newSites(t, []string{":80"}, []string{"www.phpserve.org"}))
	next := http.NewServeMux()
	if got := s.Plain(next); got != http.Handler(next) {
		t.Errorf("got %T, want the handler itself", got)
	}
	s.Start(t.Context())
	if s.cache != nil {
		t.Error("certmagic was started")
	}
}

func TestStopWithoutStart(t *testing.T) {
	var none *Store
	none.Stop()
	s := newTestStore(t, newSites(t, []string{":443"}, []string{"www.phpserve.org"}))
	s.Stop()
	s.Stop()
}

// handshake connects to a TLS server with config and returns what the client sees.
func handshake(t *testing.T, config *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- tls.Server(far, config).HandshakeContext(t.Context())
	}()
	conn := tls.Client(near, client)
	err := conn.HandshakeContext(t.Context())
	near.Close()
	<-done
	return conn.ConnectionState(), err
}

func TestCertificateOfTheNameIsServed(t *testing.T) {
	ca := testcerts.New(t)
	a, b, wild := issue(ca, "a", "a.test"), issue(ca, "b", "b.test", "sub.wild.test"), issue(ca, "wild", "*.wild.test")
	for _, test := range []struct {
		name  string
		files []File
		hosts [][]string // of each site
		sni   string
		want  string // empty: refused
	}{
		{"its own", []File{a, b}, [][]string{{"a.test"}, {"b.test"}}, "b.test", "b"},
		{"in any case", []File{a, b}, [][]string{{"a.test"}, {"b.test"}}, "B.Test", "b"},
		{"a wildcard", []File{a, wild}, [][]string{{"a.test"}, {"*.wild.test"}}, "x.wild.test", "wild"},
		{"the first that covers it", []File{a, b, wild}, [][]string{{"a.test"}, {"*.wild.test"}}, "sub.wild.test", "b"},
		{"a name of the certificate alone", []File{a, b}, [][]string{{"a.test"}}, "b.test", "b"},
		// CVE-2018-19148: whoever asks for no name or an unknown one learns the first site's names at most.
		{"CVE-2018-19148: unknown name", []File{b, a}, [][]string{{"a.test"}, {"b.test"}}, "c.test", "a"},
		{"CVE-2018-19148: no name", []File{b, a}, [][]string{{"a.test"}, {"b.test"}}, "", "a"},
		{"CVE-2018-19148: the first site's wildcard", []File{b, wild}, [][]string{{"*.wild.test"}, {"b.test"}}, "", "wild"},
		{"CVE-2018-19148: the first site has none", []File{b}, [][]string{{"a.test"}, {"b.test"}}, "c.test", ""},
		{"a first site for any host has the first file", []File{b, a}, [][]string{nil, {"a.test"}}, "c.test", "b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newSites(t, []string{"https://:8443"}, test.hosts...)
			c.tls.Certificates = test.files
			state, err := handshake(t, newTestStore(t, c).TLSConfig(), &tls.Config{ServerName: test.sni, InsecureSkipVerify: true})
			if test.want == "" {
				if err == nil || err.Error() != "remote error: tls: unrecognized name" {
					t.Errorf("got %v, want the alert unrecognized_name", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := state.PeerCertificates[0].Subject.CommonName; got != test.want {
				t.Errorf("got the certificate %q, want %q", got, test.want)
			}
		})
	}
}

func TestNameWithoutACertificateYetIsNotServedAnother(t *testing.T) {
	ca := testcerts.New(t)
	c := newSites(t, []string{"https://:8443"}, []string{"a.test"}, []string{"www.phpserve.org"})
	c.tls.Certificates = []File{issue(ca, "a", "a.test")}
	s := newTestStore(t, c)
	close(s.managed["www.phpserve.org"].loaded)
	_, err := handshake(t, s.TLSConfig(), &tls.Config{ServerName: "www.phpserve.org", InsecureSkipVerify: true})
	if err == nil || err.Error() != "remote error: tls: internal error" {
		t.Errorf("got %v, want the alert internal_error", err)
	}
}

func TestOldTLSVersionsAreRefused(t *testing.T) {
	ca := testcerts.New(t)
	c := newSites(t, []string{"https://:8443"}, []string{"a.test"})
	c.tls.Certificates = []File{issue(ca, "a", "a.test")}
	s := newTestStore(t, c)
	for name, test := range map[string]struct {
		version uint16
		ok      bool
	}{
		"1.0": {tls.VersionTLS10, false}, "1.1": {tls.VersionTLS11, false}, "1.2": {tls.VersionTLS12, true}, "1.3": {tls.VersionTLS13, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := handshake(t, s.TLSConfig(), &tls.Config{
				ServerName: "a.test", RootCAs: ca.Pool, MinVersion: test.version, MaxVersion: test.version,
			})
			if (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHTTP2IsNegotiatedOverOwnCertificate(t *testing.T) {
	ca := testcerts.New(t)
	c := newSites(t, []string{"https://127.0.0.1:8443"}, []string{"a.test"})
	c.tls.Certificates = []File{issue(ca, "a", "a.test")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }),
		TLSConfig: newTestStore(t, c).TLSConfig(),
	}
	served := make(chan error, 1)
	go func() { served <- h.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		h.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	for _, test := range []struct {
		http2 bool
		want  string
	}{{true, "HTTP/2.0"}, {false, "HTTP/1.1"}} {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool, ServerName: "a.test"}, ForceAttemptHTTP2: test.http2,
		}
		defer transport.CloseIdleConnections()
		got, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		if body, err := io.ReadAll(got.Body); err != nil || string(body) != test.want || got.Proto != test.want {
			t.Errorf("got %s and %q, %v, want %s", got.Proto, body, err, test.want)
		}
	}
}

func TestChangedCertificateFilesAreReadAgain(t *testing.T) {
	ca := testcerts.New(t)
	pair, next := issue(ca, "old", "a.test"), issue(ca, "new", "a.test")
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		f, err := openFileCertificate(pair, nil, slog.New(slog.NewTextHandler(&text, nil)))
		if err != nil {
			t.Fatal(err)
		}
		want := func(name, when string) {
			t.Helper()
			if got := f.current().Leaf.Subject.CommonName; got != name {
				t.Fatalf("%s: got the certificate %q, want %q", when, got, name)
			}
		}
		copyFile := func(from, to string) {
			t.Helper()
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			testfiles.Put(t, filepath.Dir(to), map[string]string{filepath.Base(to): string(b)})
		}
		failures := func() int { return strings.Count(text.String(), "cannot reload certificate") }
		text.Reset() // the bubble's clock is far from the certificates' time
		want("old", "at first")

		copyFile(next.Cert, pair.Cert)
		want("old", "within the second")
		time.Sleep(fileCheckInterval) // the bubble's time
		want("old", "while the key is still the old one")
		if failures() != 1 {
			t.Errorf("a bad pair was logged %d times, want once:\n%s", failures(), &text)
		}
		time.Sleep(fileCheckInterval)
		want("old", "as long as nothing changes")
		if failures() != 1 {
			t.Errorf("an unchanged bad pair was logged %d times, want once:\n%s", failures(), &text)
		}

		copyFile(next.Key, pair.Key)
		want("old", "within the second of the last check")
		time.Sleep(fileCheckInterval)
		want("new", "when both files are new")

		if err := os.Remove(pair.Cert); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(fileCheckInterval)
			want("new", "when a file is gone")
		}
		if failures() != 2 {
			t.Errorf("a missing file was logged %d times, want once:\n%s", failures()-1, &text)
		}
	})
}

func TestZapEntriesReachSlog(t *testing.T) {
	var text bytes.Buffer
	handler := slog.NewTextHandler(&text, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	for _, test := range []struct {
		name string
		log  func(*zap.Logger)
		want string
	}{
		{"debug", func(z *zap.Logger) { z.Debug("m") }, "level=DEBUG msg=m\n"},
		{"a step is a detail", func(z *zap.Logger) { z.Info("m") }, "level=DEBUG msg=m\n"},
		{"warning", func(z *zap.Logger) { z.Warn("m") }, "level=WARN msg=m\n"},
		{"error", func(z *zap.Logger) { z.Error("m") }, "level=ERROR msg=m\n"},
		{"a logger's name", func(z *zap.Logger) { z.Named("a").Named("b").Error("m") }, "level=ERROR msg=m logger=a.b\n"},
		{"fields in their order", func(z *zap.Logger) {
			z.Error("m", zap.String("z", "1 2"), zap.Int("a", 3), zap.Strings("l", []string{"x", "y"}), zap.Duration("d", time.Second))
		}, `level=ERROR msg=m z="1 2" a=3 l="[x y]" d=1s` + "\n"},
		{"an error", func(z *zap.Logger) { z.Error("m", zap.Error(errors.New("no way"))) }, `level=ERROR msg=m error="no way"` + "\n"},
		{
			"fields of the logger", func(z *zap.Logger) { z.With(zap.String("k", "v")).Error("m", zap.Int("n", 1)) },
			"level=ERROR msg=m k=v n=1\n",
		},
		{
			"a namespace", func(z *zap.Logger) { z.With(zap.Namespace("ns")).Error("m", zap.Int("n", 1)) },
			"level=ERROR msg=m ns.n=1\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			text.Reset()
			test.log(zap.New(newZapCore(slog.New(handler))))
			if text.String() != test.want {
				t.Errorf("got %q, want %q", &text, test.want)
			}
		})
	}
	quiet := newZapCore(slog.New(slog.NewTextHandler(&text, nil)))
	if quiet.Enabled(zapcore.InfoLevel) || !quiet.Enabled(zapcore.WarnLevel) {
		t.Error("the level of the slog handler does not count")
	}
}
