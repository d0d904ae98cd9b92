package fastcgi

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestMalformedAnswerIsAProtocolError(t *testing.T) {
	tests := []struct {
		name   string
		wire   []byte
		reason string
	}{
		{"bad version", []byte("\x02\x06\x00\x01\x00\x01\x00\x00x"), "version 2"},
		{"version 0", make([]byte, 64), "version 0"},
		{"text instead of records", []byte("HTTP/1.1 200 OK\r\n\r\n"), "version 72"},
		{"wrong request id", []byte("\x01\x06\x00\x02\x00\x01\x00\x00x"), "request id 2"},
		{"request id 0", []byte("\x01\x06\x00\x00\x00\x01\x00\x00x"), "request id 0"},
		{"request id 256", []byte("\x01\x06\x01\x00\x00\x01\x00\x00x"), "request id 256"},
		{"type 0", []byte("\x01\x00\x00\x01\x00\x01\x00\x00x"), "type 0"},
		{"type 12", []byte("\x01\x0c\x00\x01\x00\x01\x00\x00x"), "type 12"},
		{"a request record", []byte("\x01\x05\x00\x01\x00\x01\x00\x00x"), "type 5"},
		{"unasked management record", []byte("\x01\x0b\x00\x00\x00\x08\x00\x00xxxxxxxx"), "type 11"},
		{"END_REQUEST too short", []byte("\x01\x03\x00\x01\x00\x07\x01\x00xxxxxxxx"), "7 bytes"},
		{"END_REQUEST empty", []byte("\x01\x03\x00\x01\x00\x00\x00\x00"), "0 bytes"},
		{"END_REQUEST over-long", []byte("\x01\x03\x00\x01\xff\xff\x00\x00xxxxxxxx"), "65535 bytes"},
		{"64 KiB padding", bytes.Repeat(padded(TypeStdout, nil, 255), 257), "without content"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := counting(&memConn{in: append(stdout("before"), tt.wire...)})
			mustSend(t, c, &Request{KeepConn: true})
			a, err := collect(c)
			var e *ProtocolError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("got %v, want %q", err, tt.reason)
			}
			if a.stdout.String() != "before" || c.Reusable() || SafeToRetry(err) {
				t.Errorf("stdout %q, reusable %v", a.stdout.String(), c.Reusable())
			}
			if _, again := c.Next(); again != err {
				t.Errorf("a later Next gives %v", again)
			}
		})
	}
}

func TestFullPaddingOnEveryRecordIsAccepted(t *testing.T) {
	content := strings.Repeat("c", MaxContent)
	wire := bytes.Join([][]byte{
		padded(TypeStdout, []byte(content), 255), padded(TypeStdout, nil, 255), padded(TypeStdout, []byte(content), 255), padded(TypeEndRequest, make([]byte, 8), 255),
	}, nil)
	c := counting(&memConn{in: wire})
	mustSend(t, c, &Request{KeepConn: true})
	if a := mustCollect(t, c); a.stdout.String() != content+content || !c.Reusable() {
		t.Errorf("got %d bytes, reusable %v", a.stdout.Len(), c.Reusable())
	}
}

func TestTruncatedAnswerIsAnUnexpectedEOF(t *testing.T) {
	whole := append(stdout("hello"), end()...)
	for n := range whole {
		c := counting(&memConn{in: whole[:n]})
		mustSend(t, c, &Request{KeepConn: true})
		_, err := collect(c)
		var e *ConnError
		if !errors.As(err, &e) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes: got %v", n, err)
		}
		if e.Answered != (n > 0) || SafeToRetry(err) != (n == 0) || c.Reusable() {
			t.Errorf("%d bytes: answered %v, retry %v, reusable %v", n, e.Answered, SafeToRetry(err), c.Reusable())
		}
	}
}

func TestSecondRequestsFailureDoesNotCountTheFirstsAnswer(t *testing.T) {
	c := withSocketPeer(t, expectRequest(0), send(stdout("1"), end()), expectRequest(0), hangUp())
	mustSend(t, c, &Request{KeepConn: true})
	mustCollect(t, c)
	mustSend(t, c, &Request{KeepConn: true})
	if _, err := c.Next(); !SafeToRetry(err) {
		t.Errorf("got %v", err)
	}
}

func FuzzConnNext(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add(bytes.Join([][]byte{stdout("a"), stderr("b"), stdout(""), end()}, nil), 0)
	f.Add(bytes.Join([][]byte{padded(TypeStdout, []byte("a"), 255), end(), stdout("stray")}, nil), 3)
	f.Add([]byte("\x02\x06\x00\x01\x00\x01\x00\x00x"), 0)
	f.Add([]byte("\x01\x06\x00\x02\x00\x01\x00\x00x"), 0)
	f.Add([]byte("\x01\x03\x00\x01\x00\x07\x01\x00xxxxxxxx"), 1)
	f.Add(bytes.Repeat(padded(TypeStderr, nil, 255), 257), 0)
	f.Fuzz(func(t *testing.T, wire []byte, chunk int) {
		c := counting(&memConn{in: wire, chunk: max(chunk, 0)})
		mustSend(t, c, &Request{KeepConn: true})
		var again []byte // what was understood, encoded anew
		for {
			buffered, pos := c.Buffered(), c.nc.(*memConn).pos
			r, err := c.Next()
			if buffered && c.nc.(*memConn).pos != pos {
				t.Fatal("Next read although a record was buffered")
			}
			if err != nil {
				var conn *ConnError
				var protocol *ProtocolError
				if !errors.As(err, &conn) && !errors.As(err, &protocol) {
					t.Fatalf("untyped error %v", err)
				}
				if SafeToRetry(err) != (len(wire) == 0) || c.Reusable() {
					t.Fatalf("retry %v, reusable %v: %v", SafeToRetry(err), c.Reusable(), err)
				}
				break
			}
			if r.Type == TypeEndRequest {
				break
			}
			if len(r.Content) == 0 {
				t.Fatal("empty record")
			}
			again = AppendRecord(again, r.Type, 1, r.Content)
		}
		if len(again) > len(wire) {
			t.Fatalf("%d bytes understood of %d", len(again), len(wire))
		}
	})
}
