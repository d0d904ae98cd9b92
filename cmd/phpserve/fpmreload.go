package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/server"
)

// reloadAsk is somebody who wants a reload, of one pool or, without its name, of all that changed.
type reloadAsk struct {
	pool  string
	reply func(reloadResult, error)
}

// reloadResult is what a reload did.
type reloadResult struct {
	server.Changes
	Upgraded string // the version of the program that has replaced this one; empty: none has
}

// reload begins to read the configuration again; signals are obeyed meanwhile. What asks for a reload while one is under way gets
// the next: the one under way may have read the old file.
func (m *fpmMaster) reload(ctx context.Context, ask reloadAsk) {
	m.again = append(m.again, ask)
	if len(m.asked) == 0 {
		m.nextReload(ctx)
	}
}

// nextReload begins the reload that the first wants who asked; it is for others that want the same, too.
func (m *fpmMaster) nextReload(ctx context.Context) {
	m.asked = nil
	if len(m.again) == 0 {
		return
	}
	pool := m.again[0].pool
	var others []reloadAsk
	for _, ask := range m.again {
		if ask.pool == pool {
			m.asked = append(m.asked, ask)
		} else {
			others = append(others, ask)
		}
	}
	m.again = others
	m.log.Print(fpmconf.LevelNotice, "Reloading in progress ...")
	m.systemd.reloading()
	m.reloads.Go(func() {
		if pool == "" && m.binary.replaced() {
			next, sockets, err := m.upgrade(ctx)
			if !m.between(context.Background(), func() { m.endUpgrade(ctx, next, sockets, err) }) && next != nil {
				next.cut()
				next.wait()
			}
			return
		}
		sockets := m.server.Listening()
		conf, config, changes, err := m.tryReload(ctx, pool)
		m.between(context.Background(), func() {
			m.tellReload(sockets, changes, err)
			m.endReload(ctx, pool, conf, config, changes, err)
		})
	})
}

// toldError is an error that is in the log already, line by line.
type toldError struct{ text string }

func (e *toldError) Error() string { return e.text }

// tellReload says what came of a reload, to those who know php-fpm's log too: there the process executes itself, which is said behind
// "reloading:", takes over the sockets that were open before, and starts. One that cannot work has changed nothing.
func (m *fpmMaster) tellReload(sockets []server.Listening, changes server.Changes, err error) {
	if _, told := errors.AsType[*toldError](err); told {
		m.log.Print(fpmconf.LevelError, "reload failed, the old configuration goes on")
		return
	}
	if err != nil {
		m.log.Print(fpmconf.LevelError, fmt.Sprintf("reload failed, the old configuration goes on: %v", err))
		return
	}
	shown := changesOf(reloadResult{Changes: changes})
	for _, line := range shown.lines() {
		m.log.Print(fpmconf.LevelNotice, "reloading: "+line)
	}
	for _, s := range sockets {
		m.log.Print(fpmconf.LevelNotice, fmt.Sprintf("using inherited socket fd=%d, %q", s.FD, s.Listen))
	}
	m.tellServing()
}

// endReload takes over what a reload has changed.
func (m *fpmMaster) endReload(ctx context.Context, pool string, conf *fpmconf.Config, config server.Config, changes server.Changes, err error) {
	m.systemd.ready()
	switch {
	case err != nil:
	case pool == "":
		m.conf, m.config = conf, config
		m.log.configure(conf)
	default:
		m.log.configurePool(conf, pool)
	}
	m.answerReload(ctx, reloadResult{Changes: changes}, err)
}

// answerReload tells who waits for a reload what came of it, and begins the next.
func (m *fpmMaster) answerReload(ctx context.Context, result reloadResult, err error) {
	for _, ask := range m.asked {
		ask.reply(result, err)
	}
	m.nextReload(ctx)
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
		return nil, server.Config{}, server.Changes{}, &toldError{strings.Join(said, "; ")}
	}
	php, err := findFPMPHP(ctx, m.file, m.findPHP)
	if err != nil {
		return nil, server.Config{}, server.Changes{}, err
	}
	config, err := m.o.serverConfig(conf)
	if err != nil {
		return nil, server.Config{}, server.Changes{}, err
	}
	var changes server.Changes
	if pool == "" {
		changes, err = m.server.Reload(ctx, config, samePHP(config, php))
	} else {
		changes, err = m.server.ReloadPool(ctx, config, samePHP(config, php), pool)
	}
	return conf, config, changes, err
}
