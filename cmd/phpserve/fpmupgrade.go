package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/safefile"
	"github.com/phpserve/phpserve/server/listen"
)

// A reload that finds another program in the place of the one that runs has the process become that program, in four steps: the
// new one is asked whether the configuration can work; it is started beside the old one, as its stand-in, on the same listening
// sockets; the old one ends its pools, and its process executes the new program (execve(2)), whose process id is therefore the same;
// when that serves, the stand-in goes. Nobody waits, and until the third step everything can be called off.

// upgradeVariable tells a process its part in an upgrade.
const upgradeVariable = "PHPSERVE_FPM_UPGRADE"

// The parts.
const (
	standInPart = "stand-in"
	nextPart    = "next"
)

// upgradePart is what a process was given by the one that it takes over from.
type upgradePart struct {
	part       string // empty: it was started by hand, or by php-fpm
	background bool   // daemonize took place
	link       *os.File
	other      int // the process id of the stand-in
	sockets    []listen.Socket
}

// readUpgradePart takes the part from the environment.
func readUpgradePart() (*upgradePart, error) {
	u := &upgradePart{}
	if text := os.Getenv(upgradeVariable); text != "" {
		var link int
		if _, err := fmt.Sscanf(text, "%s %d %d %t", &u.part, &link, &u.other, &u.background); err != nil {
			return nil, fmt.Errorf("cannot read %s=%q: %v", upgradeVariable, text, err)
		}
		u.link = inheritedFile(link, "upgrade")
	}
	var err error
	if u.sockets, err = readFPMSockets(); err != nil {
		return nil, err
	}
	return u, os.Unsetenv(upgradeVariable)
}

// fpmSocketsVariable names php-fpm's listening sockets for its next image (fpm_sockets.c:fpm_sockets_init_main), ADDRESS=FD,…; there
// may be as many as fpmSocketsEach in one, and the next is FPM_SOCKETS_1.
const (
	fpmSocketsVariable = "FPM_SOCKETS"
	fpmSocketsEach     = 128
)

// numberedSockets is the name of the i-th variable.
func numberedSockets(i int) string {
	if i == 0 {
		return fpmSocketsVariable
	}
	return fpmSocketsVariable + "_" + strconv.Itoa(i)
}

// readFPMSockets takes the sockets from the environment.
func readFPMSockets() (sockets []listen.Socket, err error) {
	for i := 0; ; i++ {
		text, ok := os.LookupEnv(numberedSockets(i))
		if !ok {
			return sockets, nil
		}
		for item := range strings.SplitSeq(text, ",") {
			if item == "" {
				continue
			}
			at := strings.LastIndexByte(item, '=')
			fd, err := strconv.Atoi(item[at+1:])
			if at < 0 || err != nil || fd < 3 {
				return nil, fmt.Errorf("cannot read %s: %q must be ADDRESS=DESCRIPTOR", numberedSockets(i), item)
			}
			sockets = append(sockets, listen.Socket{Listen: item[:at], File: inheritedFile(fd, item[:at])})
		}
		if err := os.Unsetenv(numberedSockets(i)); err != nil {
			return nil, err
		}
	}
}

// fpmSocketsEnv are the variables for sockets; fd gives the descriptor that the i-th will have.
func fpmSocketsEnv(sockets []listen.Socket, fd func(i int) int) (env []string) {
	var items []string
	for i, s := range sockets {
		items = append(items, s.Listen+"="+strconv.Itoa(fd(i)))
	}
	for part := range slices.Chunk(items, fpmSocketsEach) {
		env = append(env, numberedSockets(len(env))+"="+strings.Join(part, ","))
	}
	return env
}

// isStandIn says whether this process serves only until another one does.
func (u *upgradePart) isStandIn() bool { return u.part == standInPart }

// useSockets has the server listen on the sockets of the image before.
func (m *fpmMaster) useSockets() error {
	if m.part.isStandIn() {
		err := m.server.StandIn(m.part.sockets)
		closeSockets(m.part.sockets)
		return err
	}
	used, err := m.server.Inherit(m.part.sockets)
	for _, s := range used {
		m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("using inherited socket fd=%d, %q", s.File.Fd(), s.Listen))
	}
	closeSockets(m.part.sockets)
	return err
}

func closeSockets(sockets []listen.Socket) {
	for _, s := range sockets {
		_ = s.File.Close() // another descriptor of the socket is in use, or none is wanted
	}
}

// started tells the other process of an upgrade that this one serves.
func (m *fpmMaster) started(signals chan<- os.Signal) error {
	switch m.part.part {
	case standInPart:
		m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("phpserve %s stands in, pid %d", versionText(), os.Getpid()))
		if _, err := m.part.link.WriteString(versionText() + "\n"); err != nil {
			return fmt.Errorf("cannot tell that the stand-in serves: %w", err)
		}
		go m.followLink(signals) // ends with the process
	case nextPart:
		process, err := os.FindProcess(m.part.other)
		if err != nil {
			return fmt.Errorf("cannot find the stand-in: %w", err)
		}
		m.standIn = &standIn{process: process, link: m.part.link}
		m.standIn.finish()
		m.reloads.Go(m.standIn.wait)
	}
	return nil
}

// followLink ends the stand-in: when it is told to, its requests finish; when the process that it stands in for is gone, it goes, too.
func (m *fpmMaster) followLink(signals chan<- os.Signal) {
	if n, err := m.part.link.Read(make([]byte, 1)); err == nil && n == 1 {
		signals <- os.Interrupt
		_, _ = m.part.link.Read(make([]byte, 1)) // until the other one is gone, or does not wait
	} else {
		signals <- os.Interrupt
	}
	signals <- os.Interrupt // the second ends it at once
}

// standIn is the process of a new image that serves while the old one is replaced.
type standIn struct {
	process *os.Process
	link    *os.File // its other end is the stand-in's
	version string
}

// finish has it serve no longer; its requests finish.
func (s *standIn) finish() { _, _ = s.link.Write([]byte{1}) } // it may be gone already

// cut has it end at once.
func (s *standIn) cut() { _ = s.link.Close() }

// wait waits for its end.
func (s *standIn) wait() {
	_, _ = s.process.Wait() // how it ended is of no matter now
	s.cut()
}

// endUpgrade says what came of an upgrade, which has this process follow its stand-in.
func (m *fpmMaster) endUpgrade(ctx context.Context, next *standIn, sockets []listen.Socket, err error) {
	if err != nil {
		m.systemd.ready()
		m.log.Print(fpmconf.LevelError, fmt.Sprintf("upgrade failed, the old binary goes on: %v", err))
	} else {
		m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("upgrade: phpserve %s serves, and process %d follows when its requests are done", next.version, os.Getpid()))
		m.next, m.sockets = next, sockets
	}
	result := reloadResult{}
	if next != nil {
		result.Upgraded = next.version
		m.asked, m.again = append(m.asked, m.again...), nil // the new image reads the configuration once more
	}
	m.answerReload(ctx, result, err)
}

// handOver ends the pools; requests that run finish for process_control_timeout at most. A signal that ends everything is the stand-in's, too.
func (m *fpmMaster) handOver(signals <-chan os.Signal) {
	m.server.LeaveSockets()
	again, drained := make(chan os.Signal, 1), make(chan struct{})
	go func() {
		defer close(drained)
		stop(m.server, &plan{config: m.config}, again, m.logger, false)
	}()
	for {
		select {
		case <-drained:
			return
		case <-m.beats:
			m.systemd.beat(m.server.Totals())
		case sig := <-signals:
			switch fpmAction(sig) {
			case fpmReopen:
				_ = m.reopenLog() // it has said why not
				m.next.reopen()
			case fpmReload: // the new image reads the configuration anyway
			default:
				if !m.calledOff {
					m.calledOff = true
					m.log.Print(fpmconf.LevelNotice, "Terminating ...")
					m.systemd.stopping()
					m.next.finish()
				} else {
					again <- sig
					m.next.cut()
				}
			}
		}
	}
}

// follow has this process execute the program of its stand-in. It returns where that cannot be, or no longer is wanted.
func (m *fpmMaster) follow(signals chan os.Signal) error {
	if !m.calledOff {
		err := m.become(signals)
		signal.Notify(signals, fpmSignals...)
		m.next.finish()
		m.callOff(signals)
		if err != nil {
			m.log.Print(fpmconf.LevelError, err.Error())
			return &saidError{err, exitSoftware}
		}
		return nil
	}
	m.callOff(signals)
	return nil
}

// callOff ends the stand-in of an upgrade that a signal ended.
func (m *fpmMaster) callOff(signals <-chan os.Signal) {
	for _, s := range m.sockets {
		if strings.HasPrefix(s.Listen, "/") {
			_ = safefile.Remove(s.Listen) // it was ours to remove
		}
	}
	closeSockets(m.sockets)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.next.wait()
	}()
	for {
		select {
		case <-ended:
			return
		case sig := <-signals:
			if a := fpmAction(sig); a == fpmTerminate || a == fpmFinish {
				m.next.cut()
			}
		}
	}
}
