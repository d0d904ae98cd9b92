package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
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
	server *server.Server
	pid    string // the pid file that was written

	binary     ownBinary
	signals    chan os.Signal
	stopSignal atomic.Bool // a signal came while everything was stopped

	systemd *systemdNotifier
	asks    chan func()   // what others want done between signals
	over    chan struct{} // closed when nothing is done any more

	reloads sync.WaitGroup // the goroutine of a reload
	asked   []reloadAsked  // for the reload that is under way; nil: none is
	again   []reloadAsked  // for those after it
	gives   bool           // another binary takes over
}

// reloadAsked is somebody who asked for a reload.
type reloadAsked struct {
	pool  string // the one that is meant; empty: all
	reply reloaded
}

// reloaded is told what came of a reload.
type reloaded func(server.Changes, error)

// serveFPM serves until a signal ends it.
func serveFPM(ctx context.Context, o *fpmOptions, file string, stdout, stderr io.Writer, findPHP phpFinder) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, fpmSignals...)
	defer signal.Stop(signals)
	buryForeign()
	m := &fpmMaster{
		o: o, file: file, findPHP: findPHP, stdout: stdout, asks: make(chan func()), over: make(chan struct{}), signals: signals,
	}
	if err := m.start(ctx, stderr, signals); err != nil || m.server == nil { // which is in the background
		return err
	}
	defer m.log.Close()
	control := openControlOr(m.logger, m.controlled(ctx, signals))
	broken := m.obey(ctx, signals)
	close(m.over)
	m.reloads.Wait()
	control.close()
	if errors.Is(broken, errUpgrade) {
		broken = m.upgrade()
	}
	if m.pid != "" {
		if err := os.Remove(m.pid); err != nil {
			m.logger.Warn("Unable to remove the PID file", "file", m.pid, "error", err)
		}
	}
	m.log.Print(fpmconf.LevelNotice, "exiting, bye-bye!")
	return broken
}

// start loads the configuration and starts everything.
func (m *fpmMaster) start(ctx context.Context, stderr io.Writer, signals chan os.Signal) error {
	early := fpmMessages{out: stderr}
	ready, background := inBackground()
	if background {
		early.out = io.Discard // the process in front has said it
		if ready == nil {
			stderr = io.Discard
		}
	}
	conf, err := m.o.load(m.file, early.line)
	if err != nil {
		early.line(fpmconf.LevelError, errFPMConfig.Error())
		return err
	}
	m.conf = conf
	if !background && !m.o.nodaemonize && (m.o.daemonize || conf.Global.Daemonize) {
		return m.toBackground(early, stderr)
	}
	m.background = background
	if m.log, err = openFPMLog(conf, m.background, m.o.forceStderr, stderr); err != nil {
		early.out = stderr
		early.line(fpmconf.LevelError, err.Error())
		early.line(fpmconf.LevelError, errFPMConfig.Error())
		return &saidError{err, exitConfig}
	}
	m.logger = slog.New(m.log.Handler())
	if m.systemd, err = newSystemdNotifier(conf.Global.SystemdInterval, conf.Global.SystemdWatchdog); err != nil {
		return err
	}
	if err := m.serve(ctx, signals); err != nil {
		m.log.Print(fpmconf.LevelError, err.Error())
		m.log.Print(fpmconf.LevelError, errFPMConfig.Error())
		m.log.Close()
		return &saidError{err, exitConfig}
	}
	m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("fpm is running, pid %d", os.Getpid()))
	m.log.Print(fpmconf.LevelNotice, "ready to handle connections")
	m.systemd.ready()
	if err := m.log.started(background); err != nil {
		m.log.Print(fpmconf.LevelWarning, "cannot let go of standard error: "+err.Error())
	}
	if ready != nil {
		ready()
	}
	favourFrontEnd()
	return nil
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
	if m.binary, err = findOwnBinary(); err != nil {
		m.log.Print(fpmconf.LevelWarning, fmt.Sprintf("cannot find the own binary, a reload will not notice a new one: %v", err))
	}
	if m.config.Sockets, err = inheritedSockets(); err != nil {
		return err
	}
	for address, f := range m.config.Sockets {
		m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("using inherited socket fd=%d, \"%s\"", f.Fd(), address))
	}
	if m.server, err = server.New(m.config, samePHP(m.config, php), versionText(), m.logger, m.stdout); err != nil {
		return err
	}
	if err := startUnlessSignalled(ctx, m.server, signals); err != nil {
		return err
	}
	for address, f := range m.config.Sockets { // of addresses that are no longer configured
		f.Close()
		if fpmconf.IsUnixAddress(address) {
			_ = os.Remove(address)
		}
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
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d", os.Getpid()), 0o644); err != nil { //nolint:gosec // as php-fpm's, for init scripts
		return fmt.Errorf("Unable to create the PID file (%s).: %w", file, err) //nolint:revive,staticcheck // php-fpm's words
	}
	m.pid = file
	return nil
}

// obey does what signals say until one of them ends everything.
func (m *fpmMaster) obey(ctx context.Context, signals chan os.Signal) error {
	beats, stopBeats := m.systemd.ticks()
	defer stopBeats()
	for {
		select {
		case ask := <-m.asks:
			ask()
			if m.gives {
				return errUpgrade
			}
		case <-beats:
			m.systemd.beat(m.server.Totals())
		case sig := <-signals:
			switch fpmAction(sig) {
			case fpmReopen:
				_ = m.reopen() // it has said why not
			case fpmReload:
				m.reload(ctx, "", func(server.Changes, error) {}) // as above
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

// stop ends the server.
func (m *fpmMaster) stop(word string, signals <-chan os.Signal) {
	m.systemd.stopping()
	m.stopQuietly(word, signals)
}

// stopQuietly ends the server, without a word to systemd; signals that do not end anything are passed over meanwhile.
func (m *fpmMaster) stopQuietly(word string, signals <-chan os.Signal) {
	m.log.Print(fpmconf.LevelNotice, word)
	again, done := make(chan os.Signal, 1), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				if a := fpmAction(sig); a == fpmTerminate || a == fpmFinish {
					m.stopSignal.Store(true)
					again <- sig
					return
				}
			case <-done:
				return
			}
		}
	}()
	stop(m.server, &plan{config: m.config}, again, m.logger)
}

// reopen opens the logs anew, for logrotate. No worker notices.
func (m *fpmMaster) reopen() error {
	errLog := m.log.Reopen()
	if errLog != nil {
		m.log.Print(fpmconf.LevelError, errLog.Error())
	} else {
		m.log.Print(fpmconf.LevelNotice, "error log file re-opened")
	}
	err := m.server.Reopen()
	if err != nil {
		m.log.Print(fpmconf.LevelError, err.Error())
	} else {
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
		reload: func(asked context.Context, pool string) (changes server.Changes, err error) {
			done := make(chan struct{})
			if !m.between(asked, func() {
				m.reload(ctx, pool, func(c server.Changes, e error) {
					changes, err = c, e
					close(done)
				})
			}) {
				return server.Changes{}, errStopping
			}
			select {
			case <-done:
				return changes, err
			case <-m.over:
				return server.Changes{}, errStopping
			}
		},
		reopen: func(asked context.Context) error {
			result := make(chan error, 1)
			if !m.between(asked, func() { result <- m.reopen() }) {
				return errStopping
			}
			return <-result
		},
		stop: func() { signals <- os.Interrupt },
	}
}

// errStopping is the answer to what comes too late.
var errStopping = errors.New("phpserve is stopping")

// reload begins to read the configuration again; signals are obeyed meanwhile. What asks for a reload while one is under way gets
// the next: the one under way may have read the old file.
func (m *fpmMaster) reload(ctx context.Context, pool string, reply reloaded) {
	m.again = append(m.again, reloadAsked{pool, reply})
	m.beginReload(ctx)
}

// beginReload begins the next reload, for all who asked for the same, if none is under way.
func (m *fpmMaster) beginReload(ctx context.Context) {
	if m.asked != nil || len(m.again) == 0 {
		return
	}
	pool := m.again[0].pool
	later := []reloadAsked{}
	for _, a := range m.again {
		if a.pool == pool {
			m.asked = append(m.asked, a)
		} else {
			later = append(later, a)
		}
	}
	m.again = later
	m.log.Print(fpmconf.LevelNotice, "Reloading in progress ...")
	m.systemd.reloading()
	m.reloads.Go(func() {
		conf, config, changes, err := m.tryReload(ctx, pool)
		m.between(context.Background(), func() { m.endReload(ctx, conf, config, changes, err) })
	})
}

// endReload says what came of a reload. One that cannot work has changed nothing.
func (m *fpmMaster) endReload(ctx context.Context, conf *fpmconf.Config, config server.Config, changes server.Changes, err error) {
	if changes.Binary != "" {
		for _, a := range append(m.asked, m.again...) {
			a.reply(changes, nil)
		}
		m.gives = true
		return
	}
	m.systemd.ready()
	if err != nil {
		m.log.Print(fpmconf.LevelError, fmt.Sprintf("reload failed, the old configuration goes on: %v", err))
	} else {
		m.conf, m.config = conf, config
		m.log.configure(conf)
		shown := controlChanges(changes)
		for _, line := range shown.lines() {
			m.log.Print(fpmconf.LevelNotice, "reload: "+line)
		}
		m.log.Print(fpmconf.LevelNotice, "ready to handle connections")
	}
	for _, a := range m.asked {
		a.reply(changes, err)
	}
	m.asked = nil
	m.beginReload(ctx)
}

// tryReload reads the configuration and has the server take it, or what it says of one pool.
func (m *fpmMaster) tryReload(ctx context.Context, pool string) (*fpmconf.Config, server.Config, server.Changes, error) {
	var said []string
	conf, err := m.o.load(m.file, func(level fpmconf.Level, text string) {
		m.log.Print(level, text)
		if level >= fpmconf.LevelError {
			said = append(said, text)
		}
	})
	if err != nil {
		return nil, server.Config{}, server.Changes{}, errors.New(strings.Join(said, "; "))
	}
	php, err := findFPMPHP(ctx, m.file, m.findPHP)
	if err != nil {
		return nil, server.Config{}, server.Changes{}, err
	}
	config, err := m.o.serverConfig(conf)
	if err != nil {
		return nil, server.Config{}, server.Changes{}, err
	}
	if pool != "" {
		changes, err := m.server.ReloadPool(ctx, config, samePHP(config, php), pool)
		return conf, config, changes, err
	}
	if m.binary.changed() {
		if err := m.binary.check(ctx); err != nil {
			return nil, server.Config{}, server.Changes{}, err
		}
		return conf, config, server.Changes{Binary: m.binary.path}, nil
	}
	changes, err := m.server.Reload(ctx, config, samePHP(config, php))
	return conf, config, changes, err
}
