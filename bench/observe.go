package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// scrapeInterval is how often an observed side is asked for its metrics and its workers: more often than Prometheus does.
const scrapeInterval = time.Second

// observedConfig turns on what phpserve can tell of itself; admin is where it tells it.
func observedConfig(dir, admin string) string {
	return fmt.Sprintf("admin: %s\nrequest_slowlog_timeout: 5s\nslowlog: %s\n", admin, filepath.Join(dir, "slow.log"))
}

// observe watches a side while it is measured, as its name says. The function that is returned ends that and waits for it; its
// error says that nothing was watched.
func (b *bench) observe(ctx context.Context, s *side) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	switch s.name {
	case sideObserved:
		wg.Go(func() { failed = s.scrape(ctx) })
	case sideProfiled:
		wg.Go(func() { failed = s.profile(ctx, b.options.duration) })
	}
	return func() error {
		cancel()
		wg.Wait()
		if failed != nil {
			return fmt.Errorf("%s: %w", s.name, failed)
		}
		return nil
	}
}

// scrape asks for everything until ctx ends.
func (s *side) scrape(ctx context.Context) error {
	tick := time.NewTicker(scrapeInterval)
	defer tick.Stop()
	for {
		response, body, err := fetch(ctx, http.DefaultClient, "http://"+s.admin+"/metrics")
		if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(body, "phpfpm_accepted_connections")) {
			err = fmt.Errorf("it tells no metrics: status %d", response.StatusCode)
		}
		if err == nil {
			err = s.command(ctx, "status", "--full")
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// profile takes a profile for as long as the load lasts.
func (s *side) profile(ctx context.Context, duration time.Duration) error {
	file := filepath.Join(filepath.Dir(s.servers[0].log), "profile.folded")
	if err := s.command(ctx, "profile", "--duration", duration.String(), "-o", file); err != nil {
		if ctx.Err() != nil {
			return nil // the load was over first
		}
		return err
	}
	if text, err := os.ReadFile(file); err != nil || len(text) == 0 {
		return fmt.Errorf("its profile is empty (%v)", err)
	}
	return nil
}

// command has the side's phpserve do something.
func (s *side) command(ctx context.Context, args ...string) error {
	args = append(args, "--control", controlSocket(s.servers[0].cmd.Process.Pid))
	if out, err := exec.CommandContext(ctx, s.servers[0].path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("phpserve %s: %v: %s", args[0], err, out)
	}
	return nil
}

// controlSocket is where a phpserve is spoken to (docs/deployment.md).
func controlSocket(pid int) string {
	name := fmt.Sprintf("control-%d.sock", pid)
	switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
	case os.Geteuid() == 0:
		return filepath.Join("/run/phpserve", name)
	case dir != "":
		return filepath.Join(dir, "phpserve", name)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("phpserve-%d", os.Getuid()), name)
}
