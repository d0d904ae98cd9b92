package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testcerts"
	"github.com/phpserve/phpserve/server/certs"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// startTLS is startServer with an HTTPS listener and a certificate for a.test.
func startTLS(t *testing.T, files map[string]string, change func(*Config)) (*testServer, *testcerts.Authority) {
	t.Helper()
	ca := testcerts.New(t)
	ts := startServer(t, engines[1], files, func(c *Config) {
		c.Listen = []string{"https://127.0.0.1:0"}
		c.TLS.Certificates, c.TLS.Storage = []certs.File{certs.File(ca.Issue("a", "a.test"))}, t.TempDir()
		if change != nil {
			change(c)
		}
	})
	return ts, ca
}

// connectTLS is connect over TLS with one ALPN protocol.
func connectTLS(t *testing.T, ts *testServer, ca *testcerts.Authority, protocol string) *tls.Conn {
	t.Helper()
	conn := tlsClient(connect(t, ts), ca, protocol)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
		t.Fatalf("protocol %q", got)
	}
	return conn
}

// tlsClient is a TLS connection that is yet to be made.
func tlsClient(conn net.Conn, ca *testcerts.Authority, protocol string) *tls.Conn {
	return tls.Client(conn, &tls.Config{RootCAs: ca.Pool, ServerName: "a.test", NextProtos: []string{protocol}})
}

// connectTLSWithin is connectTLS for a server with a short timeouts.header, which a handshake on a slow machine may exceed.
func connectTLSWithin(t *testing.T, ts *testServer, ca *testcerts.Authority, protocol string) (conn *tls.Conn) {
	t.Helper()
	eventually(t, "a TLS connection within timeouts.header", func() bool {
		conn = tlsClient(connect(t, ts), ca, protocol)
		return conn.Handshake() == nil
	})
	return conn
}

// net/http reads what a handler has left of a body, with no limit of time of its own.
func TestTimeoutOfABodyThatNeverComes(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a.css": "css", "in.php": inputScript, "dir/b.txt": "", "x.sql": ""}
	short := func(c *Config) { c.BodyTimeout, c.Sites[0].FrontController = 200*time.Millisecond, "" }
	plain := startServer(t, engines[1], files, short)
	secure, ca := startTLS(t, files, short)
	for _, tt := range []struct{ name, line, status string }{
		{"static file", "POST /a.css", "405"},
		{"static file with GET", "GET /a.css", "200"},
		{"protected file", "POST /x.sql", "404"},
		{"nothing there", "POST /none", "404"},
		{"folder", "POST /dir", "308"},
		{"bad path", "POST /%00", "400"},
		{"bad target", "POST a:b", "400"},
		{"bad method", "TRACE /a.css", "405"},
		{"options of the server", "OPTIONS *", "204"},
		{"script", "POST /in.php", "408"},
	} {
		for name, length := range map[string]string{"length": "Content-Length: 100\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nab"} {
			request := tt.line + " HTTP/1.1\r\nHost: a.test\r\n" + length
			check := func(t *testing.T, conn net.Conn) {
				t.Helper()
				send(t, conn, request)
				if text := closedBy(t, conn); !strings.HasPrefix(text, "HTTP/1.1 "+tt.status+" ") {
					t.Errorf("got %q", text)
				}
			}
			t.Run(tt.name+" "+name, func(t *testing.T) { t.Parallel(); check(t, connect(t, plain)) })
			t.Run(tt.name+" "+name+" TLS", func(t *testing.T) { t.Parallel(); check(t, connectTLS(t, secure, ca, "http/1.1")) })
		}
	}
}

// A body that comes in time leaves no deadline behind: neither to its script nor to the next request.
func TestTimeoutOfABodyEndsWithTheBody(t *testing.T) {
	t.Parallel()
	patient.UnderLimit(t, 200*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
		ts := startServer(t, engines[1], map[string]string{
			"in.php": fmt.Sprintf(`<?php usleep(%d); echo file_get_contents('php://input');`, 3*limit.Microseconds()), "a.css": "css",
		}, func(c *Config) { c.BodyTimeout = limit })
		conn := connect(t, ts)
		for _, line := range []string{"POST /in.php", "POST /a.css", "POST /in.php", "POST /in.php"} {
			send(t, conn, line+" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		}
		send(t, conn, "GET /a.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		var got []string
		for _, a := range answers(t, closedBy(t, conn), "POST") {
			got = append(got, a.body)
		}
		t.Logf("limit %v: got %q", limit, got)
		return strings.Join(got, "|") != "abc|Method Not Allowed\n|abc|abc|css"
	})
}

// One response is too small to block, but those of many requests are not.
func TestTimeoutOfAClientThatPipelinesAndReadsNothing(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a.txt": "static", "dir/b.txt": "", "in.php": `<?php echo str_repeat('x', 3000);`}
	short := func(c *Config) {
		c.WriteTimeout, c.AccessLog = 200*time.Millisecond, "off"
		// A client whose system drops what it has no room for, with the acknowledgements in it, sends no further either.
		c.HeaderTimeout, c.IdleTimeout = 2*time.Second, 2*time.Second
	}
	plain := startServer(t, engines[1], files, short)
	secure, ca := startTLS(t, files, short)
	flood := func(t *testing.T, conn net.Conn, line string) {
		t.Helper()
		requests := []byte(strings.Repeat(line+" HTTP/1.1\r\nHost: a.test\r\n\r\n", 100))
		for {
			if _, err := conn.Write(requests); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server holds the connection")
				return
			} else if err != nil {
				return // the server has closed it
			}
		}
	}
	for _, line := range []string{"GET /a.txt", "HEAD /a.txt", "GET /dir", "GET /in.php"} {
		t.Run(line, func(t *testing.T) { t.Parallel(); flood(t, connect(t, plain), line) })
		t.Run(line+" TLS", func(t *testing.T) { t.Parallel(); flood(t, connectTLSWithin(t, secure, ca, "http/1.1"), line) })
	}
}

// These are sent before any site is asked.
func TestTimeoutOfAClientThatPipelinesForRedirectsToHTTPS(t *testing.T) {
	t.Parallel()
	ts, _ := startTLS(t, nil, func(c *Config) {
		c.Listen = append([]string{"127.0.0.1:0"}, c.Listen...)
		c.Sites[0].Hosts, c.TLS.RedirectPort = []string{"a.test"}, 8443
		c.WriteTimeout, c.AccessLog = 200*time.Millisecond, "off"
	})
	conn := connect(t, ts)
	requests := []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 100))
	var err error
	for err == nil {
		_, err = conn.Write(requests)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server holds the connection")
	}
	first := make([]byte, 100)
	if n, _ := io.ReadFull(conn, first); n > 0 && !bytes.HasPrefix(first, []byte("HTTP/1.1 301 ")) {
		t.Errorf("got %q", first)
	}
}

// HTTP/2 lets a client hold a response back without its connection being full.
func TestTimeoutOfAnHTTP2ClientWithoutAWindow(t *testing.T) {
	t.Parallel()
	ts, ca := startTLS(t, map[string]string{
		"a.txt": "static", "small.php": `<?php echo 'small';`, "big.php": bigScript, "slow.php": `<?php echo 'a'; ob_flush(); flush(); usleep(50000); echo 'b';`,
	}, func(c *Config) {
		c.WriteTimeout, c.SpoolDir, c.Sites[0].FrontController = 200*time.Millisecond, t.TempDir(), ""
	})
	conn := connectTLS(t, ts, ca, "h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	targets := []string{"/a.txt", "/small.php", "/big.php", "/slow.php", "/none"}
	for i, target := range targets {
		var head bytes.Buffer
		e := hpack.NewEncoder(&head)
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", target}} {
			if err := e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
	}
	for reset := map[uint32]bool{}; len(reset) < len(targets); {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("reset were %v: %v", reset, err)
		}
		if frame, ok := frame.(*http2.RSTStreamFrame); ok {
			reset[frame.StreamID] = true
		}
	}
	eventually(t, "the workers are free", func() bool { return ts.pool().Stats().Idle == 2 })
}

// The time is for the client: while the script has nothing to say there is nothing to accept.
func TestTimeoutDoesNotCountThePausesOfAScript(t *testing.T) {
	t.Parallel()
	const pause = `usleep((int) $_GET['pause']);`
	scripts := []struct{ name, script, want string }{
		{"between two pieces", `echo 'a'; ob_flush(); flush(); ` + pause + ` echo 'b';`, "ab"},
		{"between two pieces, again and again", `for ($i = 0; $i < 3; $i++) { echo 'a'; ob_flush(); flush(); ` + pause + ` } echo 'b';`, "aaab"},
		{"before the end", `echo 'a'; ob_flush(); flush(); ` + pause, "a"},
		{"behind the head", `flush(); ` + pause + ` echo 'b';`, "b"},
		{"behind the head of an empty response", `flush(); ` + pause, ""},
		{"before the head", pause + ` echo 'b';`, "b"},
		{"within a large piece", `echo str_repeat('a', 300000); ob_flush(); flush(); ` + pause + ` echo 'b';`, strings.Repeat("a", 300000) + "b"},
	}
	files := map[string]string{}
	for i, s := range scripts {
		files[fmt.Sprintf("%d.php", i)] = "<?php " + s.script
	}
	for _, protocol := range []string{"plain", "TLS", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			patient.UnderLimit(t, 200*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
				change := func(c *Config) {
					c.WriteTimeout, c.SpoolDir = limit, t.TempDir()
					c.Pools[0].MaxChildren = 8
				}
				var ts *testServer
				client, url := newClient(t), ""
				if protocol == "plain" {
					ts = startServer(t, engines[1], files, change)
					url = ts.url
				} else {
					var ca *testcerts.Authority
					ts, ca = startTLS(t, files, change)
					client, url = httpsClient(t, ca.Pool, ts.addr, protocol == "HTTP/2"), "https://a.test"
				}
				var cut atomic.Int64
				var all sync.WaitGroup
				for i, s := range scripts {
					all.Go(func() {
						got, _, err := tryFetch(t, client, fmt.Sprintf("%s/%d.php?pause=%d", url, i, limit.Microseconds()*7/2))
						if err != nil || got.body != s.want {
							t.Logf("limit %v, %s: %v, %d bytes", limit, s.name, err, len(got.body))
							cut.Add(1)
						} else if (got.ProtoMajor == 2) != (protocol == "HTTP/2") {
							t.Errorf("got %s", got.Proto)
						}
					})
				}
				all.Wait()
				return cut.Load() > 0
			})
		})
	}
}
