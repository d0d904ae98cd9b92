package manager

import (
	"context"
	"os/exec"
	"runtime"
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
	if err := runPatiently(exec.Command("/bin/sleep", "100000"), 100*time.Millisecond); err == nil {
		t.Error("no error")
	}
	if err := runPatiently(exec.Command("/bin/true"), time.Hour); err != nil {
		t.Error(err)
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
