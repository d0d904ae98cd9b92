package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/safefile"
	"github.com/phpserve/phpserve/server"
	"github.com/phpserve/phpserve/server/listen"
)

// fpmMaster is what php-fpm calls its master process: it serves a configuration until a signal ends it.
type fpmMaster struct {
	o       *fpmOptions
	file    string
	findPHP phpFinder
	stdout  io.Writer
	// background says that nobody looks at standard error: the log is a file.
	background bool

	conf   *fpmconf.Config
	config server.Config
	log    *fpmLog
	logger *slog.Logger
	// tellRepeats has the log tell the counts of repeated lines.
	tellRepeats func()
	server      *server.Server
	pid         string // the pid file that was written

	systemd *systemdNotifier
	asks    chan func()   // what others want done between signals
	over    chan struct{} // closed when nothing is done any more

	binary  *runningBinary
	part    *upgradePart
	standIn *standIn        // of an upgrade that ends with this image
	next    *standIn        // of one that begins with it
	sockets []listen.Socket // which the image of next gets
	beats   <-chan time.Time

	calledOff bool // a signal has ended an upgrade

	reloads sync.WaitGroup // the goroutine of a reload, and of what waits for standIn
	asked   []reloadAsk    // which the reload that is under way is for; none: there is none
	again   []reloadAsk    // those that come after it
}

// serveFPM serves until a signal ends it.
func serveFPM(ctx context.Context, o *fpmOptions, file string, stdout, stderr io.Writer, findPHP phpFinder) error {
	goOnWithoutReaders()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, fpmSignals...)
	defer signal.Stop(signals)
	binary, err := findBinary()
	if err != nil {
		return err
	}
	part, err := readUpgradePart()
	if err != nil {
		return err
	}
	buryForeign()
	m := &fpmMaster{
		o: o, file: file, findPHP: findPHP, stdout: stdout, asks: make(chan func()), over: make(chan struct{}), binary: binary, part: part,
	}
	if err := m.start(ctx, stderr, signals); err != nil || m.server == nil { // which is in the background
		return err
	}
	defer m.log.Close()
	var control *control
	if !part.isStandIn() {
		control = openControlOr(m.logger, m.controlled(ctx, signals))
	}
	broken := m.obey(ctx, signals)
	close(m.over)
	m.reloads.Wait()
	follows := m.next != nil
	if follows {
		control.close()
		broken = errors.Join(broken, m.follow(signals))
	}
	m.tellRepeats()
	if part.isStandIn() {
		return broken
	}
	if m.pid != "" {
		if err := safefile.Remove(m.pid); err != nil {
			m.logger.Warn("Unable to remove the PID file", "file", m.pid, "error", err)
		}
	}
	m.log.Print(fpmconf.LevelNotice, "exiting, bye-bye!")
	if !follows {
		control.close() // last: phpserve stop waits for it
	}
	return broken
}

// start loads the configuration and starts everything.
func (m *fpmMaster) start(ctx context.Context, stderr io.Writer, signals chan os.Signal) error {
	early := fpmMessages{out: stderr}
	ready, background := inBackground()
	if background {
		early.out = io.Discard // the process in front has said it
	}
	background = background || m.part.background
	conf, err := m.o.load(m.file, early.line)
	if err != nil {
		early.line(fpmconf.LevelError, errFPMConfig.Error())
		return err
	}
	m.conf = conf
	if !background && m.part.part == "" && !m.o.nodaemonize && (m.o.daemonize || conf.Global.Daemonize) {
		return m.toBackground(early, stderr)
	}
	m.background = background
	if background && m.part.part != "" {
		stderr = io.Discard // it is the log already
	}
	if m.log, err = openFPMLog(conf, m.background, m.o.forceStderr, stderr); err != nil {
		early.out = stderr
		early.line(fpmconf.LevelError, err.Error())
		early.line(fpmconf.LevelError, errFPMConfig.Error())
		return &saidError{err, exitConfig}
	}
	counting, tell := countRepeats(m.log.Handler())
	m.logger, m.tellRepeats = slog.New(counting), tell
	if m.systemd, err = newSystemdNotifier(conf.Global.SystemdInterval, conf.Global.SystemdWatchdog); err != nil {
		return err
	}
	if err := m.serve(ctx, signals); err != nil {
		m.log.Print(fpmconf.LevelError, err.Error())
		m.log.Print(fpmconf.LevelError, errFPMConfig.Error())
		m.log.Close()
		return &saidError{err, exitConfig}
	}
	if !m.part.isStandIn() {
		m.tellEngines()
	}
	if err := m.log.started(background); err != nil {
		m.log.Print(fpmconf.LevelWarning, "cannot let go of standard error: "+err.Error())
	}
	if !m.part.isStandIn() {
		m.tellServing()
		m.systemd.ready()
	}
	if err := m.started(signals); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	favourFrontEnd()
	return nil
}

// tellServing says what who watches the log waits for, at the start and after a reload.
func (m *fpmMaster) tellServing() {
	m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("fpm is running, pid %d", os.Getpid()))
	m.log.Print(fpmconf.LevelNotice, "ready to handle connections")
}

// tellEngines says which pools have not got the engine that workers share an opcache with, though nobody asked for the other one.
func (m *fpmMaster) tellEngines() {
	if m.o.engine != manager.EngineAuto {
		return
	}
	for _, p := range m.server.Pools() {
		if kind, why := p.Engine(); kind == manager.EngineSpawn {
			m.log.Print(fpmconf.LevelWarning, fmt.Sprintf("[pool %s] engine %s: %s", p.Config().Name, kind, why))
		}
	}
}

// toBackground has another process serve.
func (m *fpmMaster) toBackground(early fpmMessages, stderr io.Writer) error {
	err := daemonize(stderr)
	if _, said := errors.AsType[*saidError](err); err == nil || said {
		return err
	}
	early.line(fpmconf.LevelError, err.Error())
	return &saidError{err, exitSoftware}
}

// serve starts the server and writes the pid file.
func (m *fpmMaster) serve(ctx context.Context, signals chan os.Signal) error {
	php, err := findFPMPHP(ctx, m.file, m.findPHP)
	if err != nil {
		return err
	}
	if m.config, err = m.o.serverConfig(m.conf); err != nil {
		return err
	}
	for _, text := range withoutEffect(m.conf) {
		m.log.Print(fpmconf.LevelWarning, text)
	}
	if m.server, err = server.New(m.config, samePHP(m.config, php), versionText(), m.logger, m.stdout); err != nil {
		return err
	}
	if err := m.useSockets(); err != nil {
		m.server.Stop(ctx)
		return err
	}
	if err := startUnlessSignalled(ctx, m.server, signals); err != nil {
		return err
	}
	if m.part.isStandIn() {
		return nil
	}
	if err := m.writePID(m.conf.Global.PID); err != nil {
		m.server.Stop(ctx)
		return err
	}
	return nil
}

// samePHP gives every pool one PHP.
func samePHP(c server.Config, php *manager.PHP) map[string]*manager.PHP {
	phps := map[string]*manager.PHP{}
	for _, p := range c.Pools {
		phps[p.Name] = php
	}
	return phps
}

// writePID writes the pid file.
func (m *fpmMaster) writePID(file string) error {
	if file == "" {
		return nil
	}
	f, err := safefile.Create(file, 0o644) // php-fpm removes what is there, too (fpm_conf.c:fpm_conf_write_pid)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d", os.Getpid())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("Unable to create the PID file (%s).: %w", file, err) //nolint:revive,staticcheck // php-fpm's words
	}
	m.pid = file
	return nil
}

// obey does what signals say until one of them ends everything.
func (m *fpmMaster) obey(ctx context.Context, signals chan os.Signal) error {
	var stopBeats func()
	m.beats, stopBeats = m.systemd.ticks()
	defer stopBeats()
	for {
		select {
		case ask := <-m.asks:
			if ask(); m.next != nil {
				m.handOver(signals)
				return nil
			}
		case <-m.beats:
			m.systemd.beat(m.server.Totals())
		case sig := <-signals:
			switch fpmAction(sig) {
			case fpmReopen:
				_ = m.reopen() // it has said why not
			case fpmReload:
				if m.part.isStandIn() {
					continue // the signal was for all processes of the service
				}
				m.reload(ctx, reloadAsk{"", func(reloadResult, error) {}}) // as above
			case fpmFinish:
				m.stop("Finishing ...", signals)
				return nil
			default:
				m.stop("Terminating ...", signals)
				return nil
			}
		case err := <-m.server.Failed():
			m.stop("Terminating ...", signals)
			return err
		case <-ctx.Done():
			m.stop("Terminating ...", signals)
			return nil
		}
	}
}

// stop ends the server; signals that do not end anything are passed over meanwhile.
func (m *fpmMaster) stop(word string, signals <-chan os.Signal) {
	m.log.Print(fpmconf.LevelNotice, word)
	m.systemd.stopping()
	if m.part.isStandIn() {
		m.server.LeaveSockets()
	}
	began := time.Now()
	again, done := make(chan os.Signal, 1), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				if a := fpmAction(sig); (a == fpmTerminate || a == fpmFinish) && time.Since(began) >= secondSignal {
					if m.standIn != nil {
						m.standIn.cut()
					}
					select {
					case again <- sig:
					default: // one is enough
					}
				}
			case <-done:
				return
			}
		}
	}()
	stop(m.server, &plan{config: m.config}, again, m.logger, isTerminal(os.Stderr)) // php-fpm says nothing, but nobody reads its log while he waits
}

// reopenLog opens the error log anew.
func (m *fpmMaster) reopenLog() error {
	err := m.log.Reopen()
	if err != nil {
		m.log.Print(fpmconf.LevelError, err.Error())
	} else {
		m.log.Print(fpmconf.LevelNotice, "error log file re-opened")
	}
	return err
}

// reopen opens the logs anew, for logrotate. No worker notices.
func (m *fpmMaster) reopen() error {
	if m.standIn != nil {
		m.standIn.reopen()
	}
	errLog := m.reopenLog()
	err := m.server.Reopen()
	switch {
	case err != nil:
		m.log.Print(fpmconf.LevelError, err.Error())
	case slices.ContainsFunc(m.config.Responders, func(r server.ResponderConfig) bool { return r.Access.File != "" }):
		m.log.Print(fpmconf.LevelNotice, "access log file re-opened")
	}
	return errors.Join(errLog, err)
}

// between does something between two signals. False: nothing is done any more, or nobody waits for it.
func (m *fpmMaster) between(ctx context.Context, do func()) bool {
	select {
	case m.asks <- do:
		return true
	case <-m.over:
	case <-ctx.Done():
	}
	return false
}

// controlled is what the control socket can ask for.
func (m *fpmMaster) controlled(ctx context.Context, signals chan<- os.Signal) controlled {
	return controlled{
		server: m.server,
		reload: func(asked context.Context, pool string) (result reloadResult, err error) {
			done := make(chan struct{})
			if !m.between(asked, func() {
				m.reload(ctx, reloadAsk{pool, func(r reloadResult, e error) {
					result, err = r, e
					close(done)
				}})
			}) {
				return reloadResult{}, errStopping
			}
			select {
			case <-done:
				return result, err
			case <-m.over:
				return reloadResult{}, errStopping
			}
		},
		reopen: func(asked context.Context) error {
			result := make(chan error, 1)
			if !m.between(asked, func() { result <- m.reopen() }) {
				return errStopping
			}
			return <-result
		},
		stop:   func() { signals <- os.Interrupt },
		serves: []string{absolute(m.file)},
	}
}

// errStopping is the answer to what comes too late.
var errStopping = errors.New("phpserve is stopping")
