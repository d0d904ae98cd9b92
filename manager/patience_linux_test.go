package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runs starts a shell command that goes on until the end of the test.
func runs(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestProcessThatDoesNothingHangs(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"sleeps": "exec sleep 100000", "is stopped": "kill -STOP $$", "loops": "while :; do :; done"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := runs(t, script)
			if !hangs(t.Context(), cmd.Process.Pid, 200*time.Millisecond) {
				t.Error("it is not found")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if hangs(ctx, cmd.Process.Pid, time.Hour) {
				t.Error("it is found after the end of the context")
			}
		})
	}
}

func TestCommandThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	err := runPatiently(exec.Command("/bin/sleep", "100000"), 100*time.Millisecond)
	if err == nil || err.Error() != "it did not answer within 100ms and was ended" {
		t.Errorf("got %v", err)
	}
	if err := runPatiently(exec.Command("/bin/true"), time.Hour); err != nil {
		t.Error(err)
	}
	if err := runPatiently(exec.Command("/bin/false"), time.Hour); err == nil || err.Error() != "exit status 1" {
		t.Errorf("a command that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := runPatiently(exec.CommandContext(ctx, "/bin/sleep", "100000"), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a command whose context has ended: %v", err)
	}
}

// A program in the background has inherited the output, which so has no end.
func TestCommandDoesNotWaitForWhatItLeavesInTheBackground(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{"0": "<nil>", "3": "exit status 3"} {
		cmd := exec.Command("/bin/sh", "-c", "sleep 100000 & echo $!; exit "+code)
		var out bytes.Buffer
		cmd.Stdout = &out
		err := runPatiently(cmd, time.Second)
		left, noPID := strconv.Atoi(strings.TrimSpace(out.String()))
		if noPID != nil {
			t.Fatalf("%v, it said %q", err, out.String())
		}
		if fmt.Sprint(err) != want {
			t.Errorf("exit %s: got %v", code, err)
		}
		if err := unix.Kill(left, unix.SIGKILL); err != nil {
			t.Errorf("what it left is gone: %v", err)
		}
	}
}

// The clock bounds also what no time of the process's own adds up to.
func TestTheClockBoundsEveryPatience(t *testing.T) {
	t.Parallel()
	const limit, step = 10 * time.Second, time.Second / 2
	for name, tt := range map[string]struct {
		own   func(time.Duration) time.Duration
		after time.Duration
	}{
		"all the time is its own":    {func(d time.Duration) time.Duration { return d }, limit},
		"a quarter of it is":         {func(d time.Duration) time.Duration { return d / 4 }, 4 * limit},
		"none of it is":              {func(time.Duration) time.Duration { return 0 }, clockLimit * limit},
		"it comes in, and is lacked": {func(d time.Duration) time.Duration { return d / 1000 }, clockLimit * limit},
	} {
		t.Run(name, func(t *testing.T) {
			p := patience{own: tt.own, limit: limit}
			passed := step
			for !p.pass(step) {
				if passed += step; passed > 2*tt.after {
					t.Fatalf("no end after %v", passed)
				}
			}
			if passed != tt.after {
				t.Errorf("it ends after %v, want %v", passed, tt.after)
			}
		})
	}
}

func TestOwnTimeIsWhatTheKernelCounts(t *testing.T) {
	t.Parallel()
	const step = time.Second
	at := func(ran, queued time.Duration, faults string) ownTime {
		return ownTime{ran: ran, queued: queued, faults: faults}
	}
	for name, tt := range map[string]struct {
		looks []ownTime
		ready bool
		want  time.Duration // of all steps
	}{
		"it sleeps":                              {[]ownTime{at(5, 0, "0"), at(5, 0, "0")}, false, 2 * step},
		"it runs":                                {[]ownTime{at(step, 0, "0"), at(2*step, 0, "0")}, true, 2 * step},
		"it waits for a processor":               {[]ownTime{at(5, 0, "0"), at(5, 0, "0")}, true, step},
		"it waited half of the time":             {[]ownTime{at(step/2, step/2, "0"), at(step, step, "0")}, true, step},
		"its memory comes from the disk":         {[]ownTime{at(5, 0, "0"), at(6, 0, "1")}, false, step},
		"the kernel counts nothing, it sleeps":   {[]ownTime{at(0, 0, "0"), at(0, 0, "0")}, false, 2 * step},
		"the kernel counts nothing, it is ready": {[]ownTime{at(0, 0, "0"), at(0, 0, "0")}, true, 0}, // the clock bounds it
	} {
		t.Run(name, func(t *testing.T) {
			var own ownTime
			sum := time.Duration(0)
			for _, seen := range tt.looks {
				sum += own.since(step, tt.ready, seen)
			}
			if sum != tt.want {
				t.Errorf("%v of %d steps of %v are its own, want %v", sum, len(tt.looks), step, tt.want)
			}
		})
	}
}

// TestProcessWithoutAProcessorDoesNotHang: two that want the same processor, of which one has next to none of it.
func TestProcessWithoutAProcessorDoesNotHang(t *testing.T) {
	t.Parallel()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for i := range runtime.NumCPU() * 64 {
		if all.IsSet(i) {
			one.Set(i)
			break
		}
	}
	const loop = "while :; do :; done"
	hog, starved := runs(t, loop), runs(t, loop)
	for _, cmd := range []*exec.Cmd{hog, starved} {
		if err := unix.SchedSetaffinity(cmd.Process.Pid, &one); err != nil {
			t.Fatal(err)
		}
	}
	const schedIdle = 5 // SCHED_IDLE of sched(7)
	if err := unix.SchedSetAttr(starved.Process.Pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedIdle}, 0); err != nil {
		t.Fatal(err)
	}
	began, own := time.Now(), ownTime{pid: starved.Process.Pid}
	own.of(0)
	sum, last := time.Duration(0), began
	for time.Since(began) < 2*time.Second {
		time.Sleep(100 * time.Millisecond)
		now := time.Now()
		sum += own.of(now.Sub(last))
		last = now
	}
	if wall := last.Sub(began); sum > wall/2 {
		t.Errorf("of %v, %v count for a process that could not run", wall, sum)
	}
}
