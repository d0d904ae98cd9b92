package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/internal/spelling"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/manager/phpstack"
)

const (
	// profileMost is the longest profile, for who forgets that one is being taken.
	profileMost = time.Hour
	// rateMost is phpstack's.
	rateMost = 1000
)

// errNoPool is a name that no pool has.
var errNoPool = errors.New("there is no such pool")

// pools are those that a request is about: the one it names, or all.
func (c controlled) pools(r *http.Request) ([]*manager.Pool, error) {
	all := c.server.Pools()
	name := r.FormValue("pool")
	if name == "" {
		return all, nil
	}
	names := make([]string, 0, len(all))
	for _, p := range all {
		if p.Config().Name == name {
			return []*manager.Pool{p}, nil
		}
		names = append(names, p.Config().Name)
	}
	return nil, fmt.Errorf("%w: %q; the pools are: %s", errNoPool, name, spelling.Some(names))
}

// page answers GET /page: php-fpm's status page of pools, with what phpserve knows besides.
func (c controlled) page(w http.ResponseWriter, r *http.Request) {
	pools, err := c.pools(r)
	format := manager.StatusFormat(r.FormValue("format"))
	if err == nil && len(pools) != 1 && (format == manager.StatusXML || format == manager.StatusOpenMetrics) {
		err = fmt.Errorf("%s has room for one pool: name it", format)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	page := manager.StatusPage{Format: format, Full: r.FormValue("full") != "", More: true}
	var text []byte
	for i, p := range pools {
		status := p.Status(page.Full)
		status.Measure()
		switch {
		case format == manager.StatusJSON && len(pools) > 1:
			text = append(text, "[,"[min(i, 1)])
		case i > 0:
			text = append(text, '\n')
		}
		text = page.Append(text, &status)
	}
	if format == manager.StatusJSON && len(pools) > 1 {
		text = append(text, ']')
	}
	_, _ = w.Write(append(bytes.TrimRight(text, "\n"), '\n')) // who does not wait for it does not get it
}

// trace answers GET /trace: the stacks of workers that run a request.
func (c controlled) trace(w http.ResponseWriter, r *http.Request) {
	pools, err := c.pools(r)
	if err != nil {
		refuse(w, err)
		return
	}
	pid, _ := strconv.Atoi(r.FormValue("pid")) // the command has checked it; without one it is 0
	var text bytes.Buffer
	found := pid == 0
	for _, p := range pools {
		stacks, err := p.Trace(pid, r.FormValue("args") != "")
		switch {
		case errors.Is(err, manager.ErrNoWorker):
			continue
		case err != nil:
			refuse(w, err)
			return
		}
		found = true
		for _, s := range stacks {
			writeStack(&text, p.Config().Name, &s)
		}
	}
	if !found {
		refuse(w, fmt.Errorf("%d is no worker of phpserve; phpserve status --full lists them", pid))
		return
	}
	_, _ = w.Write(text.Bytes()) // as above
}

// writeStack writes one worker's stack for a person.
func writeStack(text *bytes.Buffer, pool string, s *manager.WorkerStack) {
	slow := phpstack.Slow{
		Time: time.Now(), Pool: pool, Stack: s.Stack, Err: s.Err, Running: s.Duration, Method: s.Request.Method, URI: s.Request.URI,
		Client: s.Request.Client, RequestID: s.Request.ID,
	}
	slow.Stack.PID = s.ProcessStatus.PID
	_ = phpstack.WriteReport(text, slow) // a buffer takes all
}

// profile answers POST /profile with a profile of the workers in the form that is asked for.
func (c controlled) profile(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if r.FormValue("held") != "" {
		defer endWithBody(w, r, cancel)()
	}
	pools, err := c.pools(r)
	if err != nil {
		refuse(w, err)
		return
	}
	duration, err := time.ParseDuration(r.FormValue("duration"))
	if err != nil || duration <= 0 || duration > profileMost {
		refuse(w, fmt.Errorf("the duration of a profile must be above 0 and not above %v", profileMost))
		return
	}
	rate, err := strconv.Atoi(r.FormValue("rate"))
	if err != nil || rate < 1 || rate > rateMost {
		refuse(w, fmt.Errorf("the rate of a profile must be from 1 to %d samples a second", rateMost))
		return
	}
	ctx, cancel = context.WithTimeout(ctx, duration)
	defer cancel()
	profile, err := manager.RecordProfile(ctx, pools, phpstack.Sampling{Rate: rate, OnCPU: r.FormValue("cpu") != ""})
	if err != nil {
		refuse(w, err)
		return
	}
	var body bytes.Buffer
	switch r.FormValue("form") {
	case formPprof:
		err = profile.WritePprof(&body)
	case formFolded:
		err = profile.WriteFolded(&body)
	default:
		write := profile.WriteFlameGraph
		if r.FormValue("form") == formPage {
			write = profile.WriteFlameGraphPage
		}
		names := make([]string, 0, len(pools))
		for _, p := range pools {
			names = append(names, p.Config().Name)
		}
		slices.Sort(names)
		err = write(&body, "PHP of "+strings.Join(names, ", "))
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Phpserve-Samples", fmt.Sprintf("%d stacks, %d without a script, %d off the processor, %d rounds too late",
		profile.Samples, profile.Idle, profile.Waiting, profile.Missed))
	_, _ = w.Write(body.Bytes()) // as above
}

// endWithBody calls cancel when the request's body ends, or breaks off. The function that is returned ends the wait for that.
func endWithBody(w http.ResponseWriter, r *http.Request, cancel func()) (end func()) {
	conn := http.NewResponseController(w)
	_ = conn.EnableFullDuplex() // HTTP/1 can; without, the answer would wait for the body's end
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, r.Body) // however it ends
		cancel()
		close(done)
	}()
	return func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // the socket can
		<-done
	}
}

// recycle answers POST /recycle: it ends a worker.
func (c controlled) recycle(w http.ResponseWriter, r *http.Request) {
	pid, _ := strconv.Atoi(r.FormValue("pid")) // what is no number is no worker
	for _, p := range c.server.Pools() {
		if err := p.Recycle(pid); !errors.Is(err, manager.ErrNoWorker) {
			answer(w, struct{}{})
			return
		}
	}
	refuse(w, fmt.Errorf("%d is no worker of phpserve", pid))
}
