package manager

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	outputLineLimit = 16 << 10 // bytes of one line of worker output; a longer one is logged in pieces
	outputTail      = 8        // last lines kept to explain a failed start
)

// output logs what php-cgi processes write to their standard output and error, and remembers the last lines.
type output struct {
	log   *slog.Logger
	known []string // what PHP says at each start, which has been logged
	own   bool     // of one worker alone, whose process id then belongs to each line
	pipe  *os.File
	read  chan struct{} // closed when nothing more is read
	mu    sync.Mutex    // guards tail
	tail  []string
}

func newOutput(log *slog.Logger, known ...string) *output {
	return &output{log: log, known: known, read: make(chan struct{})}
}

// start runs begin with the write end of a pipe that goes to this output, read by a goroutine counted in wg until EOF or
// finish.
func (o *output) start(begin func(*os.File) (*child, error), wg *sync.WaitGroup) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe for php-cgi's output: %v", err)
	}
	ch, err := begin(w)
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	o.pipe = r
	if o.own {
		o.log = o.log.With("pid", ch.cmd.Process.Pid)
	}
	wg.Go(func() {
		defer close(o.read)
		defer r.Close()
		o.copy(r)
	})
	return ch, nil
}

// finish ends the reading although a program that PHP left running in the background may still hold the pipe; what is
// in it already is read first.
func (o *output) finish() {
	_ = o.pipe.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // the error is a pipe that has been closed at EOF
	<-o.read
}

// copy logs r line by line.
func (o *output) copy(r io.Reader) {
	lines := bufio.NewReaderSize(r, outputLineLimit)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			o.remember(text)
			if !slices.Contains(o.known, text) {
				o.log.Warn("php output", "text", text)
			}
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (o *output) remember(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tail) == outputTail {
		o.tail = o.tail[1:]
	}
	o.tail = append(o.tail, line)
}

// lines returns the remembered lines as the end of an error text.
func (o *output) lines() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tail) == 0 {
		return ""
	}
	return "; php-cgi said: " + strings.Join(o.tail, " | ")
}
