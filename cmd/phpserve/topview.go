package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/mattn/go-runewidth"
	"github.com/phpserve/phpserve/linelog"
)

// View implements tea.Model.
func (m *topModel) View() tea.View {
	view := tea.NewView(m.screen())
	view.AltScreen = true
	return view
}

// screen is the text that fills the terminal.
func (m *topModel) screen() string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, m.fit(fmt.Sprintf(format, args...))) }
	add("%-16s %-9s %7s %6s %6s %8s %9s %6s %9s", "POOL", "PM", "REQ/S", "ACTIVE", "IDLE", "WAITING", "REQUESTS", "SLOW", "MAX REACHED")
	for _, p := range m.pools {
		rate := "-"
		if before, ok := m.before[p.Name]; ok && p.Accepted >= before {
			rate = fmt.Sprintf("%.0f", float64(p.Accepted-before)/topInterval.Seconds())
		}
		add("%-16s %-9s %7s %6d %6d %8d %9d %6d %9d", linelog.Visible(p.Name), p.PM, rate, p.Active, p.Idle, p.Waiting, p.Accepted, p.Slow, p.Reached)
	}
	add("")
	add("  %7s %-10s %-9s %9s %6s %8s %9s  %s", "PID", "POOL", "STATE", "TIME", "CPU %", "MEMORY", "REQUESTS", "REQUEST")
	foot := m.foot()
	room := max(3, m.height-len(lines)-len(foot))
	workers := m.workers()
	first := 0
	if at := slices.IndexFunc(workers, func(w topWorker) bool { return w.PID == m.chosen }); at >= room {
		first = at - room + 1
	}
	for _, w := range workers[first:min(len(workers), first+room)] {
		mark := " "
		if w.PID == m.chosen {
			mark = ">"
		}
		add("%s %7d %-10s %-9s %9s %6.1f %8s %9d  %s", mark, w.PID, linelog.Visible(w.Pool), w.State, (time.Duration(w.Micros) * time.Microsecond).Round(time.Millisecond),
			w.CPU, shortBytes(w.Memory), w.Requests, linelog.Visible(w.Method+" "+w.URI))
	}
	for len(lines) < m.height-len(foot) {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, foot...), "\n")
}

// foot is what is below the workers.
func (m *topModel) foot() (lines []string) {
	if m.stack != "" {
		lines = append(lines, "")
		for line := range strings.SplitSeq(m.stack, "\n") {
			lines = append(lines, m.fit(linelog.Visible(line)))
		}
		lines = lines[:min(len(lines), max(4, m.height/2))]
	}
	keys := fmt.Sprintf("arrows choose  t stack  k recycle  s sort (%s)  / filter  p pause  q quit", topSorts[m.sort].name)
	switch {
	case m.typing:
		keys = "filter: " + linelog.Visible(m.filter) + "_"
	case m.confirm != 0:
		keys = fmt.Sprintf("recycle worker %d? its request fails if it runs one. y: yes, other keys: no", m.confirm)
	case m.err != nil:
		keys = "cannot reach phpserve, trying again: " + linelog.Visible(m.err.Error())
	case m.said != "":
		keys = linelog.Visible(m.said)
	case m.paused:
		keys = "paused, p goes on.  " + keys
	case m.filter != "":
		keys = "filter: " + linelog.Visible(m.filter) + " (Esc: none)  " + keys
	}
	return append(lines, m.fit(keys))
}

// fit cuts a line to the width of the terminal.
func (m *topModel) fit(line string) string { return runewidth.Truncate(line, m.width, "…") }

// shortBytes is a size for a narrow column.
func shortBytes(n uint64) string {
	switch {
	case n == 0:
		return "-"
	case n >= 10<<20:
		return fmt.Sprintf("%dM", n>>20)
	}
	return fmt.Sprintf("%dK", n>>10)
}
