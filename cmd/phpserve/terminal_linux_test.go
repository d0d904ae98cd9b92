//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inTerminal is a phpserve that has a terminal of its own.
type inTerminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	screen *os.File
	shown  *output
}

// startInTerminal runs a command of phpserve.
func startInTerminal(t *testing.T, args ...string) *inTerminal {
	t.Helper()
	screen, terminal := openTerminal(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{
		Path: self, Args: append([]string{"phpserve"}, args...), Env: cleanEnviron("TERM=xterm-256color"), Stdin: terminal, Stdout: terminal,
		Stderr: terminal, SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	shown := &output{changed: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(shown, screen) }) // an error is the end of the terminal
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended by now
		screen.Close()
		reading.Wait()
	})
	return &inTerminal{t, cmd, screen, shown}
}

// shows waits until all texts have been shown.
func (i *inTerminal) shows(texts ...string) {
	i.t.Helper()
	for _, text := range texts {
		eventually(i.t, text+" is shown", func() bool { return strings.Contains(i.shown.String(), text) })
	}
}

func (i *inTerminal) press(keys string) {
	i.t.Helper()
	if _, err := i.screen.WriteString(keys); err != nil {
		i.t.Fatal(err)
	}
}

// openTerminal opens a pseudo terminal, pty(7).
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 120})
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return screen, terminal
}

// TestOnlyTopAsksTheTerminal: a terminal that answers nothing, such as a serial line, gets text only, and nobody waits for its answer.
func TestOnlyTopAsksTheTerminal(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"version": {"version"},
		"help":    {"--help"},
		"check":   {"check", t.TempDir()},
		"status":  {"status", "--control=/nonexistent/control.sock"},
		"fpm -v":  {"fpm", "-v"},
		"mistake": {"nosuchcommand"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := startInTerminal(t, args...)
			_ = in.cmd.Wait() // some of them fail
			in.shows("\n")
			if text := in.shown.String(); strings.Contains(text, "\x1b") {
				t.Errorf("the terminal is sent %q", text)
			}
		})
	}
}
