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

// takeSignals separates them from the messages.
func takeSignals(p, token []byte) (messages []byte, s stderrSignals) {
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
