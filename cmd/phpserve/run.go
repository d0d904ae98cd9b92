package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// portTries is how many ports after the default one are tried when it is taken and none was asked for.
const portTries = 100

func newRunCommand(stdout, stderr io.Writer, findPHP phpFinder) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [DIR]",
		Short: "serve a PHP site",
		Long: `Serve a PHP site over HTTP or HTTPS. DIR is its document root, the folder that holds index.php.

Without DIR the document root is what composer.json names in extra.public-dir, else the first of public, web, docroot
and htdocs that exists, else the first of www, html, httpdocs and their like with an index file, else this folder. URLs that name no file go to the front controller, by default the index.php
of the document root.

Settings come from phpserve.yaml (or .yml, .toml, .json) in this folder or from --config, then from PHPSERVE_* variables,
then from flags; each is stronger than the one before.

SIGTERM, SIGQUIT or Ctrl-C lets running requests finish; another one, half a second later or more, ends them at once.
SIGHUP or SIGUSR2 reads the configuration again, SIGUSR1 opens the access log anew. When the terminal that phpserve was
started in closes, it stops.`,
		Example: `  phpserve run                                    guess the document root, http://localhost:8000
  phpserve run ./public --open                    and show the site in the browser
  phpserve run ./public --listen 0.0.0.0:8080     let other machines in
  phpserve run --php 8.3 --php-value memory_limit=512M --env APP_ENV=dev
  phpserve run /srv/site/public --pm static --workers 16 --access-log /var/log/site.log
  phpserve run --config /etc/phpserve.yaml`,
		Args: oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runServer(cmd.Context(), cmd.Flags(), args, stdout, stderr, findPHP)
		},
	}
	addFlags(cmd.Flags())
	cmd.Flags().Bool("open", false, "show the site in the browser")
	return cmd
}

// addFlags adds the flags that "run" and "check" share.
func addFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringArray("listen", nil, "`ADDR` to listen on: HOST:PORT, https://HOST:PORT, or PORT on every address; repeatable (default localhost:8000, or the next free port)")
	f.String("php", "", "php-cgi to use, by `PATH|VERSION` such as 8.2 (default: .php-version, else the newest found)")
	f.Int("workers", 0, "`NUMBER` of PHP workers at most, pm.max_children (default: four per processor, at least 8)")
	f.String("pm", "", "process manager, a `MODE`: static, dynamic or ondemand (default dynamic)")
	f.String("engine", "", "how workers are made, a `KIND`: auto, zygote or spawn (default auto)")
	f.String("user", "", "`USER` whom PHP runs as when phpserve is started by root")
	f.String("group", "", "`GROUP` of the PHP workers (default: the user's)")
	f.Bool("allow-root", false, "let PHP run as root")
	f.String("front-controller", "", "script for URLs that name no file: a `FILE` of the document root, auto or off (default auto)")
	f.StringArray("env", nil, "`NAME=VALUE` for the environment of PHP, or NAME to pass on phpserve's own; repeatable")
	f.StringArray("php-value", nil, "`NAME=VALUE` of a php.ini setting; repeatable")
	f.String("access-log", "", "`FILE` of the access log, - for standard output, off for none (default -)")
	f.String("log-format", "", "`FORMAT` of the log: text or json (default text)")
	f.String("log-level", "", "least `LEVEL` that is logged: debug, info, warn or error (default info)")
	f.String("admin", "", "`ADDR` for health, metrics and dashboard: HOST:PORT, or PORT on localhost (default: none)")
	f.String("fpm-config", "", "`FILE` of php-fpm whose pools run PHP, in the place of the keys about the pool")
	f.String("config", "", "configuration `FILE` (default phpserve.yaml, .yml, .toml or .json in this folder)")
}

// runServer serves until a signal ends it.
func runServer(ctx context.Context, flags *pflag.FlagSet, args []string, stdout, stderr io.Writer, findPHP phpFinder) error {
	asked := newRunSignals()
	defer asked.close()
	signals := asked.stop

	goOnWithoutReaders()
	buryForeign()
	settings, l, err := load(flags, os.Environ())
	if err != nil {
		return err
	}
	lines := linelog.New(linelog.KeepOpen(stderr), linelog.Config{Lost: func(n uint64) []byte { return lostRecord(&settings, n) }})
	defer lines.Close() // there is nowhere to tell of a failure
	logger, err := newLogger(&settings, lines)
	if err != nil {
		return &configError{l.locate(err)}
	}
	dir := ""
	if len(args) > 0 {
		dir = args[0]
	}
	p, err := makePlan(ctx, settings, l, dir, findPHP)
	if err != nil {
		return err
	}
	p.warn(logger)
	again := &runReloader{old: p, log: [2]string{settings.LogLevel, settings.LogFormat}, flags: flags, dir: dir, findPHP: findPHP}
	again.output.Store(&p.output)
	counting, tellRepeats := countRepeats(logger.Handler())
	defer tellRepeats()
	logger = filterOutput(slog.New(counting), &again.output, lines.AwaitRoom)
	note := ""
	if !l.isSet("listen") {
		note = nextFreePort(&p.config)
	}
	s, err := server.New(p.config, p.phps(), versionText(), logger, stdout)
	if err != nil {
		return err
	}
	if err := startUnlessSignalled(ctx, s, signals); err != nil {
		return err
	}
	show(stdout, p.screen(s, note))
	if open, _ := flags.GetBool("open"); open {
		if err := openBrowser(s.URLs()[0]); err != nil {
			logger.Warn("cannot open the browser", "error", err)
		}
	}
	favourFrontEnd()
	again.server, again.logger = s, logger
	control := openControlOr(logger, controlled{
		server: s, reopen: func(context.Context) error { return s.Reopen() }, stop: func() { signals <- os.Interrupt },
		reload: again.reload, serves: s.URLs(),
	})
	defer control.close()
	err = untilStopped(ctx, again, p, asked)
	stop(s, p, signals, logger, true)
	return err
}

// runReloader reads the configuration of phpserve run again.
type runReloader struct {
	server  *server.Server
	old     *plan     // as phpserve was started
	log     [2]string // log.level and log.format by then
	flags   *pflag.FlagSet
	dir     string
	findPHP phpFinder
	output  atomic.Pointer[map[string]workerOutput] // what is logged of each pool's workers
	logger  *slog.Logger
}

// reload has the pools, or the one that is named, be as the configuration says, and tells the log.
func (r *runReloader) reload(ctx context.Context, pool string) (reloadResult, error) {
	changes, err := r.replace(ctx, pool)
	if err != nil {
		r.logger.Error("reload failed, the old configuration goes on", "error", err)
	} else {
		r.logger.Info("reloaded", "replaced", changes.Replaced, "kept", changes.Kept)
	}
	return reloadResult{Changes: changes}, err
}

func (r *runReloader) replace(ctx context.Context, pool string) (changes server.Changes, err error) {
	settings, l, err := load(r.flags, os.Environ())
	if err != nil {
		return changes, err
	}
	p, err := makePlan(ctx, settings, l, r.dir, r.findPHP)
	if err != nil {
		return changes, err
	}
	for i, key := range []string{"log.level", "log.format"} {
		if now := [2]string{settings.LogLevel, settings.LogFormat}; now[i] != r.log[i] {
			return changes, fmt.Errorf("a change of %s needs a restart; a reload changes pools and their FastCGI addresses", key)
		}
	}
	p.warn(r.logger)
	if !l.isSet("listen") {
		p.config.Listen = r.old.config.Listen // the port that was free
	}
	output := p.output
	if pool == "" {
		changes, err = r.server.Reload(ctx, p.config, p.phps())
	} else {
		changes, err = r.server.ReloadPool(ctx, p.config, p.phps(), pool)
		output = maps.Clone(*r.output.Load())
		output[pool] = p.output[pool]
	}
	if err == nil {
		r.output.Store(&output)
	}
	return changes, err
}

// startUnlessSignalled starts the server; a signal meanwhile ends the attempt.
func startUnlessSignalled(ctx context.Context, s *server.Server, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	started := make(chan error, 1)
	go func() { started <- s.Start(ctx) }()
	select {
	case err := <-started:
		return err
	case sig := <-signals:
		cancel(fmt.Errorf("ended by signal: %v", sig))
		if err := <-started; err != nil {
			return err
		}
		s.Stop(ctx)
		manager.EndDescendants()
		return context.Cause(ctx)
	}
}

// nextFreePort moves the default address to the next port that nobody listens on, and says so.
func nextFreePort(c *server.Config) (note string) {
	host, port, err := net.SplitHostPort(c.Listen[0])
	if err != nil {
		return ""
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	for n := first; n < first+portTries; n++ {
		addr := net.JoinHostPort(host, strconv.Itoa(n))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			c.Listen[0] = addr
			if n != first {
				note = fmt.Sprintf("port %d is taken, so this is %d", first, n)
			}
			return note
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return ""
		}
	}
	return ""
}

// durationsInSeconds writes durations as the access log does; slog's JSON has nanoseconds.
func durationsInSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}

// lostRecord says in the form of the log that lines of it are missing.
func lostRecord(s *settings, n uint64) []byte {
	var b bytes.Buffer
	logger, err := newLogger(s, &b)
	if err != nil {
		panic("internal error: " + err.Error()) // the log exists
	}
	logger.Error("lines of this log were lost, because they could not be written in time", "lines", n)
	return b.Bytes()
}

// goOnWithoutReaders has phpserve go on when nobody reads its standard output or error any more. Without it the Go runtime ends the
// process, signal(2) SIGPIPE, as it should a command. The signal is caught and not ignored, because programs would inherit that.
func goOnWithoutReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// newLogger makes the log that phpserve itself writes to.
func newLogger(s *settings, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("log.level must be one of debug, info, warn, error, not %q", s.LogLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		options.ReplaceAttr = durationsInSeconds
		return slog.New(slog.NewJSONHandler(linelog.VisibleJSON{To: w}, options)), nil
	}
	return nil, fmt.Errorf("log.format must be one of text, json, not %q", s.LogFormat)
}
