package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/accesslog"
)

// errFPMConfig says that a configuration cannot work, which php-fpm's own messages have told the operator already.
var errFPMConfig = errors.New("FPM initialization failed")

// saidError is an error that the operator has been told of.
type saidError struct {
	err  error
	code int
}

func (e *saidError) Error() string { return e.err.Error() }
func (e *saidError) Unwrap() error { return e.err }

// fpmMessages prints messages as php-fpm does before its log is open.
type fpmMessages struct{ out io.Writer }

func (m fpmMessages) line(level fpmconf.Level, text string) {
	if level == fpmconf.LevelPlain {
		fmt.Fprintln(m.out, text)
		return
	}
	fmt.Fprintf(m.out, "[%s] %s: %s\n", time.Now().Format("02-Jan-2006 15:04:05"), level, text)
}

// load reads the configuration and says what php-fpm says about it.
func (o *fpmOptions) load(file string, message func(fpmconf.Level, string)) (*fpmconf.Config, error) {
	defines := map[string]string{}
	for _, kv := range o.iniDefines() {
		name, value, _ := strings.Cut(kv, "=")
		defines[name] = value
	}
	conf, err := fpmconf.Load(file, fpmconf.Options{
		Prefix: o.prefix, DefaultPrefix: "/usr", Localstatedir: "/var", PID: o.pid,
		Root: os.Geteuid() == 0, AllowRoot: o.allowRoot, Test: o.test > 0, Message: message,
		LookupEnv: func(name string) (string, bool) {
			if value, ok := defines[name]; ok {
				return value, true
			}
			return os.LookupEnv(name)
		},
		CheckAccessFormat: checkAccessFormat,
	})
	if err != nil {
		return nil, &saidError{errFPMConfig, exitConfig}
	}
	return conf, nil
}

// checkAccessFormat is [accesslog.CheckFormat] as fpmconf asks it: what php-fpm warns of, it refuses.
func checkAccessFormat(format string) (warning string, err error) {
	if err := accesslog.CheckFormat(format); err != nil {
		return err.Error(), err
	}
	return "", nil
}

// runFPM is "phpserve fpm".
func runFPM(ctx context.Context, o *fpmOptions, stdout, stderr io.Writer, findPHP phpFinder) error {
	file, err := o.configFile()
	if err != nil {
		return err
	}
	if o.version || o.modules || o.information {
		return o.askPHP(ctx, file, stdout, findPHP)
	}
	early := fpmMessages{out: stderr}
	if o.test > 0 {
		conf, err := o.load(file, early.line)
		if err != nil {
			early.line(fpmconf.LevelError, errFPMConfig.Error())
			return err
		}
		if o.test > 1 {
			for _, line := range conf.Dump() {
				early.line(fpmconf.LevelNotice, line)
			}
		}
		if err := o.testPHP(ctx, conf, file, early, findPHP); err != nil {
			early.line(fpmconf.LevelError, err.Error())
			early.line(fpmconf.LevelError, errFPMConfig.Error())
			return &saidError{err, exitConfig}
		}
		early.line(fpmconf.LevelNotice, "configuration file "+conf.File+" test is successful\n")
		return nil
	}
	return serveFPM(ctx, o, file, stdout, stderr, findPHP)
}

// testPHP says whether there is a PHP that can run the pools, and what it says at its start.
func (o *fpmOptions) testPHP(ctx context.Context, conf *fpmconf.Config, file string, early fpmMessages, findPHP phpFinder) error {
	php, err := findFPMPHP(ctx, file, findPHP)
	if err != nil {
		return err
	}
	config, err := o.serverConfig(conf)
	if err != nil {
		return err
	}
	// Many pools are alike in what Check asks PHP, which takes some hundredths of a second.
	type asked struct {
		php    *manager.PHP
		engine string
	}
	alike, of := map[string]*asked{}, make([]*asked, len(config.Pools))
	errs := make([]error, len(config.Pools))
	room := make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, pool := range config.Pools {
		key := fmt.Sprint(pool.User, pool.Group, pool.Chroot != "", pool.Dumpable != nil && *pool.Dumpable, pool.PHPValue, pool.PHPAdminValue)
		if of[i] = alike[key]; of[i] != nil {
			errs[i] = pool.Validate()
			continue
		}
		own := *php
		of[i] = &asked{php: &own}
		alike[key] = of[i]
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			of[i].engine, _, errs[i] = pool.Check(ctx, &own)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	said := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(alike)) {
		for _, line := range alike[key].php.Startup() {
			if !said[line] {
				early.line(fpmconf.LevelNotice, "PHP message: "+line)
			}
			said[line] = true
		}
	}
	for i, pool := range config.Pools {
		warnings, err := pool.Warnings(of[i].php, of[i].engine)
		if err != nil {
			return err
		}
		for _, w := range warnings {
			early.line(fpmconf.LevelWarning, linelog.Visible("[pool "+pool.Name+"] "+w.Why))
		}
	}
	return nil
}
