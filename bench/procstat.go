package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat and /proc/stat: USER_HZ is
// 100 on every Linux architecture that Go supports.
const tick = 10 * time.Millisecond

// process is one line of /proc/PID/stat (proc_pid_stat(5)).
type process struct {
	pid, parent int
	comm        string
	zombie      bool
	// own is utime + stime, in ticks.
	own time.Duration
	// children is cutime + cstime, in ticks: all ended and reaped children.
	children time.Duration
}

// isPHP tells PHP's processes from the front end's. The name is that of the
// executable, which no process of any side changes.
func (p process) isPHP() bool {
	return strings.HasPrefix(p.comm, "php-cgi") || strings.HasPrefix(p.comm, "php-fpm")
}

// parseStat parses the text of /proc/PID/stat. The command name stands in
// parentheses and may hold any byte, so the last parenthesis ends it.
func parseStat(text string) (process, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return process{}, fmt.Errorf("cannot parse process status %q: no command name", text)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text[:open]))
	if err != nil {
		return process{}, fmt.Errorf("cannot parse process status %q: %v", text, err)
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 15 {
		return process{}, fmt.Errorf("cannot parse process status %q: too short", text)
	}
	p := process{pid: pid, comm: text[open+1 : end], zombie: fields[0] == "Z"}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return process{}, fmt.Errorf("cannot parse process status %q: %v", text, err)
	}
	// Fields 14 to 17 of the manual page; fields[0] is its field 3.
	var ticks [4]int64
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			return process{}, fmt.Errorf("cannot parse process status %q: %v", text, err)
		}
	}
	p.own = time.Duration(ticks[0]+ticks[1]) * tick
	p.children = time.Duration(ticks[2]+ticks[3]) * tick
	return p, nil
}

// pss is a proportional set size in bytes.
type pss struct {
	// total is everything; unbacked is the part that no file on disk backs,
	// which the kernel can not drop when memory is short.
	total, unbacked int64
}

// parsePSS adds up the text of /proc/PID/smaps_rollup (proc_pid_smaps(5)).
func parsePSS(text string) (pss, error) {
	sizes := map[string]int64{"Pss": -1, "Pss_Anon": -1, "Pss_Shmem": -1}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if _, wanted := sizes[name]; !wanted {
			continue
		}
		number, _ := strings.CutSuffix(strings.TrimSpace(value), " kB")
		kib, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil {
			return pss{}, fmt.Errorf("cannot parse memory size %q: %v", line, err)
		}
		sizes[name] = kib << 10
	}
	for name, size := range sizes {
		if size < 0 {
			return pss{}, fmt.Errorf("cannot parse memory sizes: no %s line", name)
		}
	}
	return pss{total: sizes["Pss"], unbacked: sizes["Pss_Anon"] + sizes["Pss_Shmem"]}, nil
}

// parseMachineBusy returns the time all processors were busy, from the text of
// /proc/stat: user, nice, system, irq, softirq and steal (proc_stat(5)).
func parseMachineBusy(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("cannot parse processor times %q", line)
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot parse processor times %q: %v", line, err)
		}
		busy += time.Duration(n) * tick
	}
	return busy, nil
}

func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("cannot read processor times: %v", err)
	}
	return parseMachineBusy(string(text))
}

// listProcesses returns all processes of the machine. One that ends while the
// list is made is left out.
func listProcesses() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %v", err)
	}
	var list []process
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read process status: %v", err)
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// descendants returns the processes with one of the root ids and all their
// children, grandchildren and so on.
func descendants(all []process, roots map[int]bool) []process {
	children := make(map[int][]process)
	var found []process
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
		if roots[p.pid] {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		for _, child := range children[found[i].pid] {
			if !roots[child.pid] {
				found = append(found, child)
			}
		}
	}
	return found
}

// isGone reports whether err says that a process ended before it was read.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoProcess)
}
