// Package linelog writes the lines of logs so that no log ever holds up or ends who writes to it: lines are taken at once and
// written by a goroutine that exists while there are any. What finds no room is dropped and counted; what cannot be written, because
// a disk is full or nobody reads, is kept and tried again.
package linelog

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultLimit is how many bytes may wait to be written.
	DefaultLimit = 1 << 20
	// gatherEnough is how much is written without waiting for more.
	gatherEnough = 32 << 10
	// keepBuffer is the largest buffer that is kept for later lines.
	keepBuffer = 64 << 10
	// retryFirst and retryMost are the pauses between attempts to write what could not be written.
	retryFirst, retryMost = 10 * time.Millisecond, time.Second
	// roomPatience is how long AwaitRoom waits for a log that is not written; from then on it does not wait until half is written.
	roomPatience = 500 * time.Millisecond
	// closeWait is how long Close and Replace wait for what was taken before.
	closeWait = 2 * time.Second
)

// Config is how a Writer writes.
type Config struct {
	// Delay is how long a line may wait for others, to be written together. Zero: not at all.
	Delay time.Duration
	// Limit is how many bytes may wait. Zero: DefaultLimit.
	Limit int
	// Failed is told once when writing begins to fail. Nil: nobody is.
	Failed func(error)
	// Lost is told how many lines were dropped, when it can be written again. What it returns is written in their place.
	// Nil: nobody is.
	Lost func(lines uint64) []byte
}

// Writer is an io.Writer for whole lines, which never blocks and never fails. Several goroutines may use it.
type Writer struct {
	cfg Config

	mu       sync.Mutex // guards the fields below
	queue    []segment  // the last one takes lines; never empty
	size     int        // bytes that wait in all
	spare    []byte     // an empty buffer
	lost     uint64     // lines that were dropped behind all that waits
	fullFrom time.Time  // since when there is no room; zero: there is
	running  bool       // the goroutine exists
	closed   bool
	urge     chan struct{} // capacity 1: has the goroutine write now
	moved    chan struct{} // closed and replaced when something was written or the goroutine has ended
}

// segment is what waits for one place.
type segment struct {
	to   io.Writer
	text []byte
}

// New returns a Writer to a place. An io.Closer is closed when another takes its place or the Writer is closed, unless it is wrapped
// with [KeepOpen].
func New(to io.Writer, cfg Config) *Writer {
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	return &Writer{cfg: cfg, queue: []segment{{to: to}}, urge: make(chan struct{}, 1), moved: make(chan struct{})}
}

// KeepOpen is a place that is not closed.
func KeepOpen(to io.Writer) io.Writer { return struct{ io.Writer }{to} }

// Write takes lines. It always succeeds; what finds no room is counted.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := &w.queue[len(w.queue)-1]
	if w.closed || w.lost > 0 || w.size+len(lines) > w.cfg.Limit { // once something is lost, all is, so that the order stays
		if w.lost++; w.fullFrom.IsZero() {
			w.fullFrom = time.Now()
		}
		w.start()
		return len(lines), nil
	}
	if last.text == nil {
		last.text, w.spare = w.spare, nil
	}
	last.text = append(last.text, lines...)
	if w.size += len(lines); w.size >= gatherEnough && w.cfg.Delay > 0 {
		w.hurry()
	}
	w.start()
	return len(lines), nil
}

// AwaitRoom waits for a moment while half of the room is taken, for those who can write without end. It does not wait for a log that
// is not written.
func (w *Writer) AwaitRoom() {
	timeout := time.After(roomPatience)
	for {
		w.mu.Lock()
		moved, half := w.moved, w.size >= w.cfg.Limit/2
		if half && w.fullFrom.IsZero() {
			w.fullFrom = time.Now()
		}
		stuck := half && time.Since(w.fullFrom) > roomPatience
		w.mu.Unlock()
		if !half || stuck {
			return
		}
		select {
		case <-moved:
		case <-timeout:
			return
		}
	}
}

// Replace has the lines from now on go elsewhere, and waits a while until those before are written. Those that cannot be follow to the
// new place.
func (w *Writer) Replace(to io.Writer) {
	w.mu.Lock()
	w.queue = append(w.queue, segment{to: to})
	w.start()
	w.hurry()
	w.mu.Unlock()
	w.await(func() bool { return len(w.queue) == 1 })
}

// Flush waits a while until all is written that was taken before.
func (w *Writer) Flush() {
	w.mu.Lock()
	w.hurry()
	w.mu.Unlock()
	w.await(func() bool { return !w.running })
}

// Close writes what waits, within two seconds. What comes later is dropped.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.hurry()
	w.mu.Unlock()
	w.await(func() bool { return !w.running })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running || w.size > 0 {
		return fmt.Errorf("%d bytes of a log could not be written", w.size)
	}
	return closeSink(w.queue[0].to)
}

// await waits until something is so, or closeWait is over.
func (w *Writer) await(so func() bool) {
	timeout := time.After(closeWait)
	for {
		w.mu.Lock()
		moved, over := w.moved, so()
		w.mu.Unlock()
		if over {
			return
		}
		select {
		case <-moved:
		case <-timeout:
			return
		}
	}
}

// start has the goroutine exist. w.mu must be held.
func (w *Writer) start() {
	if !w.running && (!w.closed || w.size > 0) {
		w.running = true
		go w.drain(w.cfg.Delay) // it ends when nothing waits; Close waits for it
	}
}

// hurry has the goroutine not wait for more. w.mu must be held.
func (w *Writer) hurry() {
	select {
	case w.urge <- struct{}{}:
	default:
	}
}

// mayWait says whether there are lines, which may wait for others.
func (w *Writer) mayWait() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size > 0 && !w.closed && len(w.queue) == 1
}

// pause waits, unless the goroutine is to hurry.
func (w *Writer) pause(d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.urge:
	}
}

// drain writes until nothing is left.
func (w *Writer) drain(delay time.Duration) {
	var batch []byte
	var missing uint64 // lines that were dropped and are to be told
	retry, failing := retryFirst, false
	for {
		if len(batch) == 0 && w.mayWait() {
			w.pause(delay)
		}
		to, more, lost, over := w.take(batch)
		if missing += lost; over {
			return
		}
		n, err := writeAll(to, more)
		batch = more[n:]
		if w.written(n, err != nil); err != nil {
			if w.giveUp() {
				return
			}
			if !failing && w.cfg.Failed != nil {
				w.cfg.Failed(err)
			}
			failing = true
			w.pause(retry)
			retry = min(2*retry, retryMost)
			continue
		}
		retry, failing = retryFirst, false
		w.keep(more)
		batch, missing = w.tell(missing), 0
	}
}

// writeAll writes p unless it is empty.
func writeAll(to io.Writer, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := to.Write(p)
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	return max(0, min(n, len(p))), err
}

// take is what is to be written next, and where: what is left of the last attempt and all that waits. over says that there is nothing,
// and that the goroutine ends.
func (w *Writer) take(left []byte) (to io.Writer, text []byte, lost uint64, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 1 && len(left) == 0 && len(w.queue[0].text) == 0 {
		_ = closeSink(w.queue[0].to) // all is written
		w.queue = w.queue[1:]
	}
	first := &w.queue[0]
	if len(left) > 0 && len(w.queue) > 1 { // what could not be written follows to the next place
		_ = closeSink(first.to) // it has failed
		w.queue[1].text = append(first.text, w.queue[1].text...)
		w.queue = w.queue[1:]
		first = &w.queue[0]
	}
	text, first.text = first.text, nil
	if len(left) > 0 {
		text = append(slices.Clip(left), text...)
	}
	if len(w.queue) == 1 {
		lost, w.lost = w.lost, 0
	}
	if len(text) == 0 && lost == 0 {
		w.running, w.fullFrom = false, time.Time{}
		w.move()
		return nil, nil, 0, true
	}
	return first.to, text, lost, false
}

// written makes room.
func (w *Writer) written(n int, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size -= n
	if !failed && w.size < w.cfg.Limit/2 {
		w.fullFrom = time.Time{}
	}
	w.move()
}

// move wakes those who wait. w.mu must be held.
func (w *Writer) move() {
	close(w.moved)
	w.moved = make(chan struct{})
}

// giveUp says whether what cannot be written is given up, because the Writer is closed.
func (w *Writer) giveUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.running = false
		w.move()
	}
	return w.closed
}

// keep has a buffer used again.
func (w *Writer) keep(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spare == nil && cap(p) <= keepBuffer {
		w.spare = p[:0]
	}
}

// tell has the loss of lines told, and returns what is to be written about it.
func (w *Writer) tell(lost uint64) []byte {
	if lost == 0 || w.cfg.Lost == nil {
		return nil
	}
	text := w.cfg.Lost(lost)
	w.mu.Lock()
	w.size += len(text)
	w.mu.Unlock()
	return text
}

// closeSink closes a place that can be.
func closeSink(to io.Writer) error {
	if c, ok := to.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
