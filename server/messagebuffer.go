package server

import (
	"bytes"
	"strings"
)

// messageLimit is how long one message may be, in bytes; what is longer is logged in pieces.
const messageLimit = 64 << 10

// messageBuffer puts PHP's messages together, which come in records that begin and end anywhere. It holds the beginning of one
// message and no more.
type messageBuffer struct {
	token   []byte // of the signals among the messages
	signals signalScanner
	text    []byte
}

// add takes a piece and returns the messages that are complete, and the signals. more says that the next piece is there already: the
// last message may go on in it.
func (b *messageBuffer) add(p []byte, more bool) ([]string, stderrSignals) {
	p, signals := b.signals.take(p, b.token)
	b.text = append(b.text, p...)
	end := bytes.LastIndexByte(b.text, '\n') + 1
	if more {
		end = lastMessage(b.text[:end])
	}
	if end == 0 && len(b.text) >= messageLimit {
		end = len(b.text)
	}
	messages := phpMessages(string(b.text[:end]))
	b.text = append(b.text[:0], b.text[end:]...)
	return messages, signals
}

// rest returns what is left. Nothing waits for a signal any more.
func (b *messageBuffer) rest() []string {
	held, _ := b.signals.rest(b.token)
	b.text = append(b.text, held...)
	messages := phpMessages(string(b.text))
	b.text = b.text[:0]
	return messages
}

// lastMessage is where the last message begins.
func lastMessage(text []byte) (start int) {
	at := 0
	for line := range strings.Lines(string(text)) {
		if trimmed := strings.TrimRight(line, "\r\n"); trimmed != "" && !continuesMessage(trimmed) {
			start = at
		}
		at += len(line)
	}
	return start
}
