package fastcgi

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// serveStdlib runs the standard library's responder and returns a Conn to it.
func serveStdlib(t *testing.T, h http.HandlerFunc) *Conn {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- fcgi.Serve(l, h) }()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(nc)
	t.Cleanup(func() {
		_ = c.Close()
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return c
}

func stdlibParams(method string, length int, extra ...string) []byte {
	e := Environment{
		Method: method, Proto: "HTTP/1.1", RequestURI: "/s?q=1", QueryString: "q=1", Host: "example.org", ContentLength: int64(length),
		ScriptName: "/s", RemoteAddr: "192.0.2.1", RemotePort: "99", ServerName: "example.org", ServerPort: "80", Scheme: "http", Extra: extra,
	}
	return e.AppendParams(nil)
}

func split(t *testing.T, a *answer) (Head, string) {
	t.Helper()
	h, n, done, err := ParseHead(a.stdout.Bytes(), 1<<20)
	if err != nil || !done {
		t.Fatalf("head of %.200q: done %v, %v", a.stdout.String(), done, err)
	}
	return h, a.stdout.String()[n:]
}

func TestStdlibResponderUnderstandsParamsOfSeveralRecords(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	c := serveStdlib(t, func(w http.ResponseWriter, r *http.Request) {
		env := fcgi.ProcessEnv(r)
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %d", r.Method, r.URL, r.Host, len(env["LONG"]))
	})
	for range 3 {
		mustSend(t, c, &Request{Params: stdlibParams("GET", 0, "LONG="+long), KeepConn: true})
		h, body := split(t, mustCollect(t, c))
		if h.Status != http.StatusTeapot || len(h.Header["X-Two"]) != 2 || body != "GET http://example.org/s?q=1 example.org 200000" {
			t.Fatalf("got %v %q", h, body)
		}
		if !c.Reusable() {
			t.Fatal("not reusable")
		}
	}
}

func TestStdlibResponderEchoesOneMebibyteBothWaysAtOnce(t *testing.T) {
	const size = 1 << 20
	in := make([]byte, size)
	for i := range in {
		in[i] = byte(i ^ i>>8)
	}
	c := serveStdlib(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for range 2 {
		mustSend(t, c, &Request{Params: stdlibParams("POST", size), Body: bytes.NewReader(in), BodyLen: size, KeepConn: true})
		_, body := split(t, mustCollect(t, c))
		if sha256.Sum256([]byte(body)) != sha256.Sum256(in) {
			t.Fatalf("%d bytes came back changed", len(body))
		}
	}
	if !c.Reusable() {
		t.Error("not reusable")
	}
}

func TestStdlibResponderTakesBodiesAroundEveryLimit(t *testing.T) {
	c := serveStdlib(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	})
	for _, n := range []int{0, 1, alignedContent, alignedContent + 1, MaxContent, inlineBody, inlineBody + 1, 3*alignedContent + 5} {
		mustSend(t, c, &Request{Params: stdlibParams("POST", n), Body: bytes.NewReader(make([]byte, n)), BodyLen: int64(n), KeepConn: true})
		if _, body := split(t, mustCollect(t, c)); body != strconv.Itoa(n) {
			t.Errorf("body of %d bytes: the responder saw %s", n, body)
		}
	}
}

func TestStdlibResponderClosesWithoutKeepConn(t *testing.T) {
	c := serveStdlib(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "bye") })
	mustSend(t, c, &Request{Params: stdlibParams("GET", 0)})
	if _, body := split(t, mustCollect(t, c)); body != "bye" || c.Reusable() {
		t.Errorf("got %q, reusable %v", body, c.Reusable())
	}
	if n, err := c.NetConn().Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d bytes, %v", n, err)
	}
}

// net/http/fcgi writes STDERR itself when it cannot parse the request.
func TestStdlibResponderReportsOnStderr(t *testing.T) {
	c := serveStdlib(t, func(http.ResponseWriter, *http.Request) {})
	mustSend(t, c, &Request{Params: stdlibParams("GET", 0, "SERVER_PROTOCOL=nonsense"), KeepConn: true})
	if a := mustCollect(t, c); !strings.Contains(a.stderr.String(), "SERVER_PROTOCOL") {
		t.Errorf("stdout %q, stderr %q", a.stdout.String(), a.stderr.String())
	}
}
