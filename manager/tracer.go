package manager

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/manager/phpstack"
)

// selfTestTimeout is how long the script of the tracer's self-test may take, of time of its own.
const selfTestTimeout = 20 * time.Second

// tracer reads the PHP stacks of a pool's workers. It is made when it is first asked for.
type tracer struct {
	once   sync.Once
	reader *phpstack.Reader
	err    error // why no stack can be read
}

// open makes the tracer once.
func (t *tracer) open(p *Pool) (*phpstack.Reader, error) {
	t.once.Do(func() {
		if t.reader, t.err = phpstack.Open(p.php.Path); t.err == nil {
			t.err = p.selfTest(t.reader)
		}
	})
	return t.reader, t.err
}

// selfTest has the reader read a script that is known. A pool that is used with PHP of another layout would show nonsense.
func (p *Pool) selfTest(r *phpstack.Reader) (err error) {
	script := p.dir.file(bootDir, selfTestFile)
	ctx, cancel := p.untilStop()
	defer cancel()
	cmd := exec.CommandContext(ctx, p.php.Path, "-q", "-d", "opcache.enable=0", "-d", "auto_prepend_file=", "-d", "auto_append_file=",
		"-d", "output_buffering=0", "-f", script)
	cmd.Env = append(bareEnv(), p.cfg.iniEnv("")...)
	cmd.Dir = string(filepath.Separator)
	cmd.SysProcAttr = sysProcAttr(p.dir.owner, 0)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot run the tracer's self-test: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("cannot run the tracer's self-test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run the tracer's self-test: %w", err)
	}
	ended := endHanging(cmd, selfTestTimeout)
	defer ended() // after cmd.Wait
	defer func() {
		stdin.Close() // ends it
		_ = cmd.Wait()
	}()
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if said != "waiting\n" {
		if ended() {
			return fmt.Errorf("cannot run the tracer's self-test: PHP did not answer within %v", selfTestTimeout)
		}
		_ = cmd.Process.Kill() // nobody looks any more whether it hangs; an error means that it has ended
		return fmt.Errorf("cannot run the tracer's self-test: PHP says %q (%v)", strings.TrimSpace(said), err)
	}
	const innermost, recursion, outermost = 12, 7, 15
	want := []phpstack.Frame{
		{Function: "fgets", Call: phpstack.CallInternal},
		{Function: "phpserve_selftest", Call: phpstack.CallFunction, File: script, Line: innermost},
		{Function: "phpserve_selftest", Call: phpstack.CallFunction, File: script, Line: recursion},
		{Call: phpstack.CallMain, File: script, Line: outermost},
	}
	for { // it says that it waits a moment before it does
		stack, err := r.Trace(cmd.Process.Pid, phpstack.Options{})
		if err != nil || len(stack.Frames) == len(want) || ctx.Err() != nil {
			break
		}
	}
	return r.SelfTest(cmd.Process.Pid, want)
}

// WorkerStack is what one worker was doing at one moment.
type WorkerStack struct {
	ProcessStatus
	phpstack.Stack
	// Err is why there is no stack.
	Err error
}

// errNotRunning is a worker without a request.
var errNotRunning = errors.New("no request is running")

// ErrNoWorker is a pid that is none of the pool's.
var ErrNoWorker = errors.New("the pool has no such worker")

// Trace reads the PHP stacks of workers that run a request: of the one with this pid or, with 0, of all. Arguments are shown with
// args; those of parameters with telling names, such as $password, never are.
func (p *Pool) Trace(pid int, args bool) ([]WorkerStack, error) {
	status := p.Status(true)
	if pid != 0 {
		status.Processes = slices.DeleteFunc(status.Processes, func(w ProcessStatus) bool { return w.PID != pid })
		if len(status.Processes) == 0 {
			return nil, ErrNoWorker
		}
	}
	reader, err := p.tracer.open(p)
	if err != nil {
		return nil, err
	}
	var stacks []WorkerStack
	for _, w := range status.Processes {
		if w.State == statusIdle || w.State == statusCreating {
			if pid == 0 {
				continue
			}
			return []WorkerStack{{ProcessStatus: w, Err: errNotRunning}}, nil
		}
		s := WorkerStack{ProcessStatus: w}
		if s.Stack, s.Err = reader.Trace(w.PID, phpstack.Options{Args: args}); errors.Is(s.Err, os.ErrProcessDone) && pid == 0 {
			continue
		}
		stacks = append(stacks, s)
	}
	return stacks, nil
}
