package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withFewDescriptors is a program that is phpserve with a limit on open files.
func withFewDescriptors(t *testing.T, dir string, limit int) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link, program := filepath.Join(dir, "phpserve"), filepath.Join(dir, "few")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	writeProgram(t, program, fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", limit, link))
	return program
}

// crowd opens connections that say nothing; those that the server does not accept any more count as well.
func crowd(t *testing.T, network, addr string, n int) {
	t.Helper()
	for range n {
		nc, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
	}
}

// slowPage takes longer than what is asked for at once takes to come.
const slowPage = "<?php usleep(500000); echo 'slow ', getmypid();"

func TestFewDescriptorsBreakNothing(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"zygote", "spawn"} {
		t.Run("run "+engine, func(t *testing.T) {
			dir := openFolder(t, "phpserve-few-")
			if err := os.Mkdir(filepath.Join(dir, "site"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"s.php": slowPage, "a.txt": "text"} {
				if err := os.WriteFile(filepath.Join(dir, "site", name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, err := launchProgram(withFewDescriptors(t, dir, 64), dir, cleanEnviron(), "run", "./site", "--listen", "127.0.0.1:0",
				"--engine", engine, "--workers", "12", "--admin", "127.0.0.1:0")
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
			u, err := url.Parse(s.url)
			if err != nil {
				t.Fatal(err)
			}
			crowd(t, "tcp", u.Host, 60)
			answers := make(chan string, 12)
			for range cap(answers) {
				go func() { answers <- askOnce(s.url + "/s.php") }()
			}
			_, admin, _ := strings.Cut(s.stdout.String(), "Dashboard")
			admin, _, _ = strings.Cut(strings.TrimSpace(admin), "\n")
			if got := askOnce(admin + "healthz"); !strings.Contains(got, "ok") {
				t.Errorf("the admin address: %s", got)
			}
			for range cap(answers) {
				if got := <-answers; !strings.HasPrefix(got, "200 slow ") {
					t.Errorf("got %s", got)
				}
			}
			if got := askOnce(s.url + "/a.txt"); got != "200 text" {
				t.Errorf("afterwards: %s", got)
			}
			if log := s.stderr.String(); strings.Contains(log, "address already in use") || strings.Contains(log, "zygote ended") {
				t.Error("the pool did not stay whole")
			}
		})
		t.Run("fpm "+engine, func(t *testing.T) {
			s := newSide(t, "phpserve", poolWith(), map[string]string{"s.php": slowPage})
			s.engine, s.program = engine, withFewDescriptors(t, s.dir, 64)
			s.start()
			crowd(t, "unix", filepath.Join(s.dir, "www.sock"), 60)
			answers := make(chan string, 12)
			for range cap(answers) {
				go func() { answers <- s.ask("www.sock", nil, "") }()
			}
			for range cap(answers) {
				if got := <-answers; !strings.Contains(got, "slow ") {
					t.Errorf("got %s", got)
				}
			}
			if got := s.ask("www.sock", nil, ""); !strings.Contains(got, "slow ") {
				t.Errorf("afterwards: %s", got)
			}
		})
	}
}

// askOnce asks once, on a connection of its own.
func askOnce(address string) string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	began := time.Now()
	resp, err := client.Get(address)
	if err != nil {
		return fmt.Sprintf("%v after %v", err, time.Since(began))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}
