package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// scrapeInterval is how often an observed side is asked for its metrics and its status: more often than Prometheus does.
const scrapeInterval = 5 * time.Second

// observedConfig turns on what phpserve can tell of itself; admin is where it tells it.
func observedConfig(dir, admin string) string {
	return fmt.Sprintf("admin: %s\nrequest_slowlog_timeout: 5s\nslowlog: %s\n", admin, filepath.Join(dir, "slow.log"))
}

// observe watches a side while it is measured, as its name says. The function that is returned ends that and waits for it; its
// error says that nothing was watched.
func (b *bench) observe(ctx context.Context, s *side) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed, watched error
	switch s.name {
	case sideObserved:
		wg.Go(func() { failed = s.scrape(ctx) })
		wg.Go(func() { watched = s.watch(ctx) })
	case sideProfiled:
		wg.Go(func() { failed = s.profile(ctx, b.options.duration) })
	}
	return func() error {
		cancel()
		wg.Wait()
		if failed = errors.Join(failed, watched); failed != nil {
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
			response, body, err = fetch(ctx, s.control(), "http://phpserve/page?format=json&full=1")
			if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(body, `"processes"`)) {
				err = fmt.Errorf("it tells no status: status %d", response.StatusCode)
			}
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

// watch has a dashboard open until ctx ends.
func (s *side) watch(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/api/events", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	seen, err := io.Copy(io.Discard, response.Body)
	if ctx.Err() == nil {
		return fmt.Errorf("the dashboard ended: %s, %v", response.Status, err)
	}
	if seen == 0 {
		return errors.New("the dashboard showed nothing")
	}
	return nil
}

// control speaks to the control socket of the side's phpserve.
func (s *side) control() *http.Client {
	path := controlSocket(s.servers[0].cmd.Process.Pid)
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
}

// profile takes a profile for as long as the load lasts, as phpserve profile has it taken: that command itself would be another program
// that starts beside the load.
func (s *side) profile(ctx context.Context, duration time.Duration) error {
	query := url.Values{"form": {"folded"}, "duration": {duration.String()}, "rate": {"99"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://phpserve/profile?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := s.control().Do(request)
	switch {
	case ctx.Err() != nil:
		return nil // the load was over first
	case err != nil:
		return err
	}
	defer response.Body.Close()
	told := response.Header.Get("Phpserve-Samples")
	// A script of some microseconds is hardly ever seen running, but its workers are looked at all the same.
	seen := 0
	if found := looked.FindStringSubmatch(told); found != nil {
		for _, n := range found[1:] {
			more, _ := strconv.Atoi(n) // it is a number
			seen += more
		}
	}
	if seen == 0 {
		return fmt.Errorf("its profile looked at nothing: %s: %s", response.Status, told)
	}
	return nil
}

// looked is what phpserve says of a profile's samples.
var looked = regexp.MustCompile(`^(\d+) stacks, (\d+) without a script`)

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
