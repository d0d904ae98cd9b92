package linelog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// place is where a log goes. It blocks until its gate is closed, if it has one, and fails, after half of what it is given, while err is set.
type place struct {
	gate chan struct{}
	mu   sync.Mutex
	err  error
	buf  bytes.Buffer
	shut bool
}

func (p *place) Write(b []byte) (int, error) {
	if p.gate != nil {
		<-p.gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		n, _ := p.buf.Write(b[:len(b)/2])
		return n, p.err
	}
	return p.buf.Write(b)
}

func (p *place) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	return nil
}

func (p *place) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *place) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

func lines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %04d\n", i)
	}
	return b.String()
}

func write(w *Writer, from, to int) {
	for i := from; i < to; i++ {
		_, _ = w.Write([]byte(lines(i, i+1)))
	}
}

func TestWriterKeepsTheOrderAndWritesAllAtItsClose(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Hour} {
		p := &place{}
		w := New(p, Config{Delay: delay})
		write(w, 0, 1000)
		if err := w.Close(); err != nil || p.text() != lines(0, 1000) || !p.shut {
			t.Errorf("delay %v: %v, %d bytes, closed %v", delay, err, len(p.text()), p.shut)
		}
	}
}

func TestWriterNeverBlocksAndSaysWhatItLost(t *testing.T) {
	p := &place{gate: make(chan struct{})} // nobody reads
	var told uint64
	notices := ""
	w := New(p, Config{Limit: 100, Lost: func(n uint64) []byte {
		told += n
		notice := fmt.Sprintf("%d lost\n", n)
		notices += notice
		return []byte(notice)
	}})
	write(w, 0, 1000)
	w.AwaitRoom() // gives up
	close(p.gate)
	w.Flush()
	write(w, 1000, 1005)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	kept := 1000 - int(told)
	want := lines(0, kept) + notices + lines(1000, 1005)
	if told == 0 || kept > 20 || p.text() != want {
		t.Errorf("%d lost:\n%s", told, p.text())
	}
}

func TestWriterGoesOnWhenAFullDiskHasRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		failures := 0
		w := New(p, Config{Failed: func(err error) { failures++ }})
		write(w, 0, 10)
		w.Flush()
		p.fail(errors.New("no space left on device"))
		write(w, 10, 20)
		time.Sleep(time.Hour)
		write(w, 20, 30)
		p.fail(nil)
		time.Sleep(retryMost + time.Millisecond)
		if p.text() != lines(0, 30) {
			t.Errorf("got %q", p.text())
		}
		write(w, 30, 31)
		if err := w.Close(); err != nil || failures != 1 || p.text() != lines(0, 31) {
			t.Errorf("%v, told %d times, got %q", err, failures, p.text())
		}
	})
}

func TestWriterThatCannotWriteDoesNotHoldUpItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		p.fail(errors.New("no space left on device"))
		w := New(p, Config{})
		write(w, 0, 10)
		if w.Close() == nil {
			t.Error("nothing was said of what could not be written")
		}
		stuck := &place{gate: make(chan struct{})}
		w = New(stuck, Config{})
		write(w, 0, 10)
		if w.Close() == nil {
			t.Error("nothing was said of what nobody read")
		}
		close(stuck.gate)
	})
}

func TestWriterPutsLinesBehindReplaceIntoTheNewPlace(t *testing.T) {
	before, after := &place{}, &place{}
	w := New(before, Config{Delay: time.Hour})
	write(w, 0, 10)
	w.Replace(KeepOpen(after))
	if before.text() != lines(0, 10) || !before.shut {
		t.Errorf("before: %q, closed %v", before.text(), before.shut)
	}
	write(w, 10, 20)
	if err := w.Close(); err != nil || after.text() != lines(10, 20) || after.shut {
		t.Errorf("after: %v, %q, closed %v", err, after.text(), after.shut)
	}
	broken, next := &place{}, &place{}
	broken.fail(errors.New("gone"))
	w = New(broken, Config{})
	write(w, 0, 10)
	w.Replace(next)
	if err := w.Close(); err != nil || broken.text()+next.text() != lines(0, 10) {
		t.Errorf("%v, got %q and %q", err, broken.text(), next.text())
	}
}
