package server

import (
	"sync"
	"time"
)

// rareLog holds back messages that every request of a script would repeat: each comes once in a minute.
type rareLog struct {
	mu   sync.Mutex // guards said
	said map[rareMessage]time.Time
}

// rareMessage is a kind of message about one script.
type rareMessage struct{ kind, script string }

const (
	// rareInterval is how long a message that was logged is held back.
	rareInterval = time.Minute
	// rareMost bounds what is remembered; what finds no room is not logged.
	rareMost = 1000
)

// due says whether a message is to be logged now.
func (l *rareLog) due(kind, script string) bool {
	now, m := time.Now(), rareMessage{kind, script}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.said[m]; ok && now.Sub(last) < rareInterval {
		return false
	}
	if len(l.said) >= rareMost {
		for old, last := range l.said {
			if now.Sub(last) >= rareInterval {
				delete(l.said, old)
			}
		}
		if len(l.said) >= rareMost {
			return false
		}
	}
	if l.said == nil {
		l.said = map[rareMessage]time.Time{}
	}
	l.said[m] = now
	return true
}
