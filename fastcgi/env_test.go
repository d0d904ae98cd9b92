package fastcgi

import (
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// decode returns the parameters as NAME=VALUE and fails on a name that occurs
// twice.
func decode(t testing.TB, p []byte) []string {
	t.Helper()
	var all []string
	seen := map[string]bool{}
	for len(p) > 0 {
		name, value, rest, err := NextParam(p)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(name)] {
			t.Errorf("%s occurs twice", name)
		}
		seen[string(name)] = true
		all = append(all, string(name)+"="+string(value))
		p = rest
	}
	return all
}

// lookup returns the value of one parameter and whether it was sent.
func lookup(t testing.TB, e *Environment, name string) (string, bool) {
	t.Helper()
	for _, p := range decode(t, e.AppendParams(nil)) {
		if value, ok := strings.CutPrefix(p, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func fullEnvironment(d Dialect) *Environment {
	return &Environment{
		Dialect: d,
		Method:  "POST", Proto: "HTTP/1.1", RequestURI: "/x/index.php/p%20q?a=1", QueryString: "a=1", Host: "example.org:8443",
		Header: http.Header{
			"Content-Type": {"text/plain"}, "Content-Length": {"7"}, "Accept": {"*/*", "text/html"},
			"Cookie": {"a=1", "b=2"}, "Authorization": {"Basic Zm9vOmJhcg=="}, "X-Request-Id": {"client's"},
		},
		ContentLength: 7,
		ScriptName:    "/x/index.php", ScriptFilename: "/srv/x/index.php", PathInfo: "/p q", DocumentRoot: "/srv",
		RemoteAddr: "192.0.2.1", RemotePort: "4711", ServerAddr: "192.0.2.2", ServerPort: "8443", ServerName: "example.org", Scheme: "https",
		ServerSoftware: "phpserve/1", RemoteUser: "foo", AuthType: "Basic", RequestID: "ours",
		Extra: []string{"APP_ENV=prod"},
	}
}

func TestDialectPHPSendsWhatPHPApplicationsExpect(t *testing.T) {
	want := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=phpserve/1", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_METHOD=POST",
		"QUERY_STRING=a=1", "CONTENT_TYPE=text/plain", "CONTENT_LENGTH=7", "SCRIPT_NAME=/x/index.php",
		"SCRIPT_FILENAME=/srv/x/index.php", "DOCUMENT_ROOT=/srv", "PATH_INFO=/p q", "REMOTE_ADDR=192.0.2.1",
		"SERVER_PORT=8443", "HTTPS=on", "REMOTE_USER=foo", "AUTH_TYPE=Basic",
		"REQUEST_URI=/x/index.php/p%20q?a=1", "DOCUMENT_URI=/x/index.php/p q", "REMOTE_PORT=4711",
		"SERVER_ADDR=192.0.2.2", "SERVER_NAME=example.org", "REQUEST_SCHEME=https", "REDIRECT_STATUS=200",
		"HTTP_HOST=example.org:8443", "HTTP_X_REQUEST_ID=ours", "HTTP_ACCEPT=*/*, text/html",
		"HTTP_AUTHORIZATION=Basic Zm9vOmJhcg==", "HTTP_CONTENT_LENGTH=7", "HTTP_CONTENT_TYPE=text/plain", "HTTP_COOKIE=a=1; b=2", "APP_ENV=prod",
	}
	if got := decode(t, fullEnvironment(DialectPHP).AppendParams(nil)); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDialectRFC3875SendsTheStandardAndWhatTheSAPINeeds(t *testing.T) {
	want := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=phpserve/1", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_METHOD=POST",
		"QUERY_STRING=a=1", "CONTENT_TYPE=text/plain", "CONTENT_LENGTH=7", "SCRIPT_NAME=/x/index.php",
		"SCRIPT_FILENAME=/srv/x/index.php", "DOCUMENT_ROOT=/srv", "PATH_INFO=/p q", "REMOTE_ADDR=192.0.2.1",
		"SERVER_PORT=8443", "HTTPS=on", "REMOTE_USER=foo", "AUTH_TYPE=Basic",
		"SERVER_NAME=example.org", "REMOTE_HOST=192.0.2.1", "PATH_TRANSLATED=/srv/p q",
		"HTTP_HOST=example.org:8443", "HTTP_X_REQUEST_ID=ours", "HTTP_ACCEPT=*/*, text/html", "HTTP_COOKIE=a=1; b=2", "APP_ENV=prod",
	}
	if got := decode(t, fullEnvironment(DialectRFC3875).AppendParams(nil)); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestVariablesOfOneField(t *testing.T) {
	const absent = "(absent)"
	both := []Dialect{DialectPHP, DialectRFC3875}
	php, rfc := both[:1], both[1:]
	tests := []struct {
		rule     string
		dialects []Dialect
		e        Environment
		name     string
		want     string
	}{
		{"RFC 3875 4.1.7: empty query is sent", both, Environment{}, "QUERY_STRING", ""},
		{"RFC 3875 4.1.13: empty script name is sent", both, Environment{}, "SCRIPT_NAME", ""},
		{"RFC 3875 4.1.2: no body, no length", both, Environment{ContentLength: -1}, "CONTENT_LENGTH", absent},
		{"an empty body has a length", both, Environment{ContentLength: 0}, "CONTENT_LENGTH", "0"},
		{"Transfer-Encoding that net/http took off", php, Environment{TransferEncoding: "chunked"}, "HTTP_TRANSFER_ENCODING", "chunked"},
		{"RFC 9110 7.6.1: Transfer-Encoding is of the connection", rfc, Environment{TransferEncoding: "chunked"}, "HTTP_TRANSFER_ENCODING", absent},
		{"RFC 3875 4.1.2: large", both, Environment{ContentLength: 1 << 62}, "CONTENT_LENGTH", "4611686018427387904"},
		{"RFC 3875 4.1.3: type without a body", both, Environment{Header: http.Header{"Content-Type": {"a/b"}}}, "CONTENT_TYPE", "a/b"},
		{"RFC 3875 4.1.3: no type", both, Environment{ContentLength: 1}, "CONTENT_TYPE", absent},
		{"RFC 3875 4.1.5: no path info", both, Environment{}, "PATH_INFO", absent},
		{"RFC 3875 4.1.6: no path info, nothing translated", both, Environment{DocumentRoot: "/srv"}, "PATH_TRANSLATED", absent},
		{"PATH_TRANSLATED would be run in place of the script", php, Environment{DocumentRoot: "/srv", PathInfo: "/up/evil.jpg"}, "PATH_TRANSLATED", absent},
		{"the same with the operator's REDIRECT_URL", rfc, Environment{DocumentRoot: "/srv", PathInfo: "/a", Extra: []string{"REDIRECT_URL=/"}}, "PATH_TRANSLATED", absent},
		{"PATH_TRANSLATED is not of another path info", rfc, Environment{DocumentRoot: "/srv", PathInfo: "/a", Extra: []string{"PATH_INFO=/b"}}, "PATH_TRANSLATED", absent},
		{"RFC 3875 4.1.1: no authentication", both, Environment{}, "AUTH_TYPE", absent},
		{"RFC 3875 4.1.10 is never sent", both, *fullEnvironment(DialectPHP), "REMOTE_IDENT", absent},
		{"RFC 3875 4.1.14: IPv6 in brackets", rfc, Environment{ServerName: "::1"}, "SERVER_NAME", "[::1]"},
		{"RFC 3875 4.1.14: brackets once", rfc, Environment{ServerName: "[::1]"}, "SERVER_NAME", "[::1]"},
		{"HTTPS only for https", both, Environment{Scheme: "http"}, "HTTPS", absent},
		{"HTTP/1.0 without Host", both, Environment{}, "HTTP_HOST", absent},
		{"no request id, the client's is sent", both, Environment{Header: http.Header{"X-Request-Id": {"c"}}}, "HTTP_X_REQUEST_ID", "c"},
		{"RFC 3875 4.1.18: credentials withheld", rfc, *fullEnvironment(DialectRFC3875), "HTTP_AUTHORIZATION", absent},
		{"RFC 3875 4.1.18: credentials of the proxy withheld", rfc, Environment{Header: http.Header{"Proxy-Authorization": {"x"}}}, "HTTP_PROXY_AUTHORIZATION", absent},
		{"non-standard REQUEST_URI", rfc, *fullEnvironment(DialectRFC3875), "REQUEST_URI", absent},
		{"REDIRECT_URL is never sent", both, *fullEnvironment(DialectPHP), "REDIRECT_URL", absent},
	}
	for _, tt := range tests {
		for _, d := range tt.dialects {
			t.Run(fmt.Sprintf("%s/%d", tt.rule, d), func(t *testing.T) {
				e := tt.e
				e.Dialect = d
				got, ok := lookup(t, &e, tt.name)
				if !ok {
					got = absent
				}
				if got != tt.want {
					t.Errorf("%s is %q, want %q", tt.name, got, tt.want)
				}
			})
		}
	}
}

// httpParams returns the HTTP_* parameters of a header.
func httpParams(t *testing.T, d Dialect, header http.Header) []string {
	t.Helper()
	e := Environment{Dialect: d, Header: header}
	base := decode(t, (&Environment{Dialect: d}).AppendParams(nil))
	return slices.DeleteFunc(decode(t, e.AppendParams(nil)), func(p string) bool { return slices.Contains(base, p) })
}

func TestHeaderBecomesVariables(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		want   []string
	}{
		{"letters, digits and hyphen", http.Header{"X-Ab9-Z": {"v"}}, []string{"HTTP_X_AB9_Z=v"}},
		{"repeated", http.Header{"A": {"1", "2", "3"}}, []string{"HTTP_A=1, 2, 3"}},
		{"repeated cookie", http.Header{"Cookie": {"a=1", "b=2"}}, []string{"HTTP_COOKIE=a=1; b=2"}},
		{"empty value", http.Header{"A": {""}}, []string{"HTTP_A="}},
		{"no value", http.Header{"A": {}}, nil},
		{"one name in two spellings", http.Header{"x-a": {"2"}, "X-A": {"2"}, "X-B": {"1"}}, []string{"HTTP_X_A=2, 2", "HTTP_X_B=1"}},
		{"httpoxy CVE-2016-5385", http.Header{"Proxy": {"evil:1"}}, nil},
		{"httpoxy CVE-2016-5385 lower case", http.Header{"proxy": {"evil:1"}}, nil},
		{"httpoxy CVE-2016-5385 upper case", http.Header{"PROXY": {"evil:1"}}, nil},
		{"GHSA-f59h-q822-g45g underscore", http.Header{"Remote_user": {"root"}, "X_Forwarded_For": {"::1"}, "Content_Length": {"9"}, "Proxy_": {"x"}, "_": {"x"}}, nil},
		{"GHSA-49wc-4hcv-v58q dot", http.Header{"Remote.user": {"root"}, "X.Real.IP": {"::1"}}, nil},
		{"other token characters", http.Header{"A!": {"x"}, "B~": {"x"}, "C`": {"x"}, "D^": {"x"}, "": {"x"}}, nil},
		{"not ascii", http.Header{"Ä": {"x"}, "İ": {"x"}}, nil},
		{"variables of their own", http.Header{"content-length": {"1"}, "Host": {"evil"}}, []string{"HTTP_CONTENT_LENGTH=1"}},
		{"CVE-2024-8927 keeps its prefix", http.Header{"Redirect-Status": {"200"}}, []string{"HTTP_REDIRECT_STATUS=200"}},
		{
			"ini settings keep their prefix",
			http.Header{"Php-Value": {"auto_prepend_file=php://input"}, "Php-Admin-Value": {"x"}},
			[]string{"HTTP_PHP_ADMIN_VALUE=x", "HTTP_PHP_VALUE=auto_prepend_file=php://input"},
		},
		{"hop-by-hop", http.Header{
			"Connection": {"close, X-Hop", "x-hop2 , "}, "X-Hop": {"1"}, "X-Hop2": {"1"}, "X-Kept": {"1"}, "Keep-Alive": {"1"},
			"Te": {"trailers"}, "Upgrade": {"h2c"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"x"}, "Proxy-Connection": {"close"},
		}, []string{
			"HTTP_CONNECTION=close, X-Hop, x-hop2 , ", "HTTP_KEEP_ALIVE=1", "HTTP_PROXY_CONNECTION=close", "HTTP_TE=trailers", "HTTP_TRAILER=x",
			"HTTP_TRANSFER_ENCODING=chunked", "HTTP_UPGRADE=h2c", "HTTP_X_HOP=1", "HTTP_X_HOP2=1", "HTTP_X_KEPT=1",
		}},
		{"longer than any buffer", http.Header{"X-" + strings.Repeat("L", 300): {"v"}}, []string{"HTTP_X_" + strings.Repeat("L", 300) + "=v"}},
		{"prefix sorts first", http.Header{"Ab": {"2"}, "A": {"1"}, "A-B": {"3"}}, []string{"HTTP_A=1", "HTTP_AB=2", "HTTP_A_B=3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := httpParams(t, DialectPHP, tt.header); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRFC3875HeaderHasNothingOfTheConnection(t *testing.T) {
	header := http.Header{
		"Connection": {"close, X-Hop", "x-hop2 , "}, "X-Hop": {"1"}, "X-Hop2": {"1"}, "X-Kept": {"1"}, "Keep-Alive": {"1"}, "Content-Length": {"1"},
		"Te": {"trailers"}, "Upgrade": {"h2c"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"x"}, "Proxy-Connection": {"close"},
	}
	if got, want := httpParams(t, DialectRFC3875, header), []string{"HTTP_X_KEPT=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// With the dialect of RFC 3875, a Connection field names fields in any case and order; what could name none, or one of the same beginning, counts for nothing.
func TestConnectionOptionsTakeAwayTheFieldsTheyName(t *testing.T) {
	header := http.Header{"Connection": {"X-C,x-a", "X_D, , x-bb,X.E\x00, close", "X-A"}}
	for _, name := range []string{"X-A", "X-B", "X-C", "X-D", "x-c", "X"} {
		header[name] = []string{"v"}
	}
	if got, want := httpParams(t, DialectRFC3875, header), []string{"HTTP_X=v", "HTTP_X_B=v", "HTTP_X_D=v"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Comparing each field with each option took half a second of a processor for 40 KB of header.
func TestManyConnectionOptionsAreNotComparedWithEachField(t *testing.T) {
	took := func(options int) time.Duration {
		header := http.Header{"Connection": {strings.Repeat("ab,", options)}}
		for i := range 2200 {
			header[fmt.Sprintf("X%d", i)] = []string{""}
		}
		e := Environment{Header: header}
		began := time.Now()
		e.AppendParams(nil)
		return time.Since(began)
	}
	// A hundred times the options would take nearly a hundred times as long. What else the machine does only adds to a time.
	few, many := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	patient.Eventually(t, "many options take not much longer than few", func() bool {
		few, many = min(few, took(80)), min(many, took(8000))
		return many < 20*few
	})
}

func TestManyFieldsKeepAFixedOrder(t *testing.T) {
	header := http.Header{}
	for i := range 200 {
		header.Set(fmt.Sprintf("X-%03d", i), "v")
	}
	got := httpParams(t, DialectRFC3875, header)
	if len(got) != 200 || !slices.IsSorted(got) {
		t.Errorf("%d variables, sorted %v", len(got), slices.IsSorted(got))
	}
}

func TestExtraReplacesAndComesLast(t *testing.T) {
	e := fullEnvironment(DialectPHP)
	e.Extra = []string{"A=1", "HTTPS=off", "HTTP_ACCEPT=none", "HTTP_HOST=h", "HTTP_X_REQUEST_ID=x", "A=2=3", "PATH_INFO=", "noequals", "=noname", "REDIRECT_STATUS=404"}
	want := []string{"HTTPS=off", "HTTP_ACCEPT=none", "HTTP_HOST=h", "HTTP_X_REQUEST_ID=x", "A=2=3", "PATH_INFO=", "REDIRECT_STATUS=404"}
	got := decode(t, e.AppendParams(nil))
	if tail := got[len(got)-len(want):]; !slices.Equal(tail, want) {
		t.Errorf("got %q, want %q", tail, want)
	}
}

func TestEveryParameterOfTheClientHasThePrefixHTTP(t *testing.T) {
	header := http.Header{}
	for _, name := range []string{"REMOTE-ADDR", "Script-Filename", "Https", "Document-Root", "Php-Value", "Http-Host", "-", "Path-Translated", "Env"} {
		header.Set(name, "evil")
	}
	for _, d := range []Dialect{DialectPHP, DialectRFC3875} {
		e := Environment{Dialect: d, Header: header}
		for _, p := range decode(t, e.AppendParams(nil)) {
			if strings.HasSuffix(p, "=evil") && !strings.HasPrefix(p, "HTTP_") {
				t.Errorf("dialect %d: %s", d, p)
			}
		}
	}
}

func TestAppendParamsKeepsWhatIsThere(t *testing.T) {
	e := fullEnvironment(DialectPHP)
	if got := e.AppendParams([]byte("before")); string(got) != "before"+string(e.AppendParams(nil)) {
		t.Errorf("got %.60q", got)
	}
}

func TestAppendParamsDoesNotAllocate(t *testing.T) {
	e := browserEnvironment()
	dst := make([]byte, 0, 8192)
	if allocs := testing.AllocsPerRun(100, func() { e.AppendParams(dst) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// browserEnvironment is what a usual request of a browser gives.
func browserEnvironment() *Environment {
	e := fullEnvironment(DialectPHP)
	e.Extra = nil
	for _, name := range []string{
		"User-Agent", "Accept-Language", "Accept-Encoding", "Referer", "Upgrade-Insecure-Requests", "Sec-Fetch-Dest",
		"Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Priority", "Cache-Control",
	} {
		e.Header.Set(name, strings.Repeat("v", 40))
	}
	e.Header.Set("Connection", "keep-alive")
	return e
}

func BenchmarkAppendParams(b *testing.B) {
	e := browserEnvironment()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendParams(dst[:0])
	}
}
