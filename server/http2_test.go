package server

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testcerts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// askHTTP2 sends one request over a new HTTP/2 connection and returns the status and the body of its answer; 0: the stream or the
// connection was ended.
func askHTTP2(t *testing.T, ts *testServer, ca *testcerts.Authority, fields ...[2]string) (status, body string) {
	t.Helper()
	conn := connectTLS(t, ts, ca, "h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var head bytes.Buffer
	e := hpack.NewEncoder(&head)
	for _, field := range fields {
		if err := e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	block := head.Bytes()
	first := block[:min(len(block), 16<<10)]
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: len(first) == len(block)}); err != nil {
		t.Fatal(err)
	}
	for block = block[len(first):]; len(block) > 0; {
		piece := block[:min(len(block), 16<<10)]
		block = block[len(piece):]
		if err := f.WriteContinuation(1, len(block) == 0, piece); err != nil {
			t.Fatal(err)
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "0", err.Error()
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			status = frame.PseudoValue("status")
			if frame.StreamEnded() {
				return status, body
			}
		case *http2.DataFrame:
			body += string(frame.Data())
			if frame.StreamEnded() {
				return status, body
			}
		case *http2.RSTStreamFrame:
			return "0", frame.ErrCode.String()
		case *http2.GoAwayFrame:
			return "0", frame.ErrCode.String()
		}
	}
}

func TestBadInputOverHTTP2(t *testing.T) {
	t.Parallel()
	ts, ca := startTLS(t, map[string]string{"a.php": `<?php echo $_SERVER['REQUEST_METHOD'];`}, func(c *Config) { c.ErrorPages = ErrorPagesPlain })
	for _, tt := range []struct {
		name, method, path string
		more               [][2]string
		status, body       string // of the answer; body only if it is the script's
		line               string // of the access log
	}{
		{"a request", "GET", "/a.php?n1", nil, "200", "GET", `"GET /a.php?n1 HTTP/2.0" 200 `},
		{"a method of an application", "M-SEARCH", "/a.php?n2", nil, "200", "M-SEARCH", `"M-SEARCH /a.php?n2 HTTP/2.0" 200 `},
		{"a method with a space", "GET /x", "/a.php?n3", nil, "400", "", `"GET /x /a.php?n3 HTTP/2.0" 400 `},
		{"a method with a colon", "A:B", "/a.php?n4", nil, "400", "", `"A:B /a.php?n4 HTTP/2.0" 400 `},
		{"a method of another script", "GÉT", "/a.php?n5", nil, "400", "", `/a.php?n5 HTTP/2.0" 400 `},
		{"TRACE", "TRACE", "/a.php?n6", nil, "405", "", `"TRACE /a.php?n6 HTTP/2.0" 405 `},
		{"one field over the limit", "GET", "/a.php?n7", [][2]string{{"x-big", strings.Repeat("a", 60<<10)}}, "431", "", `"GET /a.php?n7 HTTP/2.0" 431 `},
		{"a field far over the limit", "GET", "/a.php?n8", [][2]string{{"x-big", strings.Repeat("a", 600<<10)}}, "431", "", `"GET /a.php?n8 HTTP/2.0" 431 `},
		{"many fields over the limit", "GET", "/a.php?n9", manyFields(3000), "431", "", `"GET /a.php?n9 HTTP/2.0" 431 `},
		{"a path over the limit", "GET", "/a.php?n10" + strings.Repeat("a", 60<<10), nil, "431", "", ` HTTP/2.0" 431 `},
		{"much within the limit", "GET", "/a.php?n11", [][2]string{{"x-big", strings.Repeat("a", 30<<10)}}, "200", "GET", `"GET /a.php?n11 HTTP/2.0" 200 `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fields := append([][2]string{{":method", tt.method}, {":scheme", "https"}, {":authority", "a.test"}, {":path", tt.path}}, tt.more...)
			status, body := askHTTP2(t, ts, ca, fields...)
			if status != tt.status || tt.body != "" && body != tt.body {
				t.Errorf("got %s %.100q, want %s %q", status, body, tt.status, tt.body)
			}
			ts.access.waitFor(t, tt.line)
		})
	}
	t.Run("without a host", func(t *testing.T) {
		if status, body := askHTTP2(t, ts, ca, [2]string{":method", "GET"}, [2]string{":scheme", "https"}, [2]string{":path", "/a.php"}); status != "400" {
			t.Errorf("got %s %q", status, body)
		}
	})
	t.Run("CONNECT", func(t *testing.T) {
		if status, body := askHTTP2(t, ts, ca, [2]string{":method", "CONNECT"}, [2]string{":authority", "a.test:443"}); status != "405" {
			t.Errorf("got %s %q", status, body)
		}
	})
}

func manyFields(n int) (fields [][2]string) {
	for range n {
		fields = append(fields, [2]string{"x-many", "abcdefghijklmnopqrstuvwxyz"})
	}
	return fields
}

func TestRequestHeadThatIsNotCompleteInTimeGets408(t *testing.T) {
	t.Parallel()
	const whole = "GET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\n"
	tests := []struct{ name, sent, late, line string }{
		{"half a request line", "GET /n1", "408", `"GET /n1 -" 408 0`},
		{"half a head", "GET /n2?a=b HTTP/1.1\r\nHost: a.te", "408", `"GET /n2?a=b HTTP/1.1" 408 0`},
		{"half a head behind a request", whole + "PUT /n3 HTTP/1.1\r\nX-A", "408", `"PUT /n3 HTTP/1.1" 408 0`},
		{"a byte behind a request", whole + "G", "408", `"G - -" 408 0`},
		{"nothing", "", "", ""},
		{"nothing behind a request", whole, "", ""},
		{"an empty line behind a request", whole + "\r\n", "", ""},
	}
	// The limit is also that of a TLS handshake, and of the first byte.
	patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
		short := func(c *Config) { c.HeaderTimeout, c.IdleTimeout = limit, limit }
		plain := startServer(t, engines[1], map[string]string{"a.txt": "text"}, short)
		secure, ca := startTLS(t, map[string]string{"a.txt": "text"}, short)
		var wrong atomic.Int64
		var all sync.WaitGroup
		for _, tt := range tests {
			for name, conn := range map[string]net.Conn{"": connect(t, plain), " TLS": tlsClient(connect(t, secure), ca, "http/1.1")} {
				all.Go(func() {
					_, err := io.WriteString(conn, tt.sent)
					got := closedBy(t, conn)
					text := got
					if strings.HasPrefix(tt.sent, whole) {
						_, text, _ = strings.Cut(got, "\r\n\r\ntext")
					}
					if err != nil || strings.HasPrefix(tt.sent, whole) != strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") ||
						(tt.late == "") != (text == "") || tt.late != "" && !strings.HasPrefix(text, "HTTP/1.1 "+tt.late+" ") {
						t.Logf("limit %v, %s%s: got %q, %v", limit, tt.name, name, got, err)
						wrong.Add(1)
					}
				})
			}
		}
		all.Wait()
		if wrong.Load() > 0 {
			return true
		}
		for _, ts := range []*testServer{plain, secure} {
			for _, tt := range tests {
				ts.access.waitFor(t, tt.line)
			}
			if log := ts.access.String(); strings.Count(log, " 408 ") > 4 {
				t.Errorf("the log has requests that nobody began:\n%s", log)
			}
		}
		return false
	})
}

func TestRefusedRequestOverTLSIsInTheAccessLog(t *testing.T) {
	t.Parallel()
	ts, ca := startTLS(t, nil, nil)
	for request, line := range map[string]string{
		"GET /n1 HTTP/1.1\r\n\r\n":                                        `"GET /n1 HTTP/1.1" 400 0`,
		"GET /n2 HTTP/9.9\r\nHost: a\r\n\r\n":                             `"GET /n2 HTTP/9.9" 505 0`,
		"GET /n3 HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nX Y: z\r\n\r\n": `"GET /n3 HTTP/1.1" 400 0 "-" "me"`,
	} {
		conn := connectTLS(t, ts, ca, "http/1.1")
		send(t, conn, request)
		_ = closedBy(t, conn)
		ts.access.waitFor(t, line)
	}
}
