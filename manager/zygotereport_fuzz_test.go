//go:build unix

package manager

import (
	"log/slog"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// saidByZygotes are the beginnings of what a zygote says.
var saidByZygotes = regexp.MustCompile(`^(forked \+?[0-9]+$|failed( |$)|exited .)`)

// FuzzZygoteReport: whatever comes instead of a zygote's reports, no process that runs becomes a worker without being its child, each report answers
// at most one caller, and what no zygote says is an error that quotes it.
func FuzzZygoteReport(f *testing.F) {
	for _, s := range []string{
		"forked 1", "forked -1", "forked 4194304", "forked 99999999999999999999", "failed ", "failed \x1b[31m", "exited 7 0", "exited 7", "exited 1 -1", "exited 99999999999 1", "hello",
		"", "forked 2\nforked 2\nfailed x\nfailed y\nfailed z", "forked  2", "forked 0x2", "forked +7",
	} {
		f.Add(s)
	}
	zygote := exec.Command("sleep", "100000") // which has no children
	if err := zygote.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = zygote.Process.Kill()
		_ = zygote.Wait()
	})
	f.Fuzz(func(t *testing.T, text string) {
		z := &zygoteEngine{log: slog.New(slog.DiscardHandler), child: &child{cmd: zygote, done: make(chan struct{}), killed: make(chan struct{})}, procs: map[int]*process{}}
		callers := []*forking{{result: make(chan forked, 1)}, {result: make(chan forked, 1)}}
		z.waiting = append(z.waiting, callers...)
		for line := range strings.SplitSeq(text, "\n") {
			before := len(z.waiting)
			err := z.report(line)
			if err == nil && !saidByZygotes.MatchString(line) {
				t.Fatalf("%q is taken for a report", line)
			}
			if err != nil && strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' }) {
				t.Fatalf("%q is told as it is: %v", line, err)
			}
			answered := before - len(z.waiting)
			if answered < 0 || answered > 1 || answered == 1 && (err != nil || strings.HasPrefix(line, "exited")) {
				t.Fatalf("%q, error %v, answers %d callers", line, err, answered)
			}
			for pid := range z.procs { // one that has ended already can do nobody harm
				if runtime.GOOS == "linux" && syscall.Kill(pid, 0) == nil { // elsewhere a zygote is believed about whose child it is
					t.Fatalf("%q makes process %d a worker", line, pid)
				}
			}
		}
		for i, c := range callers {
			select {
			case got := <-c.result:
				if i >= 2-len(z.waiting) || got.err == nil && got.proc == nil {
					t.Fatalf("caller %d gets %+v, %d wait", i, got, len(z.waiting))
				}
			default:
				if i < 2-len(z.waiting) {
					t.Fatalf("caller %d gets nothing, %d wait", i, len(z.waiting))
				}
			}
		}
	})
}
