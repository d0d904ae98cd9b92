package manager

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// probes are what a php-cgi has said of itself. Many pools ask the same, and each answer takes the start of a PHP. Pools that
// ask at the same time wait for one answer.
type probes struct {
	mu      sync.Mutex
	answers map[string]*probeAnswer // by question
}

// probeAnswer is what runtime/probe.php has found out. Nobody changes it once done is closed.
type probeAnswer struct {
	facts   phpFacts
	startup []string // what PHP wrote to standard error before
	stamps  []string // of the files that it has read
	err     error
	done    chan struct{} // closed when the answer is there
}

// ask returns the answer to a question, if need be after running PHP. A failure is told to those who wait for that answer and not kept.
func (s *probes) ask(ctx context.Context, p *PHP, q probeQuestion) (*probeAnswer, error) {
	if s == nil || !q.keep {
		return q.run(ctx, p)
	}
	key := q.key(p)
	for {
		s.mu.Lock()
		answer := s.answers[key]
		if answer == nil {
			answer = &probeAnswer{done: make(chan struct{})}
			if s.answers == nil {
				s.answers = map[string]*probeAnswer{}
			}
			s.answers[key] = answer
			s.mu.Unlock()
			s.run(ctx, p, q, key, answer)
			return answer, answer.err
		}
		s.mu.Unlock()
		select {
		case <-answer.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case answer.err != nil && answer.err == context.Canceled: // of who asked first
		case answer.err != nil:
			return nil, answer.err
		case slices.Equal(answer.stamps, answer.facts.stamps(p.Path)):
			return answer, nil
		}
		s.forget(key, answer)
	}
}

// run fills in an answer.
func (s *probes) run(ctx context.Context, p *PHP, q probeQuestion, key string, answer *probeAnswer) {
	defer close(answer.done)
	got, err := q.run(ctx, p)
	if err != nil {
		if answer.err = err; ctx.Err() != nil {
			answer.err = context.Canceled
		}
		s.forget(key, answer)
		return
	}
	answer.facts, answer.startup, answer.stamps = got.facts, got.startup, got.facts.stamps(p.Path)
	if got.facts["unreadable"] != "" { // of those files there are no stamps
		s.forget(key, answer)
	}
}

// forget has the next one who asks run PHP.
func (s *probes) forget(key string, answer *probeAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers[key] == answer {
		delete(s.answers, key)
	}
}

// key is the same for questions with the same answer.
func (q *probeQuestion) key(p *PHP) string {
	user := ""
	if q.user != nil {
		user = fmt.Sprint(q.user.uid, q.user.gid, q.user.groups)
	}
	return fmt.Sprintf("%q %q %q %s", p.Path, q.args, q.env, user)
}

// Learn asks PHP what [NewPool] will need to know for a pool of cfg, so that this one need not wait for it. An error is NewPool's to
// tell.
func (p *PHP) Learn(ctx context.Context, cfg PoolConfig) {
	own := *p
	_, _, _ = cfg.Check(ctx, &own)
}
