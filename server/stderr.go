package server

// takeStderr looks for the end of the response among the script's messages and logs these.
func (y *relay) takeStderr(p []byte) {
	messages, signals := y.messages.add(p, y.conn.Buffered())
	if signals.finish {
		y.finished = true
		y.worker.Finishing()
	}
	if signals.peak > 0 {
		y.worker.Peak(signals.peak)
	}
	y.logMessages(messages)
}

// flushStderr logs what is left of what the script said.
func (y *relay) flushStderr() { y.logMessages(y.messages.rest()) }

// logMessages logs messages and keeps the beginning of all for the error page.
func (y *relay) logMessages(messages []string) {
	logPHP(y.s.log, y.x, messages)
	for _, m := range messages {
		if room := saidLimit - len(y.said); room > 0 {
			m += "\n"
			y.said += m[:min(room, len(m))]
		}
	}
}

// saidLimit is how much of FCGI_STDERR is kept for the error page, in bytes.
const saidLimit = 4 << 10
