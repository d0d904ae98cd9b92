//go:build unix

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

// side is a php-fpm, or phpserve in its place, with a configuration of its own folder.
type side struct {
	t    *testing.T
	name string
	// engine is how phpserve makes workers; empty: as it chooses itself, which is zygote here.
	engine string
	// twin is the phpserve with the spawn engine that runs beside the one that bothSides returns.
	twin *side
	dir  string
	conf string   // the configuration file
	env  []string // besides the test's own
	cmd  *exec.Cmd
	out  *output
	done chan error

	program string // the binary that is run; empty: the test's own, or the system's php-fpm
}

// binary is the program that is phpserve.
func (s *side) binary() string {
	s.t.Helper()
	if s.program != "" {
		return s.program
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return self
}

// newSide prepares one: in config and in the files DIR is its folder.
func newSide(t *testing.T, name, config string, files map[string]string) *side {
	t.Helper()
	s := &side{t: t, name: name, dir: openFolder(t, "phpserve-side-"), out: &output{changed: make(chan struct{})}}
	s.conf = filepath.Join(s.dir, "fpm.conf")
	if err := os.Chmod(s.dir, 0o777); err != nil { // for what scripts write
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		config = strings.ReplaceAll(config, "USER\n", "user = www-data\ngroup = www-data\nlisten.owner = www-data\n")
	}
	config = strings.ReplaceAll(config, "USER\n", "")
	all := map[string]string{"fpm.conf": config}
	maps.Copy(all, files)
	for file, text := range all {
		path := filepath.Join(s.dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// start runs it in the foreground until it says that it is ready.
func (s *side) start(args ...string) {
	s.t.Helper()
	s.launch(append([]string{"-F", "-O", "-y", s.conf}, args...)...)
	s.waitFor("ready to handle connections")
}

// launch runs it in the foreground.
func (s *side) launch(args ...string) {
	s.t.Helper()
	if s.name == "php-fpm" {
		s.cmd = exec.Command(cmp.Or(s.program, "php-fpm8.2"), args...)
	} else {
		self := s.binary()
		if s.engine != "" {
			args = append(args, "--engine", s.engine)
		}
		s.cmd = &exec.Cmd{Path: self, Args: append([]string{"phpserve", "fpm"}, args...)}
	}
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.out, s.out
	s.cmd.Env = append(append(os.Environ(), "OF_THE_MASTER=seen"), s.env...)
	s.cmd.WaitDelay = time.Until(patient.LastMoment())
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("cannot start %s; these tests need php-fpm8.2 (apt-get install php8.2-fpm): %v", s.name, err)
	}
	cmd, done := s.cmd, make(chan error, 1) // of this start: there may be another one
	s.done = done
	go func() {
		done <- cmd.Wait()
		close(done)
	}()
	s.t.Cleanup(s.end)
}

// startInBackground runs it as a daemon, whose id the pid file "pid" tells.
func (s *side) startInBackground(args ...string) *os.Process {
	s.t.Helper()
	if code := s.run(append([]string{"-y", s.conf}, args...)...); code != 0 {
		s.t.Fatalf("exit code %d\n%s", code, s.out)
	}
	pid, err := strconv.Atoi(s.file("pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = process.Kill() }) // if it still runs
	return process
}

// end ends it, if it still runs. php-fpm that is killed leaves its workers behind, so it is asked first.
func (s *side) end() {
	if s.cmd.Process.Signal(syscall.SIGTERM) != nil {
		return // it has ended
	}
	select {
	case <-s.done:
	case <-patient.Late():
		s.t.Errorf("%s does not end", s.name)
		_ = s.cmd.Process.Kill() // it may have ended this moment
		<-s.done
	}
}

// waitFor waits for a text on standard error.
func (s *side) waitFor(want string) {
	s.t.Helper()
	s.waitForTimes(want, 1)
}

// stop ends it and returns the exit code.
func (s *side) stop(sig os.Signal) int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-patient.Late():
		s.t.Fatalf("%s does not end\n%s", s.name, s.out)
	}
	return s.cmd.ProcessState.ExitCode()
}

// ask sends one request to the address of a pool, a socket in the side's folder or HOST:PORT, and returns all that comes back.
func (s *side) ask(socket string, params map[string]string, body string) string {
	s.t.Helper()
	network, addr := "unix", filepath.Join(s.dir, socket)
	if strings.Contains(socket, ":") {
		network, addr = "tcp", socket
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", s.name, err, s.out)
	}
	_ = nc.SetDeadline(patient.LastMoment())
	conn := fastcgi.NewConn(nc)
	defer conn.Close()
	all := map[string]string{
		"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": s.dir + "/s.php", "SCRIPT_NAME": "/s.php", "REQUEST_URI": "/s.php", "QUERY_STRING": "",
		"DOCUMENT_ROOT": s.dir, "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.1", "SERVER_NAME": "example.com",
	}
	maps.Copy(all, params)
	if body != "" {
		all["CONTENT_LENGTH"] = strconv.Itoa(len(body))
	}
	var pairs []byte
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = fastcgi.AppendParam(pairs, name, strings.ReplaceAll(all[name], "DIR", s.dir))
	}
	if err := conn.Send(&fastcgi.Request{Params: pairs, Body: strings.NewReader(body), BodyLen: int64(len(body))}); err != nil {
		return "cannot send"
	}
	var stdout, stderr bytes.Buffer
	for {
		rec, err := conn.Next()
		if err != nil {
			return fmt.Sprintf("%s broken off, stderr %q", s.neutral(stdout.String()), s.neutral(stderr.String()))
		}
		switch rec.Type {
		case fastcgi.TypeStdout:
			stdout.Write(rec.Content)
		case fastcgi.TypeStderr:
			stderr.Write(rec.Content)
		case fastcgi.TypeEndRequest:
			return fmt.Sprintf("%s\nstderr %q, end %v", s.neutral(stdout.String()), strings.TrimRight(s.neutral(stderr.String()), "\n"), rec.End)
		}
	}
}

// Of two runs these differ anyway.
var (
	poweredBy = regexp.MustCompile(`(?m)^X-Powered-By: .*\r\n`)
	stamps    = regexp.MustCompile(`(?m)^\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\]`)
	mainPID   = regexp.MustCompile(`MAINPID=\d+`)
	pids      = regexp.MustCompile(`\b(pid|child) \d+`)
)

// neutral is text without what belongs to this side alone.
func (s *side) neutral(text string) string {
	text = poweredBy.ReplaceAllString(strings.ReplaceAll(text, s.dir, "DIR"), "")
	return pids.ReplaceAllString(stamps.ReplaceAllString(text, "[TIME]"), "$1 N")
}

// file is the content of one of the side's files.
func (s *side) file(name string) string {
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return err.Error()
	}
	return s.neutral(string(text))
}

// sideRequest is a request that both sides get.
type sideRequest struct {
	name   string
	script string            // the PHP code of s.php, behind <?php
	params map[string]string // besides the usual
	body   string
	socket string // empty: www.sock
	zygote bool   // what only the zygote engine can do
	fails  bool   // PHP is to end the script with an error; else that would hide what is to be compared
}

// bothSides runs php-fpm and phpserve, with either engine, with one configuration and asks all the same.
func bothSides(t *testing.T, config string, requests []sideRequest) (fpm, own *side) {
	t.Helper()
	files := map[string]string{}
	for i, q := range requests {
		if q.script != "" {
			files[fmt.Sprintf("s%d.php", i)] = "<?php " + q.script
		}
	}
	fpm, own = newSide(t, "php-fpm", config, files), newSide(t, "phpserve", config, files)
	own.twin = newSide(t, "phpserve", config, files)
	own.twin.engine = manager.EngineSpawn
	fpm.start()
	own.start()
	own.twin.start()
	for i, q := range requests {
		params := maps.Clone(q.params)
		if params == nil {
			params = map[string]string{}
		}
		if q.script != "" {
			params["SCRIPT_FILENAME"], params["SCRIPT_NAME"] = fmt.Sprintf("DIR/s%d.php", i), fmt.Sprintf("/s%d.php", i)
		}
		socket := q.socket
		if socket == "" {
			socket = "www.sock"
		}
		want, got := fpm.ask(socket, params, q.body), own.ask(socket, params, q.body)
		if got != want {
			t.Errorf("%s\nphp-fpm:  %q\nphpserve: %q", q.name, want, got)
		}
		if got := own.twin.ask(socket, params, q.body); got != want && !q.zygote {
			t.Errorf("%s, spawn engine\nphp-fpm:  %q\nphpserve: %q", q.name, want, got)
		}
		if failed := strings.Contains(want, "PHP Fatal error") || strings.Contains(want, "PHP Parse error"); failed != q.fails {
			t.Errorf("%s: with php-fpm the script itself fails (%v): %q", q.name, failed, want)
		}
	}
	return fpm, own
}

// seconds is a time as php-fpm's configuration has it.
func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }

// underBothEngines runs a test with either engine.
func underBothEngines(t *testing.T, test func(t *testing.T, engine string)) {
	t.Parallel()
	for _, engine := range []string{manager.EngineZygote, manager.EngineSpawn} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// startEngine starts phpserve alone with a configuration and an engine.
func startEngine(t *testing.T, engine, config string, files map[string]string) *side {
	t.Helper()
	s := newSide(t, "phpserve", config, files)
	s.engine = engine
	s.start()
	return s
}
