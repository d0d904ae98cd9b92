package manager

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// child is a php-cgi that phpserve itself started and waits for.
type child struct {
	cmd     *exec.Cmd
	orphans *orphans      // of its pool
	done    chan struct{} // closed after the exit
	exit    exitStatus    // valid after done
	killed  chan struct{} // closed by end
	ending  sync.Once
}

// startChild starts a php-cgi that makes and listens on a socket, with both outputs going to out. Its standard input is empty, and
// so is that of the programs that scripts start. It inherits the files of more, too.
func startChild(p *Pool, socket string, out *os.File, more ...*os.File) (*child, error) {
	args, err := p.cfg.command(p.php.Path, "-b", socket)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out // and the null device as standard input
	cmd.ExtraFiles = more
	cmd.Dir = p.cfg.startDir()
	cmd.Env = p.cfg.environment(p.dir)
	user := p.dir.owner
	if p.late {
		user = user.keepingRoot()
	}
	cmd.SysProcAttr = sysProcAttr(user, syscall.SIGKILL)
	ch := &child{cmd: cmd, orphans: p.orphans, done: make(chan struct{}), killed: make(chan struct{})}
	started := make(chan error)
	go offMainThread(func() {
		// The parent-death signal fires when the thread that started the child ends, prctl(2): keep it until then.
		// It ends with this goroutine, as a locked one that is never unlocked does.
		ResetThread(p.priority)
		unblockSignals()
		err := cmd.Start()
		if err == nil {
			p.orphans.adopt(cmd.Process.Pid)
		}
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in ProcessState
		p.orphans.forget(cmd.Process.Pid)
		ch.exit = exitStatusOf(cmd.ProcessState)
		close(ch.done)
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("[pool %s] cannot start %s: %v", p.cfg.Name, p.php.Path, err)
	}
	return ch, nil
}

func (ch *child) pid() int { return ch.cmd.Process.Pid }

// deadInterval is how often it is looked whether somebody keeps a process that phpserve has killed from being buried.
const deadInterval = 200 * time.Millisecond

// end ends the child at once.
func (ch *child) end() {
	_ = ch.cmd.Process.Kill() // an error means that it has ended
	ch.ending.Do(func() { close(ch.killed) })
}

// kill ends the child at once and waits for its end.
func (ch *child) kill() {
	ch.end()
	ch.buried()
}

// buried waits for the child's end. When phpserve has killed it, nobody may keep that from being heard.
func (ch *child) buried() {
	select {
	case <-ch.done:
		return
	case <-ch.killed:
	}
	look := time.NewTicker(deadInterval)
	defer look.Stop()
	for {
		select {
		case <-ch.done:
			return
		case <-look.C:
			ch.orphans.freeDead(ch.pid())
		}
	}
}
