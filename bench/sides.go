package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startDeadline = 20 * time.Second
	stopDeadline  = 10 * time.Second
)

// side is one contestant: the servers that together turn HTTP into PHP.
type side struct {
	name    string
	address string
	admin   string // where metrics are; empty: nowhere
	servers []*server
	// adopts says that processes whose starter has exited are this side's.
	adopts bool
	// deadChildrenPHP says that the front end's ended children were PHP.
	deadChildrenPHP bool
}

// server is one program of a side.
type server struct {
	path string
	args []string
	env  []string
	log  string

	cmd *exec.Cmd
	// ended is closed after the process was waited for.
	ended chan struct{}
}

// newPhpserveSide prepares phpserve as its documentation says to run it.
func newPhpserveSide(name string, o options, t tools, dir, root string) (*side, error) {
	if err := makeSideDir(dir, t.account); err != nil {
		return nil, err
	}
	config, admin := o.config, ""
	if config == "" {
		// An empty file keeps phpserve from using one it would find by itself.
		config = filepath.Join(dir, "phpserve.yaml")
		text := ""
		if name == sideObserved {
			var err error
			if admin, err = freeAddress(); err != nil {
				return nil, err
			}
			text = observedConfig(dir, admin)
		}
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("cannot write phpserve's configuration: %v", err)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{
		"run", root, "--config", config, "--listen", address,
		"--workers", strconv.Itoa(o.workers), "--pm", "static",
		"--access-log", filepath.Join(dir, "access.log"),
	}
	if o.phpCGI != "" {
		args = append(args, "--php", t.phpCGI)
	}
	if t.account != nil {
		args = append(args, "--user", t.account.name)
	}
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PHPSERVE_") {
			env = append(env, variable)
		}
	}
	return &side{
		name: name, address: address, admin: admin, adopts: true, deadChildrenPHP: true,
		servers: []*server{{path: t.phpserve, args: args, env: env, log: filepath.Join(dir, "phpserve.log")}},
	}, nil
}

// makeSideDir makes a side's folder, which its unprivileged workers may need.
func makeSideDir(dir string, a *account) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder: %v", err)
	}
	if a == nil {
		return nil
	}
	if err := os.Chown(dir, a.uid, a.gid); err != nil {
		return fmt.Errorf("cannot give a folder to %q: %v", a.name, err)
	}
	return nil
}

// freeAddress returns a loopback address nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

func (s *side) url(path string) string { return "http://" + s.address + path }

// start starts the side's servers and waits until they answer together.
func (s *side) start(ctx context.Context) error {
	for _, srv := range s.servers {
		if err := srv.start(); err != nil {
			return fmt.Errorf("%s: %v", s.name, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startDeadline, errors.New("no answer in time"))
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		for _, srv := range s.servers {
			if srv.hasEnded() {
				return fmt.Errorf("%s: %s ended at start: %s", s.name, srv, srv.logTail())
			}
		}
		if last = s.answers(ctx); last == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %v: %v: %s", s.name, context.Cause(ctx), last, s.servers[0].logTail())
		}
	}
}

// answers reports whether the side serves its index page.
func (s *side) answers(ctx context.Context) error {
	response, _, err := fetch(ctx, http.DefaultClient, s.url("/index.php"))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// stop ends the side's servers, front end first.
func (s *side) stop() {
	for _, v := range slices.Backward(s.servers) {
		v.stop()
	}
}

// roots returns the process ids of the side's own servers.
func (s *side) roots() []int {
	var pids []int
	for _, srv := range s.servers {
		if srv.cmd != nil {
			pids = append(pids, srv.cmd.Process.Pid)
		}
	}
	return pids
}

// String returns the command line.
func (srv *server) String() string {
	return strings.Join(append([]string{srv.path}, srv.args...), " ")
}

func (srv *server) start() error {
	log, err := os.OpenFile(srv.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open a log: %v", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(srv.path, srv.args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, srv.env
	setChildAttributes(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start a server: %v", err)
	}
	srv.cmd, srv.ended = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(srv.ended)
	}()
	return nil
}

func (srv *server) hasEnded() bool {
	select {
	case <-srv.ended:
		return true
	default:
		return false
	}
}

// stop asks the server to end, kills it when it does not, and waits for it.
func (srv *server) stop() {
	if srv.cmd == nil {
		return
	}
	// An error means that it has ended already.
	_ = srv.cmd.Process.Signal(syscall.SIGTERM)
	deadline := time.NewTimer(stopDeadline)
	defer deadline.Stop()
	select {
	case <-srv.ended:
	case <-deadline.C:
		_ = killGroup(srv.cmd.Process.Pid)
		<-srv.ended
	}
	srv.cmd = nil
}

// logTail returns the end of what the server printed.
func (srv *server) logTail() string {
	const most = 2000
	text, err := os.ReadFile(srv.log)
	if err != nil {
		return err.Error()
	}
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return fmt.Sprintf("its output was:\n%s", text)
}
