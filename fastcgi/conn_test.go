package fastcgi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	beginClose = "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	beginKeep  = "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
	noParams   = "\x01\x04\x00\x01\x00\x00\x00\x00"
	noStdin    = "\x01\x05\x00\x01\x00\x00\x00\x00"
)

func TestSendGivesTheBytesOfTheSpecification(t *testing.T) {
	tests := []struct {
		name string
		r    Request
		want string
	}{
		{"nothing", Request{}, beginClose + noParams + noStdin},
		{"keep-alive", Request{KeepConn: true}, beginKeep + noParams + noStdin},
		{"params", Request{Params: []byte("\x01\x01ab")}, beginClose + "\x01\x04\x00\x01\x00\x04\x00\x00\x01\x01ab" + noParams + noStdin},
		{"body", Request{Body: strings.NewReader("a=1"), BodyLen: 3}, beginClose + noParams + "\x01\x05\x00\x01\x00\x03\x00\x00a=1" + noStdin},
		{"body longer than said", Request{Body: strings.NewReader("a=1&b"), BodyLen: 3}, beginClose + noParams + "\x01\x05\x00\x01\x00\x03\x00\x00a=1" + noStdin},
		{"length without body", Request{BodyLen: 3}, beginClose + noParams + noStdin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := withPeer(t, expect([]byte(tt.want)), send(end()))
			mustSend(t, c, &tt.r)
			mustCollect(t, c)
		})
	}
}

func TestSendWritesASmallRequestOnce(t *testing.T) {
	for _, n := range []int{0, 1, MaxContent, inlineBody} {
		m := &memConn{in: end()}
		c := counting(m)
		mustSend(t, c, &Request{Params: make([]byte, 500), Body: bytes.NewReader(make([]byte, n)), BodyLen: int64(n)})
		if m.wrote != 1 {
			t.Errorf("body of %d bytes: %d writes", n, m.wrote)
		}
		mustCollect(t, c)
	}
}

func TestSendSpansRecordsWithLongParams(t *testing.T) {
	params := AppendParam(nil, "LONG", strings.Repeat("x", 3*MaxContent))
	want := AppendStream([]byte(beginClose), TypeParams, 1, params)
	c := withPeer(t, expect(want, []byte(noParams+noStdin)), send(end()))
	mustSend(t, c, &Request{Params: params})
	mustCollect(t, c)
}

func TestNextReturnsRecordsInTheOrderSent(t *testing.T) {
	c := withPeer(t, expectRequest(0),
		send(stdout("a"), stderr("b"), stdout(""), stdout("c"), stderr("")),
		send(AppendRecord(nil, TypeEndRequest, 1, []byte{1, 2, 3, 4, 2, 9, 9, 9})))
	mustSend(t, c, &Request{KeepConn: true})
	for _, want := range []Record{
		{Type: TypeStdout, Content: []byte("a")},
		{Type: TypeStderr, Content: []byte("b")},
		{Type: TypeStdout, Content: []byte("c")},
		{Type: TypeEndRequest, End: EndRequest{AppStatus: 0x01020304, ProtocolStatus: 2}},
	} {
		got, err := c.Next()
		if err != nil || got.Type != want.Type || !bytes.Equal(got.Content, want.Content) || got.End != want.End {
			t.Fatalf("got %v %v, want %v", got, err, want)
		}
	}
	if !c.Reusable() {
		t.Error("not reusable")
	}
}

func TestNextAssemblesRecordsFromAnyReads(t *testing.T) {
	big := strings.Repeat("0123456789", 6553)
	wire := bytes.Join([][]byte{
		stdout("a"), padded(TypeStdout, []byte(big), 255), padded(TypeStderr, []byte("e"), 7), stdout(big), end(),
	}, nil)
	for _, chunk := range []int{0, 1, 7, 4096, 65536} {
		c := counting(&memConn{in: wire, chunk: chunk})
		mustSend(t, c, &Request{KeepConn: true})
		a := mustCollect(t, c)
		if a.stdout.String() != "a"+big+big || a.stderr.String() != "e" {
			t.Errorf("reads of %d bytes: got %d and %d bytes", chunk, a.stdout.Len(), a.stderr.Len())
		}
		if !c.Reusable() {
			t.Errorf("reads of %d bytes: not reusable", chunk)
		}
	}
}

func TestBufferedTellsWhetherNextWouldRead(t *testing.T) {
	half := stdout("two")
	c := withPeer(t, expectRequest(0),
		send(stdout("one"), stdout("two"), stdout(""), half[:9]), send(half[9:], stdout("")), send(end()))
	mustSend(t, c, &Request{})
	for i, want := range []bool{true, false, false} {
		if c.Buffered() && i == 0 {
			t.Fatal("a record is buffered before the first read")
		}
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
		if c.Buffered() != want {
			t.Errorf("after record %d: Buffered %v", i+1, !want)
		}
	}
	mustCollect(t, c)
}

func TestBufferedIsTrueForABadRecord(t *testing.T) {
	c := counting(&memConn{in: append(stdout("x"), 9, 9, 9, 9, 9, 9, 9, 9)})
	mustSend(t, c, &Request{})
	if _, err := c.Next(); err != nil || !c.Buffered() {
		t.Errorf("Buffered %v, %v", c.Buffered(), err)
	}
}

func TestConnIsReusedOnlyAfterACleanEnd(t *testing.T) {
	t.Run("keep-alive", func(t *testing.T) {
		c := withPeer(t, expectRequest(1), send(stdout("1"), end()), expectRequest(0), send(of(2, stdout("2"), end())))
		for i, r := range []Request{{KeepConn: true, Body: strings.NewReader("x"), BodyLen: 1}, {KeepConn: true}} {
			if !c.Reusable() {
				t.Fatalf("not reusable before request %d", i+1)
			}
			mustSend(t, c, &r)
			if c.Reusable() {
				t.Error("reusable while busy")
			}
			if a := mustCollect(t, c); a.stdout.String() != string(rune('1'+i)) {
				t.Errorf("got %q", a.stdout.String())
			}
		}
	})
	t.Run("without KeepConn", func(t *testing.T) {
		c := withPeer(t, expectRequest(0), send(end()))
		mustSend(t, c, &Request{})
		mustCollect(t, c)
		if c.Reusable() {
			t.Error("reusable")
		}
	})
	t.Run("with bytes after the end", func(t *testing.T) {
		c := withPeer(t, expectRequest(0), send(end(), stdout("stray")))
		mustSend(t, c, &Request{KeepConn: true})
		mustCollect(t, c)
		if c.Reusable() {
			t.Error("reusable")
		}
	})
}

func TestMisuseOfAConnPanics(t *testing.T) {
	mustPanic := func(name string, f func()) {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r, _ := recover().(string); !strings.HasPrefix(r, "internal error:") {
					t.Errorf("recovered %q", r)
				}
			}()
			f()
		})
	}
	c := counting(&memConn{in: end()})
	mustPanic("Next before Send", func() { _, _ = c.Next() })
	mustPanic("body of unknown length", func() { _ = c.Send(&Request{Body: strings.NewReader(""), BodyLen: -1}) })
	mustSend(t, c, &Request{})
	mustPanic("Send while busy", func() { _ = c.Send(&Request{}) })
	mustCollect(t, c)
	mustPanic("Send without keep-alive", func() { _ = c.Send(&Request{}) })
}

// A child that a script forked ends its request on the worker's connection as well.
func TestAnswerToTheRequestBeforeIsNotTakenForTheNext(t *testing.T) {
	c := withPeer(t, expectRequest(0), send(stdout("1"), end()), expectRequest(0), send(stdout("1 again"), end()))
	mustSend(t, c, &Request{KeepConn: true})
	mustCollect(t, c)
	mustSend(t, c, &Request{KeepConn: true})
	_, err := c.Next()
	if foreign, ok := errors.AsType[*ProtocolError](err); !ok || !foreign.Foreign {
		t.Errorf("got %v", err)
	}
}

func TestLargeBodyAndLargeEarlyAnswerDoNotDeadlock(t *testing.T) {
	const size = 8 << 20
	out := AppendStream(nil, TypeStdout, 1, bytes.Repeat([]byte("o"), size))
	// The peer writes its whole answer before it reads a byte of the body.
	c := withSocketPeer(t, expectParams(), send(out), expectRequest(size), send(end()),
		expectRequest(0), send(of(2, stdout("next"), end())))
	mustSend(t, c, &Request{Body: bytes.NewReader(make([]byte, size)), BodyLen: size, KeepConn: true})
	if a := mustCollect(t, c); a.stdout.Len() != size {
		t.Errorf("got %d bytes", a.stdout.Len())
	}
	if !c.Reusable() {
		t.Fatal("not reusable")
	}
	mustSend(t, c, &Request{KeepConn: true})
	if a := mustCollect(t, c); a.stdout.String() != "next" {
		t.Errorf("got %q", a.stdout.String())
	}
}

func TestWorkerThatLeavesTheBodyUnreadEndsTheConnectionNotTheAnswer(t *testing.T) {
	const size = 16 << 20
	release := make(chan struct{})
	c := withSocketPeer(t, expectParams(), send(stdout("early"), end()), wait(release))
	defer close(release)
	body := &countingReader{r: io.LimitReader(zeros{}, size)}
	mustSend(t, c, &Request{Body: body, BodyLen: size, KeepConn: true})
	if a := mustCollect(t, c); a.stdout.String() != "early" {
		t.Errorf("got %q", a.stdout.String())
	}
	before := body.n // the writer is joined: an unsynchronised read is no race
	if before >= size {
		t.Fatal("the body went through: the test needs a larger one")
	}
	if c.Reusable() {
		t.Error("reusable with half a body on the wire")
	}
}

func TestWorkerThatHangsUpOnALargeBodyMayHaveAnswered(t *testing.T) {
	const size = 16 << 20
	c := withPeer(t, expectParams(), send(stdout("413"), end()), hangUp())
	mustSend(t, c, &Request{Body: io.LimitReader(zeros{}, size), BodyLen: size, KeepConn: true})
	if a := mustCollect(t, c); a.stdout.String() != "413" || c.Reusable() {
		t.Errorf("got %q, reusable %v", a.stdout.String(), c.Reusable())
	}
}

func TestShortBodyIsABodyErrorAndNotTheWorkers(t *testing.T) {
	t.Run("small, before anything is sent", func(t *testing.T) {
		m := &memConn{in: end()}
		c := counting(m)
		err := c.Send(&Request{Body: strings.NewReader("ab"), BodyLen: 3, KeepConn: true})
		var e *BodyError
		if !errors.As(err, &e) || !errors.Is(err, io.ErrUnexpectedEOF) || SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
		if m.wrote != 0 || !c.Reusable() {
			t.Errorf("%d writes, reusable %v", m.wrote, c.Reusable())
		}
	})
	t.Run("large, on its way", func(t *testing.T) {
		c := withSocketPeer(t, expectParams(), func(nc net.Conn) error {
			if n, err := readBody(nc, -1); !errors.Is(err, io.EOF) {
				t.Errorf("the worker saw %d bytes and %v", n, err)
			}
			return nil
		})
		mustSend(t, c, &Request{Body: io.LimitReader(zeros{}, 1<<20), BodyLen: 1<<20 + 1, KeepConn: true})
		_, err := c.Next()
		var e *BodyError
		if !errors.As(err, &e) || SafeToRetry(err) || c.Reusable() {
			t.Errorf("got %v, reusable %v", err, c.Reusable())
		}
	})
}

func TestCloseEndsABlockedNextAndTheBodyWriter(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	c := withSocketPeer(t, expectParams(), func(net.Conn) error { close(begun); return nil }, wait(release))
	defer close(release)
	body := &countingReader{r: io.LimitReader(zeros{}, 1<<30)}
	mustSend(t, c, &Request{Body: body, BodyLen: 1 << 30})
	next := make(chan error)
	go func() {
		_, err := c.Next()
		next <- err
	}()
	<-begun
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_ = body.n // Close has joined the writer: an unsynchronised read is no race
	if err := <-next; !errors.Is(err, net.ErrClosed) || SafeToRetry(err) {
		t.Errorf("got %v", err)
	}
}

func TestPassedReadDeadlineIsNotFinal(t *testing.T) {
	release := make(chan struct{})
	c := withPeer(t, expectRequest(0), send(stdout("late")[:5]), wait(release), send(stdout("late")[5:], end()))
	mustSend(t, c, &Request{KeepConn: true})
	_ = c.NetConn().SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := c.Next()
	var e *ConnError
	if !errors.As(err, &e) || !errors.Is(err, os.ErrDeadlineExceeded) || SafeToRetry(err) {
		t.Fatalf("got %v", err)
	}
	close(release)
	_ = c.NetConn().SetReadDeadline(time.Time{})
	if a := mustCollect(t, c); a.stdout.String() != "late" || !c.Reusable() {
		t.Errorf("got %q, reusable %v", a.stdout.String(), c.Reusable())
	}
}

func TestSendOnAConnectionTheWorkerHasClosedIsSafeToRetry(t *testing.T) {
	near, far := socketPair(t)
	c := counting(near)
	defer c.Close()
	_ = far.Close()
	err := c.Send(&Request{})
	if err == nil {
		_, err = c.Next()
	}
	if !SafeToRetry(err) {
		t.Errorf("got %v", err)
	}
	if again := c.Send(&Request{}); again != err {
		t.Errorf("a later Send gives %v", again)
	}
}

func TestAnUnusuallyLargeWriteBufferIsNotKept(t *testing.T) {
	m := &memConn{in: end(), loop: true}
	c := counting(m)
	mustSend(t, c, &Request{Params: make([]byte, 2*keepBuffer), KeepConn: true})
	mustCollect(t, c)
	if cap(c.out) > keepBuffer {
		t.Errorf("kept %d bytes", cap(c.out))
	}
}

func TestSmallRoundTripDoesNotAllocate(t *testing.T) {
	m := &memConn{in: append(stdout("Content-type: text/html\r\n\r\nhi"), end()...), loop: true}
	c := counting(m)
	body := bytes.NewReader(make([]byte, 2000))
	r := &Request{Params: make([]byte, 900), Body: body, BodyLen: 2000, KeepConn: true}
	allocs := testing.AllocsPerRun(1000, func() {
		_, _ = body.Seek(0, io.SeekStart)
		c.id = 0 // the peer says the same every time
		if err := c.Send(r); err != nil {
			t.Fatal(err)
		}
		for {
			rec, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if rec.Type == TypeEndRequest {
				return
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type countingReader struct {
	r io.Reader
	n int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += n
	return n, err
}
