//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-runewidth"
	"golang.org/x/sys/unix"
)

// press gives the screen a key and does what it asks for in return.
func press(m *topModel, keys ...string) {
	known := map[string]tea.KeyType{"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEsc, "backspace": tea.KeyBackspace}
	for _, key := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
		if kind, ok := known[key]; ok {
			msg = tea.KeyMsg{Type: kind}
		}
		if _, cmd := m.Update(msg); cmd != nil {
			m.Update(cmd())
		}
	}
}

// mustShow fails unless the screen has every text.
func mustShow(t *testing.T, m *topModel, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if view := m.View(); !strings.Contains(view, text) {
			t.Errorf("no %q in\n%s", text, view)
		}
	}
}

// TestTopOfARunningPHPServe shows real workers, the stack of one, and recycles another.
func TestTopOfARunningPHPServe(t *testing.T) {
	t.Parallel()
	_, at, finish := startWaiting(t)
	defer finish()
	m := newTopModel(strings.TrimPrefix(at, "--control="))
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 30})
	m.Update(m.fetch())
	mustShow(t, m, "other            ondemand", "www              static ", "GET /pretty/waits.php", "GET /pretty/computes.php", " Idle ")
	press(m, "/", "waits", "enter", "down", "t")
	mustShow(t, m, "filter: waits", "Shop::query() ", "/waits.php:4", "{main}")
	if view := m.View(); strings.Contains(view, "computes.php") {
		t.Errorf("the filter lets through what it should not\n%s", view)
	}
	if lines := strings.Split(m.View(), "\n"); len(lines) != 30 {
		t.Errorf("the screen has %d lines, the terminal 30", len(lines))
	}
	press(m, "esc")
	idle := m.workers()[slices.IndexFunc(m.workers(), func(w topWorker) bool { return w.State == "Idle" })].PID
	m.chosen = idle
	press(m, "k", "x") // not confirmed
	m.Update(m.fetch())
	mustShow(t, m, strconv.Itoa(idle))
	press(m, "k")
	mustShow(t, m, "recycle worker "+strconv.Itoa(idle)+"?")
	press(m, "y")
	mustShow(t, m, "worker "+strconv.Itoa(idle)+" is recycled")
	eventually(t, "another is in its place", func() bool {
		m.Update(m.fetch())
		workers := m.workers()
		return len(workers) == 3 && !slices.ContainsFunc(workers, func(w topWorker) bool { return w.PID == idle || w.State == "Creating" })
	})
	press(m, "k", "y")
	mustShow(t, m, "is no worker of phpserve")
	if code, _, errs := phpserve(t, "top", at); code == 0 || !strings.Contains(errs, "needs a terminal") {
		t.Errorf("without a terminal: %d %s", code, errs)
	}
}

// TestTopSurvivesWhatItShows: requests cannot steer the terminal, lines fit, and a phpserve that is gone is said and waited for.
func TestTopSurvivesWhatItShows(t *testing.T) {
	t.Parallel()
	m := newTopModel("/nonexistent/control.sock")
	for _, size := range [][2]int{{80, 24}, {160, 50}, {20, 5}} {
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(topData{{Name: "www\033]0;evil\a", PM: "static", Processes: []topWorker{
			{PID: 1, State: "Running", Method: "GET", URI: "/\033[2J\r\n\u202e" + strings.Repeat("界", 200), Micros: 5_000_000},
			{PID: 2, State: "Idle", Memory: 64 << 20, CPU: 99.5, Requests: 7},
			{PID: 3, State: "Running", Micros: 9_000_000},
		}}})
		for line := range strings.SplitSeq(m.View(), "\n") {
			if strings.ContainsAny(line, "\033\r\a\u202e") {
				t.Errorf("the line can steer the terminal: %q", line)
			}
			if width := runewidth.StringWidth(line); width > size[0] {
				t.Errorf("a line of %d columns in a terminal of %d: %q", width, size[0], line)
			}
		}
	}
	var order []int
	for range topSorts {
		order = append(order, m.workers()[0].PID)
		press(m, "s")
	}
	if want := []int{3, 2, 2, 2, 1}; !slices.Equal(order, want) {
		t.Errorf("first of each order: %v, want %v", order, want)
	}
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 24})
	m.Update(m.fetch())
	mustShow(t, m, "cannot reach phpserve, trying again")
	press(m, "p")
	if _, cmd := m.Update(topTick{}); cmd == nil {
		t.Error("a pause ends the clock")
	}
}

// TestTopInATerminal runs the command in a terminal, presses keys and looks at what comes.
func TestTopInATerminal(t *testing.T) {
	t.Parallel()
	_, at, finish := startWaiting(t)
	defer finish()
	screen, terminal := openTerminal(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{
		Path: self, Args: []string{"phpserve", "top", at}, Env: cleanEnviron("TERM=xterm-256color"), Stdin: terminal, Stdout: terminal, Stderr: terminal,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
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
	shows := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			eventually(t, text+" is shown", func() bool { return strings.Contains(shown.String(), text) })
		}
	}
	press := func(keys string) {
		t.Helper()
		if _, err := screen.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	shows("POOL", "CPU %", "GET /pretty/waits.php", "q quit")
	press("/waits")
	shows("filter: waits")
	press("\r")
	shows("(Esc: none)")
	press("\x1b[B") // down
	shows("> ")
	press("t")
	shows("Shop::query()", "{main}")
	press("q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	shows("\x1b[?1049l") // the terminal has its old screen again
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
