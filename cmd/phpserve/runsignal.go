package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
)

// runSignals are the signals to phpserve run by what they ask for.
type runSignals struct {
	stop, reload, reopen chan os.Signal
	terminal             bool // there was one at the start
}

// newRunSignals begins to take signals.
func newRunSignals() *runSignals {
	s := &runSignals{
		stop: make(chan os.Signal, 4), reload: make(chan os.Signal, 1), reopen: make(chan os.Signal, 1), terminal: hasTerminal(),
	}
	notifyStop(s.stop)
	notifyReload(s.reload)
	notifyReopen(s.reopen)
	return s
}

// close gives the signals back.
func (s *runSignals) close() {
	for _, c := range []chan os.Signal{s.stop, s.reload, s.reopen} {
		signal.Stop(c)
	}
}

// hungUp says whether the terminal that phpserve was started in is closed: its signal is that for a reload, too.
func (s *runSignals) hungUp() bool { return s.terminal && !hasTerminal() }

// untilStopped does what signals say until one of them, or a failure, which it returns, ends the serving. A reload that is asked for
// while another runs follows it; one that is under way when phpserve is to stop is called off.
func untilStopped(ctx context.Context, r *runReloader, p *plan, asked *runSignals) error {
	var reloading sync.WaitGroup
	defer reloading.Wait()
	reloads, cancel := context.WithCancel(ctx)
	defer cancel()
	reload := make(chan struct{}, 1)
	reloading.Go(func() {
		for {
			select {
			case <-reload:
				_, _ = r.reload(reloads, "") // it has said why not
			case <-reloads.Done():
				return
			}
		}
	})
	for {
		select {
		case <-asked.reopen:
			if err := r.server.Reopen(); err != nil {
				r.logger.Error("cannot open a log anew", "error", err)
			} else {
				r.logger.Info("access log opened anew")
			}
		case sig := <-asked.reload:
			if asked.hungUp() {
				r.logger.Info("stopping", "signal", sig.String(), "why", "the terminal is closed", "process_control_timeout", p.config.ProcessControlTimeout)
				return nil
			}
			select {
			case reload <- struct{}{}:
			default: // one waits already
			}
		case sig := <-asked.stop:
			r.logger.Info("stopping", "signal", sig.String(), "process_control_timeout", p.config.ProcessControlTimeout)
			return nil
		case broken := <-r.server.Failed():
			return broken
		case <-ctx.Done():
			return nil
		}
	}
}
