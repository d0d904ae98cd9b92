package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/phpserve/phpserve/manager"
	"github.com/spf13/cobra"
)

// fpmOptions are the flags of php-fpm (fpm_main.c:OPTIONS).
type fpmOptions struct {
	config, prefix, pid string
	ini                 string
	noINI               bool
	define              []string
	test                int
	information         bool
	modules             bool
	version             bool
	extended            bool
	daemonize           bool
	nodaemonize         bool
	forceStderr         bool
	allowRoot           bool
	engine              string
	admin               string // not php-fpm's
}

// fpmCommand is how the command is called.
const fpmCommand = "phpserve fpm"

func newFPMCommand(stdout, stderr io.Writer, findPHP phpFinder) *cobra.Command {
	var o fpmOptions
	cmd := &cobra.Command{
		Use:   "fpm",
		Short: "take php-fpm's place behind a web server",
		Long: `Run the pools of a php-fpm configuration and answer nginx, Apache or Caddy over FastCGI, in the place of php-fpm.

The flags, the exit codes and the configuration files are php-fpm's own; a binary or link whose name begins with php-fpm is
this command. Without -y the configuration is the newest below /etc/php, else /etc/php-fpm.conf or
/usr/local/etc/php-fpm.conf.

SIGTERM, SIGINT and SIGQUIT let running requests finish for process_control_timeout (10s where it is not set); a second
signal ends them at once. SIGUSR1 opens the logs anew. SIGUSR2 or SIGHUP reads the configuration again: pools that changed
are replaced, and no request waits or is lost. A configuration that cannot work is reported, and the old one stays. When another
program is in the place of phpserve by then, the process becomes that (Linux).`,
		Example: `  phpserve fpm -t                                        say whether the configuration can work
  phpserve fpm -tt -y /etc/php/8.2/fpm/php-fpm.conf      and what it means
  phpserve fpm --nodaemonize --fpm-config /etc/php/8.2/fpm/php-fpm.conf`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runFPM(cmd.Context(), &o, stdout, stderr, findPHP)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.config, "fpm-config", "y", "", "`FILE` of the configuration")
	f.StringVarP(&o.prefix, "prefix", "p", "", "`DIR` that relative paths are in")
	f.StringVarP(&o.pid, "pid", "g", "", "`FILE` for the process id")
	f.CountVarP(&o.test, "test", "t", "say whether the configuration can work; twice, print it")
	f.StringVarP(&o.ini, "php-ini", "c", "", "`PATH` of php.ini, the file or its folder")
	f.BoolVarP(&o.noINI, "no-php-ini", "n", false, "read no php.ini")
	f.StringArrayVarP(&o.define, "define", "d", nil, "`NAME=VALUE` of a php.ini setting; repeatable")
	f.BoolVarP(&o.information, "info", "i", false, "print what phpinfo() says")
	f.BoolVarP(&o.modules, "modules", "m", false, "list the modules of PHP")
	f.BoolVarP(&o.version, "version", "v", false, "print the versions of PHP and of phpserve")
	f.BoolVarP(&o.extended, "extended", "e", false, "accepted for php-fpm's sake: information for debuggers")
	f.BoolVarP(&o.daemonize, "daemonize", "D", false, "go to the background")
	f.BoolVarP(&o.nodaemonize, "nodaemonize", "F", false, "stay in the foreground")
	f.BoolVarP(&o.forceStderr, "force-stderr", "O", false, "log to standard error even where it is no terminal")
	f.BoolVarP(&o.allowRoot, "allow-to-run-as-root", "R", false, "let PHP run as root")
	f.StringVar(&o.admin, "admin", "", "`ADDR` for health, metrics and dashboard: HOST:PORT, or PORT on localhost; not a flag of php-fpm")
	f.StringVar(&o.engine, "engine", manager.EngineAuto, "how workers are made, a `KIND`: auto, zygote or spawn")
	return cmd
}

// fpmPlaces are where configurations of php-fpm are; the first that exists counts, and of several the last by version.
var fpmPlaces = []string{"/etc/php/*/fpm/php-fpm.conf", "/etc/php-fpm.conf", "/usr/local/etc/php-fpm.conf"}

// configFile is the configuration to use.
func (o *fpmOptions) configFile() (string, error) {
	switch {
	case o.config != "":
		return o.config, nil
	case o.prefix != "":
		return filepath.Join(o.prefix, "etc/php-fpm.conf"), nil
	}
	for _, place := range fpmPlaces {
		found, err := filepath.Glob(place)
		if err != nil {
			panic("internal error: " + err.Error()) // the patterns are ours
		}
		if len(found) > 0 {
			return slices.MaxFunc(found, compareNumbered), nil
		}
	}
	return "", &configError{&hintError{errors.New("there is no php-fpm configuration in the usual places"), "name it with -y FILE"}}
}

// fpmVersion finds the PHP version in the path of a configuration, as Debian has it.
var fpmVersion = regexp.MustCompile(`/php/?(\d+\.\d+)/`)

// compareNumbered orders paths by the PHP version in them.
func compareNumbered(a, b string) int {
	number := func(path string) (major, minor int) {
		if m := fpmVersion.FindStringSubmatch(path); m != nil {
			_, _ = fmt.Sscanf(m[1], "%d.%d", &major, &minor) // the pattern admits nothing else
		}
		return major, minor
	}
	aMajor, aMinor := number(a)
	bMajor, bMinor := number(b)
	return (aMajor-bMajor)*1000 + aMinor - bMinor
}

// findFPMPHP finds the PHP that a configuration is for: by the version in its path, else the newest.
func findFPMPHP(ctx context.Context, file string, findPHP phpFinder) (*manager.PHP, error) {
	want := ""
	if m := fpmVersion.FindStringSubmatch(absolute(file)); m != nil {
		want = m[1]
	}
	php, _, err := findPHP(ctx, want, filepath.Dir(file))
	if errors.Is(err, manager.ErrNoPHP) {
		err = fmt.Errorf("%w; phpserve needs it in php-fpm's place (Debian, Ubuntu: apt-get install php%s-cgi)", err, want)
	}
	return php, err
}

// askPHP answers -v, -m and -i.
func (o *fpmOptions) askPHP(ctx context.Context, file string, stdout io.Writer, findPHP phpFinder) error {
	php, err := findFPMPHP(ctx, file, findPHP)
	if err != nil {
		return err
	}
	args := []string{"-q", "-i"}
	switch {
	case o.version:
		args = []string{"-v"}
	case o.modules:
		args = []string{"-m"}
	}
	for _, setting := range o.iniDefines() {
		args = append([]string{"-d", setting}, args...)
	}
	var pool manager.PoolConfig
	o.setINI(&pool, file)
	if err := pool.FindINI(ctx, php); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, php.Path, args...)
	cmd.Env = pool.PHPEnvironment()
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot ask %s: %v", php.Path, err)
	}
	text := string(out)
	if o.version {
		first, rest, _ := strings.Cut(strings.Replace(text, "(cgi-fcgi)", "(fpm-fcgi)", 1), "\n")
		text = first + " by " + versionLine() + rest
	}
	_, err = io.WriteString(stdout, text)
	return err
}
