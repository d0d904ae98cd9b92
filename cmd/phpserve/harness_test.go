package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be phpserve, for scripts and for instance.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"phpserve": main,
		// The same on a machine where php-cgi is neither on PATH nor in any of the usual places.
		"phpserve-without-php": func() {
			os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, func(context.Context, string, string) (*manager.PHP, string, error) {
				return nil, "", manager.ErrNoPHP
			}))
		},
	})
}

// patience is for what wants a duration; the deadline of the test binary comes before. See package patient.
const patience = 24 * time.Hour

// instance is a running phpserve.
type instance struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	url            string
	exited         chan struct{}
	err            error // valid after exited
}

// output collects what a process writes.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

func (o *output) read() (text string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String(), o.changed
}

// urlLine is the URL of the first screen, with the empty line that ends the screen.
var urlLine = regexp.MustCompile(`(?m)^  (https?://\S+)\n\n`)

// launch starts phpserve in a folder and waits until it has shown its URL. The caller stops it.
func launch(dir string, env []string, args ...string) (*instance, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return launchProgram(self, dir, env, args...)
}

// launchProgram is launch for another program that is phpserve.
func launchProgram(program, dir string, env []string, args ...string) (*instance, error) {
	s := &instance{
		cmd:    &exec.Cmd{Path: program, Args: append([]string{"phpserve"}, args...), Dir: dir, Env: env},
		stdout: &output{changed: make(chan struct{})}, stderr: &output{changed: make(chan struct{})},
		exited: make(chan struct{}),
	}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.WaitDelay = s.stdout, s.stderr, time.Until(patient.LastMoment())
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	late := patient.Late()
	for ended := false; ; {
		text, changed := s.stdout.read()
		if m := urlLine.FindStringSubmatch(text); m != nil {
			s.url = m[1]
			return s, nil
		}
		select {
		case <-changed:
		case <-s.exited:
			if !ended { // what it has said to its end is there now
				ended = true
				continue
			}
			return nil, fmt.Errorf("phpserve ended before it served: %v\n%s%s", s.err, s.stdout, s.stderr)
		case <-late:
			s.kill()
			return nil, fmt.Errorf("phpserve shows no URL\n%s%s", s.stdout, s.stderr)
		}
	}
}

// stop asks phpserve to end and returns what its exit said.
func (s *instance) stop(sig os.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.exited:
		return s.err
	case <-patient.Late():
		s.kill()
		return errors.New("phpserve does not end")
	}
}

func (s *instance) kill() {
	_ = s.cmd.Process.Kill() // it may have ended this moment
	<-s.exited
}

// serve starts phpserve for a test and stops it at the test's end, where it must exit with 0.
func serve(t *testing.T, dir string, args ...string) *instance {
	t.Helper()
	s, err := launch(dir, cleanEnviron(), append([]string{"run", "--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("exit: %v", err)
		}
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", s.stdout, s.stderr)
		}
	})
	return s
}

// waitForLog waits until the access log on standard output has a text.
func (s *instance) waitForLog(t *testing.T, want string) {
	t.Helper()
	late := patient.Late()
	for {
		text, changed := s.stdout.read()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no %q in:\n%s", want, text)
		}
	}
}

// cleanEnviron is the environment without settings for phpserve.
func cleanEnviron(more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, envPrefix) {
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

// openFolder makes a temporary folder that the workers' user can read.
func openFolder(tb interface {
	Fatal(args ...any)
	Cleanup(f func())
}, name string,
) string {
	dir, err := os.MkdirTemp("", name)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// reply is an HTTP response with its whole body.
type reply struct {
	*http.Response
	body string
}

// fetch sends a request with headers NAME: VALUE and follows no redirect, unless client says otherwise.
func fetch(client *http.Client, method, url string, body io.Reader, header ...string) (*reply, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ":")
		if req.Header.Add(name, strings.TrimSpace(value)); strings.EqualFold(name, "Host") {
			req.Host = strings.TrimSpace(value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return &reply{resp, string(text)}, err
}

// plainClient neither follows redirects nor keeps connections.
func plainClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Until(patient.LastMoment()),
	}
}

// repository is the top folder of the sources.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
