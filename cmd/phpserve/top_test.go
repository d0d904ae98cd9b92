//go:build linux

package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/mattn/go-runewidth"
)

// press gives the screen a key and does what it asks for in return.
func press(m *topModel, keys ...string) {
	known := map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEsc, "backspace": tea.KeyBackspace}
	for _, key := range keys {
		if code, ok := known[key]; ok {
			pressKey(m, tea.Key{Code: code})
			continue
		}
		for _, r := range key {
			pressKey(m, tea.Key{Code: r, Text: string(r)})
		}
	}
}

// pressKey is one key.
func pressKey(m *topModel, key tea.Key) {
	if _, cmd := m.Update(tea.KeyPressMsg(key)); cmd != nil {
		m.Update(cmd())
	}
}

// mustShow fails unless the screen has every text.
func mustShow(t *testing.T, m *topModel, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if view := m.screen(); !strings.Contains(view, text) {
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
	if view := m.screen(); strings.Contains(view, "computes.php") {
		t.Errorf("the filter lets through what it should not\n%s", view)
	}
	if lines := strings.Split(m.screen(), "\n"); len(lines) != 30 {
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
		for line := range strings.SplitSeq(m.screen(), "\n") {
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
	top := startInTerminal(t, "top", at)
	top.shows("POOL", "CPU %", "GET /pretty/waits.php", "q quit")
	top.press("/waits")
	top.shows("filter: waits")
	top.press("\r")
	top.shows("(Esc: none)")
	top.press("\x1b[B") // down
	top.shows("> ")
	top.press("t")
	top.shows("Shop::query()", "{main}")
	top.press("q")
	if err := top.cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	top.shows("\x1b[?1049l") // the terminal has its old screen again
}
