//go:build unix

package manager

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// reportTo makes a zygote engine whose zygote is a sleeping process, and a running listen; what the test writes to says is what
// that zygote answers. Nobody reads its commands.
func reportTo(t *testing.T) (z *zygoteEngine, says io.Writer) {
	t.Helper()
	cmd := exec.Command("sleep", "100000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ch := &child{cmd: cmd, done: make(chan struct{}), killed: make(chan struct{})}
	answers, says := io.Pipe()
	unread, control := io.Pipe()
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed
		close(ch.done)
		answers.Close()
		unread.Close()
		close(ended)
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	z = &zygoteEngine{
		log: slog.New(slog.DiscardHandler), child: ch, control: control, answers: answers, gone: make(chan struct{}),
		procs: map[int]*process{}, commands: make(chan byte, commandQueue),
	}
	z.wg.Go(z.listen)
	return z, says
}

// A script can make another process of its user say anything (ptrace(2)); phpserve may be root and signal any process.
func TestZygoteThatLiesIsEndedAndNobodyElse(t *testing.T) {
	victim := exec.Command("sleep", "100000")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer victim.Wait()
	defer victim.Process.Kill()
	lies := []string{"forked 1", "forked -1", "forked x", "failed nobody asked", "exited", "hello", fmt.Sprintf("exited %d x", os.Getpid())}
	if runtime.GOOS == "linux" { // elsewhere a zygote is believed about whose child it is
		lies = append(lies, fmt.Sprintf("forked %d", victim.Process.Pid), fmt.Sprintf("forked %d", os.Getpid()))
	}
	for _, lie := range lies {
		z, says := reportTo(t)
		z.mu.Lock()
		if lie != "failed nobody asked" {
			z.waiting = []*forking{{result: make(chan forked, 1)}}
		}
		waiting := z.waiting
		z.mu.Unlock()
		fmt.Fprintln(says, lie)
		<-z.gone
		<-z.child.done
		if len(waiting) > 0 {
			if r := <-waiting[0].result; r.err == nil {
				t.Errorf("%q gave a worker", lie)
			}
		}
		if len(z.procs) > 0 {
			t.Errorf("%q: processes %v", lie, z.procs)
		}
	}
	if err := victim.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process that was lied about: %v", err)
	}
}

// A zygote that is stopped (SIGSTOP) reads no commands: nobody but who wants a worker may wait for it.
func TestStoppedZygoteKeepsNobodyWaiting(t *testing.T) {
	z, _ := reportTo(t)
	z.wg.Go(z.command)
	done := make(chan struct{})
	go func() {
		for range 2 * commandQueue {
			z.nudge()
		}
		close(done)
	}()
	select {
	case <-done:
	case <-patient.Late():
		t.Error("a nudge waits for the zygote")
	}
	if _, err := z.spawn(t.Context()); err == nil {
		t.Error("a full queue gave a worker")
	}
	z.retire()
	z.wg.Wait()
}
