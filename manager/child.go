package manager

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// child is a php-cgi that phpserve itself started and waits for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed after the exit
	exit exitStatus    // valid after done
}

// startChild starts php-cgi with the listening socket as its standard input, which is how php-cgi enters FastCGI mode
// (sapi/cgi/cgi_main.c:main), and both outputs going to out. deathSignal is
// sent to it when phpserve dies. It inherits the files of more, too.
func startChild(p *Pool, socket, out *os.File, deathSignal syscall.Signal, more ...*os.File) (*child, error) {
	args, err := p.cfg.command(p.php.Path)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, out, out
	cmd.ExtraFiles = more
	cmd.Dir = p.cfg.startDir()
	cmd.Env = p.cfg.environment(p.dir)
	user := p.dir.owner
	if p.late {
		user = user.keepingRoot()
	}
	cmd.SysProcAttr = sysProcAttr(user, deathSignal)
	ch := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal fires when the thread that started the child ends, prctl(2): keep it until then.
		// It ends with this goroutine, as a locked one that is never unlocked does.
		runtime.LockOSThread()
		ResetThread(p.priority)
		unblockSignals()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in ProcessState
		ch.exit = exitStatusOf(cmd.ProcessState)
		close(ch.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("[pool %s] cannot start %s: %v", p.cfg.Name, p.php.Path, err)
	}
	return ch, nil
}

// kill ends the child at once and waits for its end.
func (ch *child) kill() {
	_ = ch.cmd.Process.Kill() // an error means that it has ended
	<-ch.done
}
