package server

import (
	"bytes"
)

// takeStderr looks for the end of the response among the script's messages and logs these.
func (y *relay) takeStderr(p []byte) {
	p, signals := takeSignals(p, y.token)
	if signals.finish {
		y.finished = true
		y.worker.Finishing()
	}
	if signals.peak > 0 {
		y.worker.Peak(signals.peak)
	}
	room := stderrLimit - y.stderrN
	y.stderrN += len(p)
	switch {
	case room <= 0:
		return
	case len(p) > room:
		p = append(bytes.Clone(p[:room]), " [more was dropped]\n"...)
	}
	y.stderr = append(y.stderr, p...)
	if end := bytes.LastIndexByte(y.stderr, '\n'); end >= 0 && !y.conn.Buffered() {
		y.flushStderr()
	}
}

// flushStderr logs what the script said and keeps its beginning.
func (y *relay) flushStderr() {
	if len(y.stderr) == 0 {
		return
	}
	text := string(y.stderr)
	y.stderr = y.stderr[:0]
	logPHP(y.s.log, y.x, text)
	if room := saidLimit - len(y.said); room > 0 {
		y.said += text[:min(room, len(text))]
	}
}

// saidLimit is how much of FCGI_STDERR is kept for the error page, in bytes.
const saidLimit = 4 << 10
