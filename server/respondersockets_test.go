//go:build unix

package server

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/listen"
)

// withResponder starts a server with a FastCGI address, whose requests go to s.php.
func withResponder(t *testing.T, script string) (ts *testServer, socket string) {
	t.Helper()
	ts = startServer(t, manager.EngineAuto, map[string]string{"s.php": script}, func(c *Config) {
		socket = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
		c.Responders = []ResponderConfig{{Pool: "www", Listen: socket}}
	})
	return ts, socket
}

// roundTrip sends one request and returns the response, or how it broke off.
func roundTrip(ts *testServer, nc net.Conn) string {
	var params []byte
	for _, kv := range [][2]string{{"REQUEST_METHOD", "GET"}, {"SCRIPT_FILENAME", ts.root + "/s.php"}, {"SCRIPT_NAME", "/s.php"}} {
		params = fastcgi.AppendParam(params, kv[0], kv[1])
	}
	conn := fastcgi.NewConn(nc)
	if err := conn.Send(&fastcgi.Request{Params: params, Body: strings.NewReader(""), KeepConn: true}); err != nil {
		return err.Error()
	}
	var text strings.Builder
	for {
		rec, err := conn.Next()
		switch {
		case err != nil:
			return text.String() + err.Error()
		case rec.Type == fastcgi.TypeStdout:
			text.Write(rec.Content)
		case rec.Type == fastcgi.TypeEndRequest:
			_, body, _ := strings.Cut(text.String(), "\r\n\r\n")
			return body
		}
	}
}

// A connection that was made before the address closed carries its request, though that comes later. Those that stay silent are
// closed, and nobody waits for process_control_timeout.
func TestResponderStopSparesRequestsOnTheirWay(t *testing.T) {
	t.Parallel()
	patient.WithinLimit(t, func() (tooSlow bool) {
		ts, socket := withResponder(t, `<?php echo "served";`)
		var conns []net.Conn
		for range 3 {
			nc, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			conns = append(conns, nc)
		}
		late, silent, kept := conns[0], conns[1], conns[2]
		if got := roundTrip(ts, kept); got != "served" {
			t.Fatalf("before: %q", got)
		}
		p := ts.responders[0]
		eventually(t, "the connections are accepted", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.conns) == len(conns)
		})
		stopped := make(chan struct{})
		began := time.Now()
		go func() {
			ts.Stop(t.Context())
			close(stopped)
		}()
		if n, err := kept.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the kept connection: %d %v", n, err)
		}
		if got := roundTrip(ts, late); got != "served" {
			if tooSlow = time.Since(began) > freshKindness; !tooSlow {
				t.Errorf("the late request: %q", got)
			}
		}
		if n, err := silent.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the silent connection: %d %v", n, err)
		}
		<-stopped
		return tooSlow
	})
}

// Two servers answer on one socket, and the one that goes first leaves it to the other.
func TestSocketsGoFromOneServerToTheNext(t *testing.T) {
	t.Parallel()
	first, socket := withResponder(t, `<?php echo "first";`)
	sockets, err := first.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	if len(sockets) != 1 || sockets[0].Listen != socket {
		t.Fatalf("sockets: %v", sockets)
	}
	nowhere, err := net.Listen("unix", filepath.Join(filepath.Dir(socket), "gone.sock"))
	if err != nil {
		t.Fatal(err)
	}
	gone, err := listen.File(nowhere)
	if err != nil {
		t.Fatal(err)
	}
	nowhere.(*net.UnixListener).SetUnlinkOnClose(false)
	nowhere.Close()
	next := startServer(t, manager.EngineAuto, map[string]string{"s.php": `<?php echo "next";`}, func(c *Config) {
		c.Responders = []ResponderConfig{{Pool: "www", Listen: socket}}
	}, func(s *Server) {
		used, err := s.Inherit(append(sockets, listen.Socket{Listen: nowhere.Addr().String(), File: gone}))
		if err != nil || len(used) != 1 || used[0].Listen != socket {
			t.Errorf("used: %v %v", used, err)
		}
	})
	first.LeaveSockets()
	first.Stop(t.Context())
	for range 3 {
		nc, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if got := roundTrip(next, nc); got != "next" {
			t.Errorf("got %q", got)
		}
		nc.Close()
	}
	if _, err := os.Stat(nowhere.Addr().String()); err == nil {
		t.Error("a socket that is not wanted is still there")
	}
	next.Stop(t.Context())
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// Who has connected to the admin address before another process takes it over is answered, also when the rest of the request comes
// late; streams of the dashboard end, and nobody waits for them.
func TestAdminIsLeftToAnotherProcess(t *testing.T) {
	t.Parallel()
	ts := startAdminServer(t, nil, nil)
	sockets, err := ts.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer sockets[0].File.Close()
	if len(sockets) != 1 || sockets[0].Listen != "admin:127.0.0.1:0" {
		t.Fatalf("sockets: %v", sockets)
	}
	address := ts.admin.listener.Addr().String()
	late, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if _, err := io.WriteString(late, "GET /readyz HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	stream, err := http.Get(ts.AdminURL() + "api/events") // accepted behind the other one
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	left := make(chan struct{})
	go func() {
		ts.LeaveSockets()
		close(left)
	}()
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream: %v", err)
	}
	if _, err := io.WriteString(late, "Host: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(late); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK\r\n") {
		t.Errorf("the late one: %q %v", answer, err)
	}
	<-left
	waiting, err := net.Dial("tcp", address) // for the other process
	if err != nil {
		t.Fatal(err)
	}
	waiting.Close()
}
