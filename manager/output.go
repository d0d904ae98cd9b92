package manager

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	outputTail  = 8        // last lines kept to explain a failed start
	outputChunk = 64 << 10 // how much is read at once, in bytes
)

// output logs what php-cgi processes write to their standard output and error, and remembers the last lines. Where the system
// tells who wrote what, the lines of each process are put together by themselves and bear the pid of the worker that the
// process is, or was started by.
type output struct {
	log   *slog.Logger
	known []string      // what PHP says at each start, which has been logged
	own   bool          // of one worker alone
	trial bool          // of a worker that is to serve nobody, see hearing
	mute  bool          // nobody reads
	from  *outputReader // nil: nobody reads, with mute
	read  chan struct{} // closed when nothing more is read
	first int           // the process that was started: the zygote, or with own the worker

	mu     sync.Mutex // guards the fields below
	tail   []string
	lines  outputLines
	taken  uint64      // bytes that were read
	placed uint64      // bytes that are in lines
	ends   []outputEnd // of requests, not yet reached
	family family
}

// outputEnd is the place in the output where a request of a worker ended.
type outputEnd struct {
	at     uint64
	worker int
	gone   bool // the worker itself has ended
}

// newOutput is for the output of a php-cgi of the pool. heard is false where it goes nowhere.
func (p *Pool) newOutput(heard bool) *output {
	o := newOutput(p.log, p.php.startup...)
	o.mute = !heard
	return o
}

func newOutput(log *slog.Logger, known ...string) *output {
	return &output{log: log, known: known, read: make(chan struct{}), lines: newOutputLines(), family: newFamily()}
}

// start runs begin with the end of a socket or pipe to write to, whose other end is read by a goroutine counted in wg until
// EOF or finish.
func (o *output) start(begin func(*os.File) (*child, error), wg *sync.WaitGroup) (*child, error) {
	if o.mute {
		return startMute(begin)
	}
	from, w, err := newOutputReader()
	if err != nil {
		return nil, fmt.Errorf("cannot make a channel for php-cgi's output: %v", err)
	}
	ch, err := begin(w)
	w.Close()
	if err != nil {
		from.Close()
		return nil, err
	}
	o.from, o.first = from, ch.cmd.Process.Pid
	wg.Go(func() {
		defer close(o.read)
		defer from.Close()
		o.copy()
	})
	return ch, nil
}

// startMute runs begin with the null device, which scripts can also open by name (/dev/stderr), as no socket can be (open(2), ENXIO).
func startMute(begin func(*os.File) (*child, error)) (*child, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot give php-cgi's output nowhere to go: %v", err)
	}
	defer null.Close()
	return begin(null)
}

// finish ends the reading although a program that PHP left running in the background may still hold the other end; what has
// been written already is read first.
func (o *output) finish() {
	if o.mute {
		return
	}
	_ = o.from.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // the error is one that has been closed at EOF
	<-o.read
}

// copy logs what is written, line by line.
func (o *output) copy() {
	chunk := make([]byte, outputChunk)
	for {
		n, pid, err := o.from.read(chunk, &o.mu, &o.taken)
		o.place(pid, chunk[:n])
		if err != nil {
			o.mu.Lock()
			said := o.lines.finishAll(nil)
			o.mu.Unlock()
			o.say(said)
			return
		}
	}
}

// place puts a piece of output of one process into its lines and logs those that are complete.
func (o *output) place(pid int, p []byte) {
	worker, found := o.workerOf(pid)
	var said []outputLine
	o.mu.Lock()
	for len(p) > 0 {
		n := len(p)
		if len(o.ends) > 0 {
			n = int(min(uint64(n), o.ends[0].at-o.placed))
		}
		said = o.lines.add(said, pid, worker, p[:n])
		o.placed += uint64(n)
		p = p[n:]
		said = o.reachEnds(said)
	}
	if !found && o.from.waiting() == 0 { // it has ended, and nothing more of it is to come
		said = o.lines.finish(said, func(l *unfinishedLine) bool { return l.pid == pid })
	}
	o.mu.Unlock()
	o.say(said)
}

// reachEnds finishes the lines of requests that have ended. o.mu must be held.
func (o *output) reachEnds(said []outputLine) []outputLine {
	for len(o.ends) > 0 && o.ends[0].at <= o.placed {
		end := o.ends[0]
		o.ends = o.ends[1:]
		said = o.lines.finish(said, func(l *unfinishedLine) bool { return l.worker == end.worker })
		o.family.requestEnded(end.worker, end.gone)
	}
	return said
}

// requestEnded says that a worker has done a request: what it has written until now is not continued by the next one
// (php-fpm's fpm_stdio.c:fpm_stdio_flush_child). What has not been read yet is told apart by its place.
func (o *output) requestEnded(worker int) { o.end(outputEnd{worker: worker}) }

// workerEnded is requestEnded for a worker that has ended.
func (o *output) workerEnded(worker int) { o.end(outputEnd{worker: worker, gone: true}) }

func (o *output) end(end outputEnd) {
	if o.mute {
		return
	}
	o.mu.Lock()
	end.at = o.taken + uint64(o.from.waiting())
	if end.at == o.placed && o.lines.empty() && !end.gone && len(o.family.programs) == 0 {
		o.mu.Unlock()
		return
	}
	o.ends = append(o.ends, end)
	said := o.reachEnds(nil)
	o.mu.Unlock()
	o.say(said)
}

// say logs lines. It is not done under the lock: a log may take its time.
func (o *output) say(said []outputLine) {
	for _, l := range said {
		o.mu.Lock()
		o.remember(l.text)
		o.mu.Unlock()
		switch {
		case slices.Contains(o.known, l.text):
		case l.pid == 0:
			o.log.Warn("php output", "text", l.text)
		default:
			o.log.Warn("php output", "pid", l.pid, "text", l.text)
		}
	}
}

// remember keeps a line for lines. o.mu must be held.
func (o *output) remember(line string) {
	const most = 1 << 10 // bytes of one that are kept
	if len(o.tail) == outputTail {
		o.tail = o.tail[1:]
	}
	o.tail = append(o.tail, line[:min(len(line), most)])
}

// said returns the remembered lines as the end of an error text.
func (o *output) said() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tail) == 0 {
		return ""
	}
	return "; php-cgi said: " + strings.Join(o.tail, " | ")
}
