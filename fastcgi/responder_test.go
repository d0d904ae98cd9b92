package fastcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// begin is a BEGIN_REQUEST record.
func begin(id uint16, role, flags byte) []byte {
	return AppendRecord(nil, TypeBeginRequest, id, []byte{0, role, flags, 0, 0, 0, 0, 0})
}

// stream is a whole stream, with its end.
func stream(t RecordType, id uint16, content string) []byte {
	return AppendRecord(AppendStream(nil, t, id, []byte(content)), t, id, nil)
}

// request is a whole request.
func request(id uint16, flags byte, params, body string) []byte {
	return bytes.Join([][]byte{begin(id, 1, flags), stream(TypeParams, id, params), stream(TypeStdin, id, body)}, nil)
}

// answered is what echo answers to a request.
func answered(id uint16, text string) []byte {
	return append(AppendRecord(nil, TypeStdout, id, []byte(text)), AppendRecord(nil, TypeEndRequest, id, make([]byte, 8))...)
}

// echo answers every request of one connection with its role, parameters and body, and returns why it stopped.
func echo(nc net.Conn) error {
	r := NewResponder(nc)
	defer r.Close()
	for {
		in, err := r.Accept()
		if err != nil {
			return err
		}
		body, err := io.ReadAll(in.Body())
		if err != nil && !errors.Is(err, ErrAborted) {
			return err
		}
		if err == nil {
			if err := in.WriteStdout(fmt.Appendf(nil, "%d %s %s", in.Role, in.Params, body)); err != nil {
				return err
			}
		}
		if err := in.End(0, 0); err != nil || !in.KeepConn {
			return err
		}
	}
}

func TestResponderAnswersEachRequest(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("p", 70000)
	get := AppendRecord(nil, TypeGetValues, 0, AppendParam(AppendParam(nil, "FCGI_MPXS_CONNS", ""), "FCGI_OTHER", ""))
	mpxs := AppendRecord(nil, TypeGetValuesResult, 0, AppendParam(nil, "FCGI_MPXS_CONNS", "0"))
	end := func(id uint16, protocol byte) []byte {
		return AppendRecord(nil, TypeEndRequest, id, []byte{0, 0, 0, 0, protocol, 0, 0, 0})
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	pad := func(record []byte) []byte {
		record[6] = 3
		return append(record, 1, 2, 3)
	}
	tests := []struct {
		name       string
		wire, want []byte
		err        error
	}{
		{"one request, then the connection ends", request(1, 0, "p", "b"), answered(1, "1 p b"), nil},
		{
			"several requests one after another", join(request(1, 1, "p", "b"), request(7, 1, "q", ""), request(1, 0, "r", "")),
			join(answered(1, "1 p b"), answered(7, "1 q "), answered(1, "1 r ")), nil,
		},
		{"parameters over several records", request(1, 0, long, ""), join(stdoutOf(1, "1 "+long+" "), end(1, 0)), nil},
		{
			"records with padding", join(pad(begin(1, 1, 0)), pad(AppendRecord(nil, TypeParams, 1, []byte("p"))),
				pad(AppendRecord(nil, TypeParams, 1, nil)), pad(AppendRecord(nil, TypeStdin, 1, []byte("b"))), pad(AppendRecord(nil, TypeStdin, 1, nil))),
			answered(1, "1 p b"), nil,
		},
		{
			"the authorizer's and the filter's role", join(begin(1, 2, 1), stream(TypeParams, 1, "p"), stream(TypeStdin, 1, ""),
				begin(1, 3, 0), stream(TypeParams, 1, "q"), stream(TypeData, 1, "data"), stream(TypeStdin, 1, "b")),
			join(answered(1, "2 p "), answered(1, "3 q b")), nil,
		},
		{"an unknown role is refused and the connection goes on", join(begin(1, 4, 1), request(2, 0, "p", "")), join(end(1, 3), answered(2, "1 p ")), nil},
		{"what an answered request still sends is passed over", join(begin(1, 4, 1), stream(TypeParams, 1, "x"), stream(TypeStdin, 1, "y"),
			request(2, 0, "p", "")), join(end(1, 3), answered(2, "1 p ")), nil},
		{"management before, within and after a request", join(get, begin(1, 1, 1), get, stream(TypeParams, 1, "p"), get, stream(TypeStdin, 1, "b"), get,
			request(1, 0, "q", "")), join(mpxs, mpxs, mpxs, answered(1, "1 p b"), mpxs, answered(1, "1 q ")), nil},
		{
			"an unknown management record is told so", join(AppendRecord(nil, 99, 0, []byte("xyz")), request(1, 0, "p", "")),
			join(AppendRecord(nil, TypeUnknownType, 0, []byte{99, 0, 0, 0, 0, 0, 0, 0}), answered(1, "1 p ")), nil,
		},
		{"a second request at the same time is refused", join(begin(1, 1, 0), stream(TypeParams, 1, "p"), begin(2, 1, 1), stream(TypeParams, 2, "q"),
			stream(TypeStdin, 2, "x"), stream(TypeStdin, 1, "b")), join(end(2, 1), answered(1, "1 p b")), nil},
		{
			"an abort within the parameters", join(begin(1, 1, 1), AppendRecord(nil, TypeAbortRequest, 1, nil), request(1, 0, "q", "")),
			join(end(1, 0), answered(1, "1 q ")), nil,
		},
		{"an abort within the body", join(begin(1, 1, 1), stream(TypeParams, 1, "p"), AppendRecord(nil, TypeStdin, 1, []byte("b")),
			AppendRecord(nil, TypeAbortRequest, 1, nil), request(1, 0, "q", "")), join(end(1, 0), answered(1, "1 q ")), nil},
		{
			"an abort of another request", join(begin(1, 1, 0), stream(TypeParams, 1, "p"), AppendRecord(nil, TypeAbortRequest, 9, nil), stream(TypeStdin, 1, "b")),
			answered(1, "1 p b"), nil,
		},
		{"the end between requests", request(1, 1, "p", "b"), answered(1, "1 p b"), io.EOF},
		{"the end within a header", begin(1, 1, 1)[:5], nil, io.ErrUnexpectedEOF},
		{"the end within the parameters", join(begin(1, 1, 1), stream(TypeParams, 1, "ppp")[:9]), nil, io.ErrUnexpectedEOF},
		{"the end within the body", join(begin(1, 1, 1), stream(TypeParams, 1, "p"), stream(TypeStdin, 1, "bbb")[:10]), nil, io.ErrUnexpectedEOF},
		{"the end before the body's end", join(begin(1, 1, 1), stream(TypeParams, 1, "p"), AppendRecord(nil, TypeStdin, 1, []byte("b"))), nil, io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := exchangeWith(t, tt.wire)
			if !bytes.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("got %q %v\nwant %q %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func stdoutOf(id uint16, text string) []byte { return AppendStream(nil, TypeStdout, id, []byte(text)) }

// exchangeWith sends wire to echo, closes that direction, and returns what comes back.
func exchangeWith(t *testing.T, wire []byte) ([]byte, error) {
	t.Helper()
	near, far := socketPair(t)
	_ = near.SetDeadline(patient.LastMoment())
	stopped := make(chan error, 1)
	go func() { stopped <- echo(far) }()
	go func() { // what is refused may end the connection before all is written
		_, _ = near.Write(wire)
		_ = near.(*net.UnixConn).CloseWrite()
	}()
	got, err := io.ReadAll(near)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return got, <-stopped
}

func TestResponderRefusesMalformedRequests(t *testing.T) {
	t.Parallel()
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name   string
		wire   []byte
		reason string
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "version 71 instead of 1"},
		{"a short BEGIN_REQUEST", AppendRecord(nil, TypeBeginRequest, 1, []byte{0, 1, 0}), "3 bytes instead of 8"},
		{"an answer's record", AppendRecord(nil, TypeStdout, 1, []byte("x")), "no request has begun"},
		{"STDIN among the parameters", join(begin(1, 1, 1), AppendRecord(nil, TypeStdin, 1, []byte("b"))), "the parameters have not ended"},
		{"parameters within the body", join(begin(1, 1, 1), stream(TypeParams, 1, "p"), stream(TypeParams, 1, "p")), "body has not ended"},
		{"parameters without an end", join(begin(1, 1, 1), bytes.Repeat(AppendRecord(nil, TypeParams, 1, make([]byte, 65535)), 17)), "longer than 1048576 bytes"},
		{"a query that is cut off", AppendRecord(nil, TypeGetValues, 0, []byte{9, 0, 'F'}), "input ends within the name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			near, far := socketPair(t)
			_ = near.SetDeadline(patient.LastMoment())
			go func() {
				_, _ = near.Write(tt.wire) // fails where the connection ends first
				_ = near.(*net.UnixConn).CloseWrite()
				_, _ = io.Copy(io.Discard, near)
			}()
			var e *RequestError
			if err := echo(far); !errors.As(err, &e) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, want %q", err, tt.reason)
			}
		})
	}
}

// acceptOne returns the first request on far with its body read.
func acceptOne(t *testing.T, far net.Conn) (*Responder, *Incoming) {
	t.Helper()
	r := NewResponder(far)
	in, err := r.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(in.Body()); err != nil {
		t.Fatal(err)
	}
	return r, in
}

func TestResponderTellsWhenTheWebServerGivesUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		giveUp  func(nc net.Conn)
		aborted bool
	}{
		{"ABORT_REQUEST", func(nc net.Conn) { _, _ = nc.Write(AppendRecord(nil, TypeAbortRequest, 1, nil)) }, true},
		{"the connection closed", func(nc net.Conn) { nc.Close() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			near, far := socketPair(t)
			defer near.Close()
			go func() { _, _ = near.Write(request(1, 1, "p", "b")) }()
			r, in := acceptOne(t, far)
			defer r.Close()
			gone := make(chan struct{})
			stop := in.OnAbort(func() { close(gone) })
			tt.giveUp(near)
			<-gone
			stop()
			if in.Aborted() != tt.aborted {
				t.Errorf("aborted %v", in.Aborted())
			}
		})
	}
}

func TestResponderKeepsTheNextRequestWhileItWatches(t *testing.T) {
	t.Parallel()
	first := request(1, 1, "p", "")
	wire := append(first, request(2, 0, "q", "")...)
	for cut := len(first); cut < len(wire); cut++ {
		near, far := socketPair(t)
		if _, err := near.Write(wire[:cut]); err != nil {
			t.Fatal(err)
		}
		r, in := acceptOne(t, far)
		stop := in.OnAbort(func() { t.Errorf("cut at %d: taken for an abort", cut) })
		stop()
		if err := in.End(0, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write(wire[cut:]); err != nil {
			t.Fatal(err)
		}
		next, err := r.Accept()
		if err != nil || string(next.Params) != "q" || next.KeepConn {
			t.Errorf("cut at %d: %+v %v", cut, next, err)
		}
		near.Close()
		r.Close()
	}
}

func TestResponderSendsASmallAnswerInOneWrite(t *testing.T) {
	t.Parallel()
	m := &memConn{in: request(1, 0, "p", "")}
	r := NewResponder(m)
	in, err := r.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := errors.Join(in.WriteStdout([]byte("some")), in.WriteStderr([]byte("text"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.End(0, 0); err != nil || m.wrote != 1 {
		t.Errorf("%d writes, %v", m.wrote, err)
	}
}

func TestResponderBreaksOffWithoutAnEnd(t *testing.T) {
	t.Parallel()
	near, far := socketPair(t)
	defer near.Close()
	go func() { _, _ = near.Write(request(1, 1, "p", "")) }()
	r, in := acceptOne(t, far)
	if err := errors.Join(in.WriteStdout([]byte("half")), in.Flush()); err != nil {
		t.Fatal(err)
	}
	in.Break()
	r.Close()
	if got, err := io.ReadAll(near); err != nil || !bytes.Equal(got, stdoutOf(1, "half")) {
		t.Errorf("%q %v", got, err)
	}
}

func TestResponderLosesNoAnswerToABodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	patient.WithinLimit(t, func() (tooSlow bool) { // that of lingerTimeout
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		wire := request(1, 0, "p", strings.Repeat("b", 1<<20))
		go func() { _, _ = near.Write(wire) }()
		r := NewResponder(far)
		in, err := r.Accept()
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		answer := strings.Repeat("a", 200000)
		ended := make(chan error, 1)
		go func() {
			err := errors.Join(in.WriteStdout([]byte(answer)), in.End(0, 0))
			r.Close()
			ended <- err
		}()
		got, err := io.ReadAll(near)
		tooSlow = err != nil && time.Since(begun) >= lingerTimeout
		if !tooSlow && (err != nil || !bytes.HasSuffix(got, AppendRecord(nil, TypeEndRequest, 1, make([]byte, 8))) || len(got) < len(answer)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		near.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return tooSlow
	})
}

func FuzzResponder(f *testing.F) {
	f.Add(request(1, 1, "p", "b"), 0)
	f.Add(append(AppendRecord(nil, TypeGetValues, 0, AppendParam(nil, "FCGI_MPXS_CONNS", "")), request(2, 0, "p", "")...), 1)
	f.Add(append(begin(1, 9, 1), begin(1, 1, 1)...), 3)
	f.Add([]byte("\x01\x01\x00\x01\x00\x03\xff\x00\x00\x01\x00"), 2)
	f.Fuzz(func(t *testing.T, wire []byte, chunk int) {
		m := &memConn{in: wire, chunk: max(chunk, 0)}
		r := NewResponder(m)
		for {
			in, err := r.Accept()
			if err != nil {
				return
			}
			if len(in.Params) > maxParams {
				t.Fatalf("%d bytes of parameters", len(in.Params))
			}
			n, err := io.Copy(io.Discard, in.Body())
			if n > int64(len(wire)) {
				t.Fatalf("a body of %d bytes out of %d", n, len(wire))
			}
			if err == nil {
				in.OnAbort(func() {})()
			}
			if in.End(0, 0) != nil || err != nil && !errors.Is(err, ErrAborted) {
				return
			}
		}
	})
}

// quota is a Memory of so many bytes.
type quota struct{ left, least int64 }

func (q *quota) Take(n int64) bool {
	if n > q.left {
		return false
	}
	q.left -= n
	q.least = min(q.least, q.left)
	return true
}

func (q *quota) Give(n int64) { q.left += n }

func TestParamsOfAllConnectionsShareTheirMemory(t *testing.T) {
	t.Parallel()
	const room = 200_000
	q := &quota{left: room, least: room}
	serve := func(params int) (answer []byte, err error) {
		client, server := net.Pipe()
		defer client.Close()
		failed := make(chan error, 1)
		go func() {
			r := NewResponder(server)
			r.Share(q)
			in, err := r.Accept()
			if err == nil {
				err = in.End(0, 0)
			}
			r.Close() // gives back what it took
			failed <- err
		}()
		go client.Write(request(1, 0, strings.Repeat("p", params), "")) //nolint:errcheck // a responder that refuses reads no further
		answer = make([]byte, headerSize+endRequestSize)
		if _, err := io.ReadFull(client, answer); err != nil {
			t.Fatal(err)
		}
		client.Close()
		return answer[headerSize:], <-failed
	}
	if answer, err := serve(freeParams); err != nil || answer[4] != 0 || q.least != room {
		t.Errorf("short ones: %x, %v, %d of %d were left", answer, err, q.least, room)
	}
	if answer, err := serve(150_000); err != nil || answer[4] != 0 || q.least != room-150_000 {
		t.Errorf("long ones: %x, %v, %d of %d were left", answer, err, q.least, room)
	}
	if answer, err := serve(250_000); !errors.Is(err, ErrOverloaded) || answer[4] != overloaded {
		t.Errorf("too long ones: %x, %v", answer, err)
	}
	if q.left != room {
		t.Errorf("%d of %d are given back", q.left, room)
	}
}
