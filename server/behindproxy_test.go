package server

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// from sends a request from another loopback address, as a proxy on another machine would.
func from(t *testing.T, ts *testServer, addr, request string) map[string]any {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	conn, err := d.DialContext(context.Background(), "tcp", ts.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, request)
	got := readAnswer(t, bufio.NewReader(conn), "GET")
	vars := serverVars(t, got)
	vars["response id"] = got.Header.Get("X-Request-Id")
	return vars
}

// proxyFields are what applications and frameworks read a client's address or the original request from.
var proxyFields = []string{
	"Forwarded", "Forwarded-For", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Server", "X-Real-Ip", "X-Client-Ip", "Client-Ip",
	"True-Client-Ip", "Cf-Connecting-Ip", "X-Cluster-Client-Ip", "X-Original-Url", "X-Rewrite-Url",
}

// With a field of another name for the request id, that field is what HTTP_X_REQUEST_ID says, or is not there.
func TestForwardedRequestIDOfAnotherName(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"env.php": serverScript}, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
		c.RequestIDHeader = "x-trace"
	})
	for _, tt := range []struct{ name, addr, fields, want string }{
		{"a proxy's", "127.0.0.2", "X-Trace: good\r\n", "good"},
		{"the first of a proxy's", "127.0.0.2", "X-Trace: good\r\nX-Trace: other\r\n", "good"},
		{"a proxy's that could forge a log line", "127.0.0.2", "X-Trace: a b\r\n", absent},
		{"a client's", "127.0.0.3", "X-Trace: good\r\n", absent},
		{"a client's next to the usual one", "127.0.0.3", "X-Trace: good\r\nX-Request-Id: good\r\n", absent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vars := from(t, ts, tt.addr, "GET /env.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+tt.fields+"\r\n")
			checkVars(t, vars, map[string]string{"HTTP_X_TRACE": tt.want})
			if id := vars["HTTP_X_REQUEST_ID"]; (id == "good") != (tt.want == "good") {
				t.Errorf("HTTP_X_REQUEST_ID = %v", id)
			}
		})
	}
}

func TestForwardedHeadersReachPHPFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"env.php": serverScript}, func(c *Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
		})
		request := "GET /env.php HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\nX-Request-Id: from-the-proxy/1\r\n"
		for _, name := range proxyFields {
			value := "evil"
			switch name {
			case "X-Forwarded-For":
				value = "6.6.6.6, 1.2.3.4"
			case "X-Forwarded-Proto":
				value = "https"
			}
			request += name + ": " + value + "\r\n"
		}
		request += "\r\n"
		t.Run("trusted", func(t *testing.T) {
			vars := from(t, ts, "127.0.0.2", request)
			checkVars(t, vars, map[string]string{
				"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": absent, "HTTPS": "on", "REQUEST_SCHEME": "https", "SERVER_PORT": "443",
				"HTTP_X_FORWARDED_FOR": "6.6.6.6, 1.2.3.4", "HTTP_X_FORWARDED_PROTO": "https",
				"HTTP_X_REQUEST_ID": "from-the-proxy/1", "response id": "from-the-proxy/1",
			})
		})
		t.Run("untrusted", func(t *testing.T) {
			vars := from(t, ts, "127.0.0.3", request)
			checkVars(t, vars, map[string]string{"REMOTE_ADDR": "127.0.0.3", "HTTPS": absent, "REQUEST_SCHEME": "http"})
			for _, name := range proxyFields {
				if v, ok := vars["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]; ok {
					t.Errorf("%s = %v reached PHP", name, v)
				}
			}
			if vars["HTTP_X_REQUEST_ID"] != vars["response id"] || vars["response id"] == "from-the-proxy/1" {
				t.Errorf("request id: %v in PHP, %v in the response", vars["HTTP_X_REQUEST_ID"], vars["response id"])
			}
		})
		t.Run("a proxy's request id that could forge a log line is replaced", func(t *testing.T) {
			for _, id := range []string{"a b", `a"b`, strings.Repeat("a", 129), "ü", "a,b;c"} {
				vars := from(t, ts, "127.0.0.2", "GET /env.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: "+id+"\r\n\r\n")
				if got := vars["response id"]; got == id || len(fmt.Sprint(got)) != 32 || vars["HTTP_X_REQUEST_ID"] != got {
					t.Errorf("%q gave %v", id, got)
				}
			}
		})
	})
}
