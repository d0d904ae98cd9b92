package server

import (
	"bytes"
	"strconv"
)

// stderrSignals are what phpserve's own PHP code says to it among a script's messages, each behind the pool's token.
type stderrSignals struct {
	finish bool   // fastcgi_finish_request()
	peak   uint64 // of the script's memory, in bytes; zero: not said
}

// signalDigits is how long the number of a signal may be.
const signalDigits = 20

// signalScanner separates the signals from the messages. php-cgi begins a new record wherever its buffer is full
// (main/fastcgi.c:fcgi_write), also within a signal.
type signalScanner struct {
	held  []byte // the end of the last record, which may be the beginning of a signal
	ended bool   // the last record ended with a signal, whose newline may follow
}

// take takes the content of a record. What may go on in the next one is held back.
func (h *signalScanner) take(p, token []byte) (messages []byte, s stderrSignals) {
	if len(token) == 0 {
		return p, s
	}
	if len(h.held) > 0 {
		p = append(h.held, p...)
		h.held = nil
	}
	if h.ended && len(p) > 0 {
		p, h.ended = bytes.TrimPrefix(p, []byte("\n")), false
	}
	if n := openSignal(p, token); n > 0 {
		h.held = bytes.Clone(p[len(p)-n:])
		p = p[:len(p)-n]
	}
	h.ended = len(h.held) == 0 && endsWithSignal(p, token)
	return takeSignals(p, token)
}

// rest is what was held back and is no signal after all.
func (h *signalScanner) rest(token []byte) (messages []byte, s stderrSignals) {
	held := h.held
	h.held, h.ended = nil, false
	return takeSignals(held, token)
}

// openSignal is how many bytes at the end of p are a signal, or the beginning of one, that the next record may continue.
func openSignal(p, token []byte) int {
	if len(token) == 0 {
		return 0
	}
	if at := bytes.LastIndex(p, token); at >= 0 {
		if rest := p[at+len(token):]; len(rest) == 0 || rest[0] == '=' && len(rest) <= 1+signalDigits && onlyDigits(rest[1:]) {
			return len(p) - at
		}
	}
	for n := min(len(p), len(token)-1); n > 0; n-- {
		if bytes.HasPrefix(token, p[len(p)-n:]) {
			return n
		}
	}
	return 0
}

// endsWithSignal says whether p ends with a whole signal that lacks its newline.
func endsWithSignal(p, token []byte) bool {
	at := bytes.LastIndex(p, token)
	if at < 0 || p[len(p)-1] != ';' {
		return false
	}
	number := p[at+len(token) : len(p)-1]
	return len(number) > 1 && number[0] == '=' && !bytes.Contains(number, []byte(";"))
}

func onlyDigits(p []byte) bool {
	for _, c := range p {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// takeSignals separates the signals from the messages in a text that is whole.
func takeSignals(p, token []byte) (messages []byte, s stderrSignals) {
	if len(token) == 0 {
		return p, s
	}
	before, after, found := bytes.Cut(p, token)
	if !found {
		return p, s
	}
	messages = bytes.Clone(before)
	for found {
		if number, rest, ok := bytes.Cut(after, []byte(";")); ok && len(number) > 1 && number[0] == '=' {
			if peak, err := strconv.ParseInt(string(number[1:]), 10, 64); err == nil && peak > 0 { // else a script has made it up
				s.peak = uint64(peak)
			}
			after = rest
		} else {
			s.finish = true
		}
		before, after, found = bytes.Cut(bytes.TrimPrefix(after, []byte("\n")), token)
		messages = append(messages, before...)
	}
	return messages, s
}
