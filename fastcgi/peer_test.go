package fastcgi

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// step is one move of a scripted peer.
type step func(nc net.Conn) error

// expect reads exactly want.
func expect(want ...[]byte) step {
	return func(nc net.Conn) error {
		w := bytes.Join(want, nil)
		got := make([]byte, len(w))
		if n, err := io.ReadFull(nc, got); err != nil {
			return fmt.Errorf("expected %d bytes, got %d: %q: %w", len(w), n, got[:n], err)
		}
		if !bytes.Equal(got, w) {
			return fmt.Errorf("expected %q, got %q", w, got)
		}
		return nil
	}
}

// expectRequest reads records up to the empty STDIN record and checks the body's
// length.
func expectRequest(bodyLen int) step {
	return func(nc net.Conn) error {
		n, err := readBody(nc, -1)
		if err == nil && n != bodyLen {
			err = fmt.Errorf("expected a body of %d bytes, got %d", bodyLen, n)
		}
		return err
	}
}

// expectParams reads records up to the empty PARAMS record.
func expectParams() step {
	return func(nc net.Conn) error {
		for {
			h, content, err := readRecord(nc)
			if err != nil {
				return err
			}
			if RecordType(h[1]) == TypeParams && len(content) == 0 {
				return nil
			}
		}
	}
}

// readBody reads records up to the empty STDIN record, or until limit bytes of
// STDIN, if limit is not negative.
func readBody(nc net.Conn, limit int) (int, error) {
	total := 0
	for limit < 0 || total < limit {
		h, content, err := readRecord(nc)
		if err != nil {
			return total, err
		}
		if RecordType(h[1]) != TypeStdin {
			continue
		}
		if len(content) == 0 {
			return total, nil
		}
		total += len(content)
	}
	return total, nil
}

func readRecord(r io.Reader) (h, content []byte, err error) {
	h = make([]byte, headerSize)
	if _, err := io.ReadFull(r, h); err != nil {
		return nil, nil, err
	}
	rest := make([]byte, recordSize(h)-headerSize)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, nil, err
	}
	return h, rest[:len(rest)-int(h[6])], nil
}

func send(parts ...[]byte) step {
	return func(nc net.Conn) error {
		_, err := nc.Write(bytes.Join(parts, nil))
		return err
	}
}

func hangUp() step { return func(nc net.Conn) error { return nc.Close() } }

func wait(c <-chan struct{}) step {
	return func(net.Conn) error { <-c; return nil }
}

// withPeer returns a Conn whose other end follows the script. The test fails if
// the script does.
func withPeer(t testing.TB, steps ...step) *Conn {
	t.Helper()
	near, far := net.Pipe()
	return withPeerOn(t, near, far, steps...)
}

// withSocketPeer is withPeer on a unix socket, which has buffers.
func withSocketPeer(t testing.TB, steps ...step) *Conn {
	t.Helper()
	near, far := socketPair(t)
	return withPeerOn(t, near, far, steps...)
}

func withPeerOn(t testing.TB, near, far net.Conn, steps ...step) *Conn {
	t.Helper()
	deadline := patient.LastMoment()
	_ = near.SetReadDeadline(deadline)
	_ = far.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		for i, s := range steps {
			if err := s(far); err != nil {
				done <- fmt.Errorf("step %d: %w", i+1, err)
				return
			}
		}
		done <- nil
	}()
	c := counting(near)
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("peer: %v", err)
		}
		_ = c.Close()
	})
	return c
}

func socketPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// Records a worker may send.

func stdout(s string) []byte { return AppendRecord(nil, TypeStdout, 1, []byte(s)) }
func stderr(s string) []byte { return AppendRecord(nil, TypeStderr, 1, []byte(s)) }
func end() []byte            { return AppendRecord(nil, TypeEndRequest, 1, make([]byte, 8)) }

// of gives records the id of a connection's n-th request.
func of(n byte, records ...[]byte) []byte {
	all := bytes.Join(records, nil)
	for rest := all; len(rest) > 0; rest = rest[recordSize(rest):] {
		rest[3] = n
	}
	return all
}

// padded is a record with padding.
func padded(t RecordType, content []byte, padding int) []byte {
	r := AppendRecord(nil, t, 1, content)
	r[6] = byte(padding)
	return append(r, bytes.Repeat([]byte{0xff}, padding)...)
}

// answer is all that a request gave.
type answer struct {
	stdout, stderr bytes.Buffer
	end            EndRequest
}

// collect calls Next up to END_REQUEST.
func collect(c *Conn) (*answer, error) {
	var a answer
	for {
		r, err := c.Next()
		if err != nil {
			return &a, err
		}
		switch r.Type {
		case TypeStdout:
			a.stdout.Write(r.Content)
		case TypeStderr:
			a.stderr.Write(r.Content)
		default:
			a.end = r.End
			return &a, nil
		}
	}
}

func mustSend(t testing.TB, c *Conn, r *Request) {
	t.Helper()
	if err := c.Send(r); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

func mustCollect(t testing.TB, c *Conn) *answer {
	t.Helper()
	a, err := collect(c)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return a
}

// memConn is a connection whose input is given and whose output is dropped.
type memConn struct {
	in    []byte
	pos   int
	chunk int  // bytes per Read, 0: as many as fit
	loop  bool // start over at the end of in
	wrote int  // calls of Write
}

func (m *memConn) Read(p []byte) (int, error) {
	if m.pos == len(m.in) {
		if !m.loop {
			return 0, io.EOF
		}
		m.pos = 0
	}
	if m.chunk > 0 && len(p) > m.chunk {
		p = p[:m.chunk]
	}
	n := copy(p, m.in[m.pos:])
	m.pos += n
	return n, nil
}

func (m *memConn) Write(p []byte) (int, error)      { m.wrote++; return len(p), nil }
func (m *memConn) Close() error                     { return nil }
func (m *memConn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (m *memConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (m *memConn) SetDeadline(time.Time) error      { return nil }
func (m *memConn) SetReadDeadline(time.Time) error  { return nil }
func (m *memConn) SetWriteDeadline(time.Time) error { return nil }

// counting returns a Conn whose requests have the ids 1, 2, 3 and so on, which a scripted peer can know.
func counting(nc net.Conn) *Conn {
	c := NewConn(nc)
	c.nextID = func(last uint16) uint16 { return max(last+1, 1) }
	return c
}

// Who cannot read the requests of a connection cannot answer them either.
func TestRequestIDsCannotBeGuessedAndDoNotRepeatAtOnce(t *testing.T) {
	seen, rising, last := map[uint16]bool{}, 0, uint16(0)
	const n = 4000
	for range n {
		id := NewConn(nil).nextID(last)
		if id == 0 || id == last {
			t.Fatalf("id %d after %d", id, last)
		}
		if id == last+1 {
			rising++
		}
		seen[id], last = true, id
	}
	if len(seen) < n*9/10 || rising > 10 { // of 65535; about 3877 and 0 are to be expected
		t.Errorf("%d different ids among %d, %d of them follow the last", len(seen), n, rising)
	}
}
