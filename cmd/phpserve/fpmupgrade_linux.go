package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/listen"
	"golang.org/x/sys/unix"
)

// checkPatience is how long the new program may take to check the configuration.
const checkPatience = 30 * time.Second

// runningBinary is the program that this process executes, and how it was started.
type runningBinary struct {
	path string      // where it was, and its successor is
	info os.FileInfo // of the file that is executed
	nice int         // before favourFrontEnd
}

// findBinary looks at the program of this process, as early as possible.
func findBinary() (*runningBinary, error) {
	b := &runningBinary{}
	var err error
	if b.info, err = os.Stat("/proc/self/exe"); err != nil {
		return nil, fmt.Errorf("cannot tell which program this is: %w", err)
	}
	if b.path, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("cannot tell which program this is: %w", err)
	}
	// A link that it was called by may lead to another program later.
	if called, err := exec.LookPath(os.Args[0]); err == nil {
		if info, err := os.Stat(called); err == nil && os.SameFile(info, b.info) {
			b.path = called
		}
	}
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		b.nice = 20 - n // the system call counts from 40 down to 1: getpriority(2)
	}
	return b, nil
}

// replaced says whether another program is in the place of the one that runs. One that is gone has no successor.
func (b *runningBinary) replaced() bool {
	now, err := os.Stat(b.path)
	return err == nil && (!os.SameFile(now, b.info) || now.Size() != b.info.Size() || !now.ModTime().Equal(b.info.ModTime()))
}

// inheritedFile is a descriptor that this process was started with, which its own processes do not get.
func inheritedFile(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

// upgrade has the new program check the configuration and stand in for this one.
func (m *fpmMaster) upgrade(ctx context.Context) (*standIn, []listen.Socket, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-m.over:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	if err := m.binary.check(ctx); err != nil {
		return nil, nil, err
	}
	sockets, err := m.server.Sockets()
	if err != nil {
		return nil, nil, err
	}
	next, err := m.startStandIn(ctx, sockets)
	if err != nil {
		closeSockets(sockets)
		return nil, nil, err
	}
	return next, sockets, nil
}

// trusted says why the program that is there now may not be executed: root executes nothing that others can
// write, nor what is in a folder that others can change.
func (b *runningBinary) trusted() error {
	if other := otherAuthor(b.path); other != "" {
		return fmt.Errorf("others than root can change %s, or put another program there: %s; root does not execute it", b.path, other)
	}
	return nil
}

// check runs the new program with -t.
func (b *runningBinary) check(ctx context.Context) error {
	if err := b.trusted(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, append(os.Args[1:len(os.Args):len(os.Args)], "-t")...)
	cmd.Args[0] = os.Args[0] // a link named php-fpm
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	text := strings.Join(strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' }), "; ")
	if text != "" {
		text = ": " + text
	}
	return fmt.Errorf("%s -t: %w%s", b.path, err, text)
}

// startStandIn starts the new program on the sockets and waits until it serves.
func (m *fpmMaster) startStandIn(ctx context.Context, sockets []listen.Socket) (*standIn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot start a stand-in: %w", err)
	}
	link, theirs := os.NewFile(uintptr(pair[0]), "upgrade"), os.NewFile(uintptr(pair[1]), "upgrade")
	cmd := exec.Command(m.binary.path, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's signals are for this process
	const first = 3                                       // os/exec
	cmd.ExtraFiles = []*os.File{theirs}
	for _, s := range sockets {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.File)
	}
	cmd.Env = append(os.Environ(), fpmSocketsEnv(sockets, func(i int) int { return first + 1 + i })...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s %d 0 %t", upgradeVariable, standInPart, first, m.background))
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with this goroutine, as a locked one that is never unlocked does
		manager.ResetThread(m.binary.nice)
		started <- cmd.Start()
	}()
	err = <-started
	theirs.Close()
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("cannot start %s: %w", m.binary.path, err)
	}
	s := &standIn{process: cmd.Process, link: link}
	if err := s.awaitReady(ctx); err != nil {
		_ = s.process.Kill() // it may have ended by itself
		state, errWait := s.process.Wait()
		s.cut()
		if errWait == nil && !strings.Contains(state.String(), "killed") {
			return nil, fmt.Errorf("%s ended before it served: %v", m.binary.path, state)
		}
		return nil, fmt.Errorf("%s does not serve: %w", m.binary.path, err)
	}
	return s, nil
}

// awaitReady waits until the stand-in says that it serves.
func (s *standIn) awaitReady(ctx context.Context) error {
	if err := s.link.SetReadDeadline(time.Now().Add(daemonPatience)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = s.link.SetReadDeadline(time.Unix(1, 0)) })()
	line, err := bufio.NewReader(s.link).ReadString('\n')
	s.version = strings.TrimSuffix(line, "\n")
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		return errors.New("it has not said that it is ready")
	}
	return s.link.SetReadDeadline(time.Time{})
}

// become executes the new program in this process. It returns only where that fails or, with nil, where a signal ends everything.
func (m *fpmMaster) become(signals chan os.Signal) error {
	var args []string
	for _, arg := range os.Args {
		args = append(args, strconv.Quote(arg))
	}
	m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("reloading: execvp(%s, {%s})", args[0], strings.Join(args, ", ")))
	env := append(os.Environ(), fpmSocketsEnv(m.sockets, func(i int) int { return int(m.sockets[i].File.Fd()) })...)
	env = append(env, fmt.Sprintf("%s=%s %d %d %t", upgradeVariable, nextPart, m.next.link.Fd(), m.next.process.Pid, m.background))
	if m.systemd.address != "" {
		env = append(env, notifyVariable+"="+m.systemd.address)
	}
	runtime.LockOSThread() // it is the only one that goes on
	manager.ResetThread(m.binary.nice)
	if holdSignals(signals) {
		return nil
	}
	files := []*os.File{m.next.link}
	for _, s := range m.sockets {
		files = append(files, s.File)
	}
	for _, f := range files {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("cannot hand a socket on: %w", err)
		}
	}
	err := m.binary.trusted()
	m.log.Flush() // the new image knows nothing of it
	if err == nil {
		err = syscall.Exec(m.binary.path, os.Args, env)
	}
	// It may be replaced once more, or gone. The stand-in's is the one that is known to work.
	if errStandIn := syscall.Exec(fmt.Sprintf("/proc/%d/exe", m.next.process.Pid), os.Args, env); errStandIn != nil {
		return fmt.Errorf("cannot execute %s: %w", m.binary.path, err)
	}
	panic("internal error: a program that was replaced goes on")
}

// holdSignals has SIGUSR1 and SIGUSR2 wait for the next image, which they would end before it takes them, and lets the others end this
// process at once. True: one that ends it has been received and is not obeyed yet. What SIGUSR1 and SIGUSR2 ask for, the next
// image does at its start.
func holdSignals(signals chan os.Signal) (end bool) {
	var set unix.Sigset_t
	wordBits := 1024 / len(set.Val) // sigset_t has 1024 bits
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
		set.Val[(int(sig)-1)/wordBits] |= 1 << ((int(sig) - 1) % wordBits)
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil) // the arguments are right
	signal.Stop(signals)
	for {
		select {
		case sig := <-signals:
			if a := fpmAction(sig); a == fpmTerminate || a == fpmFinish {
				return true
			}
		default:
			return false
		}
	}
}

// monotonicUsec is the time as systemd's MONOTONIC_USEC wants it (sd_notify(3)).
func monotonicUsec() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // the arguments are right
	return now.Nano() / int64(time.Microsecond)
}
