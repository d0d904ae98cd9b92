package server

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// connect opens a connection that is closed at the end of the test.
func connect(t *testing.T, ts *testServer) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", ts.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(patient.LastMoment()); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// send writes text; a server that has answered already may refuse to take it all.
func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// wire sends bytes as they are and returns all that comes back until the server closes the connection.
func wire(t *testing.T, ts *testServer, request string) string {
	t.Helper()
	conn := connect(t, ts)
	go io.WriteString(conn, request) //nolint:errcheck // a server that refuses reads no further
	var out bytes.Buffer
	if _, err := io.Copy(&out, conn); err != nil && out.Len() == 0 {
		t.Fatalf("no answer: %v", err)
	}
	return out.String()
}

// readAnswer reads the next response of a connection with its body.
func readAnswer(t *testing.T, r *bufio.Reader, method string) answer {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("cannot read the response: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("cannot read the body: %v", err)
	}
	return answer{resp, string(body)}
}

// answers splits what wire returned into its responses.
func answers(t *testing.T, text, method string) (all []answer) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(text))
	for {
		if _, err := r.Peek(1); err != nil {
			return all
		}
		all = append(all, readAnswer(t, r, method))
	}
}

// askWire sends one request whose target is sent byte for byte; header is name, value, name, value ...
func askWire(t *testing.T, ts *testServer, method, target string, header ...string) answer {
	t.Helper()
	head := method + " " + target + " HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n"
	for i := 0; i+1 < len(header); i += 2 {
		head += header[i] + ": " + header[i+1] + "\r\n"
	}
	all := answers(t, wire(t, ts, head+"\r\n"), method)
	if len(all) != 1 {
		t.Fatalf("%s %s: %d responses", method, target, len(all))
	}
	return all[0]
}
