package manager

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// phpFacts is what runtime/probe.php found out.
type phpFacts map[string]string

// probe asks php-cgi what it can do with the ini files of a pool, unless it has said so already.
func (p *PHP) probe(ctx context.Context, c *PoolConfig, owner *credential) error {
	q := c.question(owner)
	answer, err := p.probes.ask(ctx, p, q)
	if err != nil {
		return err
	}
	p.facts, p.startup = answer.facts, answer.startup
	return nil
}

// probeQuestion is what the answer of runtime/probe.php depends on, but for the files that PHP reads.
type probeQuestion struct {
	args, env []string
	user      *credential
	keep      bool // other pools may ask the same
}

// question is what a pool asks.
func (c *PoolConfig) question(owner *credential) probeQuestion {
	q := probeQuestion{args: append([]string{"-q"}, c.probeSettings()...), user: owner, keep: !c.fromClient()} // clients could ask anything
	q.env = append(bareEnv(), c.iniEnv("")...)                                                                 // as the workers get them
	if owner != nil {
		q.env = append(q.env, "PHPSERVE_INI_FILES="+strings.Join(c.iniFiles(), "\n"))
	}
	return q
}

// run runs runtime/probe.php.
func (q *probeQuestion) run(ctx context.Context, p *PHP) (*probeAnswer, error) {
	cmd := exec.CommandContext(ctx, p.Path, q.args...)
	cmd.Stdin = strings.NewReader(embedded("probe.php")) // open_basedir does not hold for standard input
	cmd.Env = q.env
	cmd.Dir = string(filepath.Separator)
	cmd.SysProcAttr = sysProcAttr(q.user, 0)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var err error
	outsideOrphans(func() { err = runPatiently(cmd, askTimeout) })
	out := stdout.String()
	facts := phpFacts{}
	for line := range strings.Lines(out) {
		kv, ok := strings.CutPrefix(strings.TrimSpace(line), "phpserve:")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(kv, "=")
		text, err := hex.DecodeString(value)
		if err != nil {
			return nil, fmt.Errorf("cannot read what PHP %q says of itself: %v", p.Path, err)
		}
		facts[name] = string(text)
	}
	if _, ok := facts["ini"]; !ok {
		return nil, fmt.Errorf("cannot run a script with PHP %q: %v: %s", p.Path, err, firstLine(out+"\n"+stderr.String()))
	}
	answer := &probeAnswer{facts: facts}
	for line := range strings.Lines(stderr.String()) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			answer.startup = append(answer.startup, line)
		}
	}
	return answer, nil
}

// probeOff is what an operator may have set that could keep runtime/probe.php from running or from being heard.
var probeOff = []string{
	"disable_functions=", "disable_classes=", "open_basedir=", "auto_prepend_file=", "auto_append_file=", "output_handler=", "output_buffering=0",
	"zlib.output_compression=0", "session.auto_start=0", "xdebug.start_with_request=no", "xdebug.start_upon_error=no",
}

// probeSettings are the arguments that turn those off, and that tell the script what was set; and what of the pool's settings decides what
// PHP can do. What goes wrong at the start is to be logged, to standard error, and not shown.
func (c *PoolConfig) probeSettings() (args []string) {
	for _, kv := range slices.Concat(c.values(), c.adminValues()) {
		if name, value, _ := strings.Cut(kv, "="); slices.Contains(extensionSettings, name) {
			if quoted, err := quoteINI(value); err == nil { // else the ini file says so
				args = append(args, "-d", name+"="+quoted)
			}
		}
	}
	for _, name := range []string{"disable_functions", "disable_classes", "open_basedir", "auto_prepend_file", "auto_append_file", debuggerStart} {
		args = append(args, "-d", "phpserve["+name+"]=${"+name+"}")
	}
	for _, kv := range append(probeOff, "display_startup_errors=0") {
		args = append(args, "-d", kv)
	}
	return args
}

// Startup is what PHP says at each start, before it runs a script: of extensions that it cannot load, for example.
func (p *PHP) Startup() []string { return p.startup }

// iniFiles are the ini files that PHP is to read in place of its own.
func (c *PoolConfig) iniFiles() (files []string) {
	if c.NoPHPINI {
		return nil
	}
	if c.PHPINI != "" {
		file := c.PHPINI
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			file = filepath.Join(file, "php.ini")
		}
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	for _, dir := range filepath.SplitList(c.INIScanDir) {
		more, err := filepath.Glob(filepath.Join(dir, "*.ini"))
		if err == nil { // else it is no folder that could be meant
			files = append(files, more...)
		}
	}
	return files
}

// hasOPcache says whether opcache is loaded.
func (p *PHP) hasOPcache() bool { return p.facts["opcache"] != "" }

// OPcache says whether opcache is loaded and on.
func (p *PHP) OPcache() bool { return p.hasOPcache() && INIBool(p.facts["opcache.enable"]) }

// INI is the php.ini that was read; empty if none.
func (p *PHP) INI() string { return p.facts["ini"] }

// iniAfter is the value that a setting has once the pool's own values are applied.
func (p *PHP) iniAfter(c *PoolConfig, name string) string {
	value := p.facts[name]
	for _, kv := range append(c.values(), c.adminValues()...) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}
