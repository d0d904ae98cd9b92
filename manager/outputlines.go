package manager

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

const (
	outputLineLimit = 64 << 10 // bytes of one line of worker output; a longer one is logged in pieces
	outputHeldLimit = 1 << 20  // bytes of unfinished lines that all processes have together; then they are logged as they are
)

// outputLine is a line of output, without its newline.
type outputLine struct {
	pid  int // of the worker; 0: of none that is known
	text string
}

// unfinishedLine is a line without its newline yet.
type unfinishedLine struct {
	pid    int // of the process that writes it
	worker int
	text   []byte
}

// outputLines puts the lines of several processes together.
type outputLines struct {
	unfinished map[int]*unfinishedLine // by the pid of the writer
	held       int                     // bytes in unfinished
}

func newOutputLines() outputLines { return outputLines{unfinished: map[int]*unfinishedLine{}} }

func (o *outputLines) empty() bool { return len(o.unfinished) == 0 }

// add appends to said what p completes.
func (o *outputLines) add(said []outputLine, pid, worker int, p []byte) []outputLine {
	for len(p) > 0 {
		line, rest, complete := bytes.Cut(p, []byte("\n"))
		l := o.unfinished[pid]
		have := 0
		if l != nil {
			have = len(l.text)
		}
		if room := outputLineLimit - have; len(line) > room {
			line, rest, complete = p[:room], p[room:], true
		}
		p = rest
		switch {
		case complete && l == nil:
			said = appendLine(said, worker, line)
			continue
		case l == nil:
			l = &unfinishedLine{pid: pid, worker: worker}
			o.unfinished[pid] = l
		}
		l.text = append(l.text, line...)
		if o.held += len(line); complete {
			said = o.take(said, l)
		}
	}
	if o.held > outputHeldLimit {
		said = o.finishAll(said)
	}
	return said
}

// take appends an unfinished line as it is.
func (o *outputLines) take(said []outputLine, l *unfinishedLine) []outputLine {
	o.held -= len(l.text)
	delete(o.unfinished, l.pid)
	return appendLine(said, l.worker, l.text)
}

// finish appends the unfinished lines that are meant.
func (o *outputLines) finish(said []outputLine, meant func(*unfinishedLine) bool) []outputLine {
	if len(o.unfinished) == 0 {
		return said
	}
	for _, pid := range slices.Sorted(maps.Keys(o.unfinished)) {
		if l := o.unfinished[pid]; meant(l) {
			said = o.take(said, l)
		}
	}
	return said
}

// finishAll appends all unfinished lines.
func (o *outputLines) finishAll(said []outputLine) []outputLine {
	return o.finish(said, func(*unfinishedLine) bool { return true })
}

// appendLine appends a line unless it is empty.
func appendLine(said []outputLine, worker int, line []byte) []outputLine {
	if text := strings.TrimRight(string(line), "\r"); text != "" {
		said = append(said, outputLine{worker, text})
	}
	return said
}
