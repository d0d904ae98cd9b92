package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
)

const (
	// secondSignal is how long after the first signal another one means something else: wrappers and terminals send several for one
	// wish.
	secondSignal = 500 * time.Millisecond

	// waitingTold is how often it is said what phpserve still waits for.
	waitingTold = 10 * time.Second
)

// stop lets running requests finish for process_control_timeout, or until a second signal. With tell it says what it waits for.
func stop(s *server.Server, p *plan, signals <-chan os.Signal, logger *slog.Logger, tell bool) {
	ctx, cancel := context.WithTimeout(context.Background(), p.config.ProcessControlTimeout)
	defer cancel()
	began := time.Now()
	stopped := make(chan struct{})
	go func() {
		s.Stop(ctx)
		manager.EndDescendants()
		close(stopped)
	}()
	next := time.NewTimer(secondSignal)
	defer next.Stop()
	for {
		select {
		case <-stopped:
			return
		case <-next.C:
			if tell {
				tellWaiting(s.Pools(), p.config.ProcessControlTimeout-time.Since(began), logger)
			}
			next.Reset(waitingTold)
		case sig := <-signals:
			if time.Since(began) < secondSignal {
				continue
			}
			logger.Warn("ending at once", "signal", sig.String())
			cancel()
			<-stopped
			return
		}
	}
}

// tellWaiting says for which requests phpserve waits, for left at most, and how to end them.
func tellWaiting(pools []*manager.Pool, left time.Duration, logger *slog.Logger) {
	const how = "press Ctrl-C or send SIGTERM once more"
	requests := 0
	var oldest manager.ProcessStatus
	for _, p := range pools {
		for _, w := range p.Status(true).Processes {
			if w.Working() {
				if requests++; requests == 1 || w.Duration > oldest.Duration {
					oldest = w
				}
			}
		}
	}
	left = max(0, left).Round(time.Second)
	if requests == 0 {
		logger.Info("waiting for connections to end", "at_most", left, "to_end_at_once", how)
		return
	}
	logger.Info("waiting for running requests", "requests", requests, "oldest", strings.TrimSpace(oldest.Request.Method+" "+cmp.Or(oldest.Request.URI, oldest.Request.Target())),
		"running", oldest.Duration.Round(time.Millisecond), "pid", oldest.PID, "at_most", left, "to_end_at_once", how)
}
