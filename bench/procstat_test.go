package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStatReadsNamesWithAnyByte(t *testing.T) {
	const rest = " S 41 42 42 0 -1 4194560 1186 900 0 0 250 30 7 2 20 0 1 0 12345 5550080 900 18446744073709551615"
	tests := []struct {
		name string
		text string
		want process
	}{
		{"plain", "43 (php-cgi)" + rest, process{pid: 43, parent: 41, comm: "php-cgi", own: 2800 * time.Millisecond, children: 90 * time.Millisecond}},
		{"spaces and parentheses", "43 (a) b (c)" + rest, process{pid: 43, parent: 41, comm: "a) b (c", own: 2800 * time.Millisecond, children: 90 * time.Millisecond}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseStat(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("parseStat = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseStatTellsZombies(t *testing.T) {
	p, err := parseStat("7 (nginx) Z 1 7 7 0 -1 4227148 0 0 0 0 5 1 0 0 20 0 1 0 99 0 0")
	if err != nil {
		t.Fatal(err)
	}
	if !p.zombie {
		t.Error("zombie = false, want true")
	}
}

func TestParseStatRefusesOtherText(t *testing.T) {
	for _, text := range []string{"", "7 nginx S 1", "(x) S 1", "x (y) S 1", "7 (nginx) S 1 7 7", "7 (nginx) S x 7 7 0 -1 0 0 0 0 0 5 1 0 0 20", "7 (nginx) S 1 7 7 0 -1 0 0 0 0 0 5 x 0 0 20"} {
		if p, err := parseStat(text); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", text, p)
		}
	}
}

func TestParsePSSTellsUnbackedMemory(t *testing.T) {
	const rollup = `561a5a4e2000-7ffd123bc000 ---p 00000000 00:00 0                          [rollup]
Rss:                1616 kB
Pss:                 272 kB
Pss_Dirty:           116 kB
Pss_Anon:            100 kB
Pss_File:            152 kB
Pss_Shmem:            20 kB
`
	got, err := parsePSS(rollup)
	if err != nil {
		t.Fatal(err)
	}
	if want := (pss{total: 272 << 10, unbacked: 120 << 10}); got != want {
		t.Errorf("parsePSS = %+v, want %+v", got, want)
	}
	for _, text := range []string{"", strings.Replace(rollup, "Pss:", "Pxx:", 1), strings.Replace(rollup, "Pss_Shmem:", "x:", 1), strings.Replace(rollup, "272", "many", 1)} {
		if got, err := parsePSS(text); err == nil {
			t.Errorf("parsePSS(%q) = %+v, want an error", text, got)
		}
	}
}

func TestParseMachineBusyLeavesIdleAndGuestTimesOut(t *testing.T) {
	got, err := parseMachineBusy("cpu  100 20 30 9999 888 4 5 6 77 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := 1650 * time.Millisecond; got != want {
		t.Errorf("parseMachineBusy = %v, want %v", got, want)
	}
	for _, text := range []string{"", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu 1 x 3 4 5 6 7 8 9\n"} {
		if got, err := parseMachineBusy(text); err == nil {
			t.Errorf("parseMachineBusy(%q) = %v, want an error", text, got)
		}
	}
}

func TestDescendantsFollowsAllGenerationsOnce(t *testing.T) {
	all := []process{{pid: 1}, {pid: 9, parent: 8}, {pid: 8, parent: 5}, {pid: 5, parent: 1}, {pid: 6, parent: 1}, {pid: 7, parent: 5}}
	tests := []struct {
		name  string
		roots map[int]bool
		want  []int
	}{
		{"one root", map[int]bool{5: true}, []int{5, 7, 8, 9}},
		{"a root below another counts once", map[int]bool{5: true, 8: true}, []int{5, 7, 8, 9}},
		{"a root that is gone", map[int]bool{99: true}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for _, p := range descendants(all, test.roots) {
				got = append(got, p.pid)
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("descendants = %v, want %v", got, test.want)
			}
		})
	}
}

func TestSumUsageSplitsFrontEndAndPHP(t *testing.T) {
	clock := func(pid int) (time.Duration, error) {
		if pid == 99 {
			return 0, errNoProcess
		}
		return time.Duration(pid) * time.Millisecond, nil
	}
	list := []process{
		{pid: 10, comm: "phpserve", children: 3 * time.Second},
		{pid: 20, comm: "php-cgi", children: time.Second},
		{pid: 30, comm: "php-cgi8.2"},
		{pid: 40, comm: "php-cgi", zombie: true, own: 2 * time.Second},
	}
	t.Run("ended children are PHP where the front end starts PHP", func(t *testing.T) {
		u, err := sumUsage(list, true, clock)
		if err != nil {
			t.Fatal(err)
		}
		if want := 10 * time.Millisecond; u.front != want {
			t.Errorf("front = %v, want %v", u.front, want)
		}
		if want := 6*time.Second + 50*time.Millisecond; u.php != want {
			t.Errorf("php = %v, want %v", u.php, want)
		}
	})
	t.Run("ended children are front end elsewhere", func(t *testing.T) {
		u, err := sumUsage(list[:1], false, clock)
		if err != nil {
			t.Fatal(err)
		}
		if want := 3*time.Second + 10*time.Millisecond; u.front != want || u.php != 0 {
			t.Errorf("front = %v, php = %v, want %v and 0", u.front, u.php, want)
		}
	})
	t.Run("a process that ended meanwhile is told", func(t *testing.T) {
		if _, err := sumUsage([]process{{pid: 99, comm: "nginx"}}, false, clock); !isGone(err) {
			t.Errorf("error = %v, want one that isGone knows", err)
		}
	})
}

func TestNewWorkersCountsReplacedOnesOnly(t *testing.T) {
	before := usage{workers: map[int]bool{1: true, 2: true}}
	after := usage{workers: map[int]bool{2: true, 3: true, 4: true}}
	if got := newWorkers(before, after); got != 2 {
		t.Errorf("newWorkers = %d, want 2", got)
	}
}

func TestListProcessesFindsItself(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		if _, err := listProcesses(); err == nil {
			t.Error("listProcesses succeeded without /proc")
		}
		return
	}
	all, err := listProcesses()
	if err != nil {
		t.Fatal(err)
	}
	if len(descendants(all, map[int]bool{os.Getpid(): true})) == 0 {
		t.Error("own process not found")
	}
}
