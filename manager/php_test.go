//go:build unix

package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writeProgram makes a shell script that can be run at once: a process that another test starts meanwhile would inherit the
// open file, and the kernel runs no file that somebody may write (ETXTBSY).
func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// fakePHP makes a php-cgi that only says a version.
func fakePHP(t *testing.T, path, version, sapi string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho 'PHP %s (%s) (built: today)'\n", version, sapi)
	writeProgram(t, path, script)
	return path
}

// wrapPHP makes a php-cgi that starts the real one with more arguments before its own.
func wrapPHP(t *testing.T, args string) *PHP {
	t.Helper()
	path := filepath.Join(t.TempDir(), "php-cgi")
	writeProgram(t, path, "#!/bin/sh\nexec "+realPHP(t).Path+" "+args+" \"$@\"\n")
	php, _, err := FindPHP(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	return php
}

func TestFindPHPTakesTheRightBinary(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	newest := fakePHP(t, filepath.Join(bin, "php-cgi99.10"), "99.10.1", "cgi-fcgi")
	older := fakePHP(t, filepath.Join(bin, "php-cgi99.9"), "99.9.30", "cgi-fcgi")
	fakePHP(t, filepath.Join(bin, "php-cgi.bak"), "100.0.0", "cgi-fcgi")
	fakePHP(t, filepath.Join(bin, "php-cgi.default"), "100.0.0", "cgi-fcgi")
	fakePHP(t, filepath.Join(bin, "php100-cgi"), "100.0.0", "cli") // says that it is none
	cli := fakePHP(t, filepath.Join(dir, "other/php"), "99.11.0", "cli")
	mute := filepath.Join(dir, "other/mute")
	writeProgram(t, mute, "#!/bin/sh\necho 'libexample.so.5: cannot open shared object file' >&2\nexit 127\n")
	if err := os.Symlink(newest, filepath.Join(bin, "php-cgi")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))

	site := filepath.Join(dir, "site/public/deep")
	pinned := filepath.Join(dir, "pinned/public")
	for _, d := range []string{site, pinned} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "pinned/.php-version")
	if err := os.WriteFile(file, []byte("php-99.9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	trapped := filepath.Join(dir, "trapped/public")
	secret := filepath.Join(dir, "secret/public")
	for _, d := range []string{trapped, secret} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "trapped/.php-version"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret/.php-version"), []byte("root:$6$hash\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rule, want, dir string
		path, why       string
		err             string
	}{
		{rule: "the newest by number, not by spelling", dir: site, path: newest, why: "the newest found"},
		{rule: "a .php-version above the site decides", dir: pinned, path: older, why: "by " + file},
		{rule: "a pipe is no .php-version", dir: trapped, path: newest, why: "the newest found"},
		{rule: "a file that is none is not repeated", dir: secret, err: "secret/.php-version: it must hold a version such as 8.2"},
		{rule: "what is asked for beats .php-version", want: "99.10", dir: pinned, path: newest, why: "as asked for"},
		{rule: "a whole version", want: "99.9.30", dir: site, path: older, why: "as asked for"},
		{rule: "a major version takes its newest", want: "99", dir: site, path: newest, why: "as asked for"},
		{rule: "99.1 is not the beginning of 99.10", want: "99.1", dir: site, err: "no php-cgi found of version 99.1 (as asked for); found: "},
		{rule: "a path", want: older, dir: site, path: older, why: "as asked for"},
		{rule: "a path to nothing", want: dir + "/none", dir: site, err: `cannot use PHP "` + dir + `/none": `},
		{rule: "a path to another SAPI", want: cli, dir: site, err: "it is the cli binary, phpserve needs php-cgi"},
		{rule: "a path to what cannot run", want: mute, dir: site, err: "libexample.so.5: cannot open shared object file"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			php, why, err := FindPHP(t.Context(), c.want, c.dir)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, _ := filepath.EvalSymlinks(php.Path) // exists: it was run
			if got != c.path || why != c.why {
				t.Errorf("got %s (%s), want %s (%s)", got, why, c.path, c.why)
			}
		})
	}
	if _, _, err := FindPHP(t.Context(), "98.7", site); !errors.Is(err, ErrNoPHP) {
		t.Errorf("a version that is not there: %v", err)
	}
}

func TestVersionsCompareByNumber(t *testing.T) {
	ascending := []string{"5.6.40", "7.4.33", "8.2.0", "8.2.9", "8.2.10", "8.10.0", "10.0.0"}
	for i, a := range ascending {
		for j, b := range ascending {
			got := compareVersions(a, b)
			if got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("compare %s with %s: %d", a, b, got)
			}
		}
	}
}

func TestProbeTellsWhatPHPCanDo(t *testing.T) {
	t.Parallel()
	php := realPHP(t)
	if err := php.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	if why := php.zygoteObstacle(&PoolConfig{}); why != "" || !php.OPcache() || php.INI() == "" {
		t.Errorf("obstacle %q, opcache %v, ini %q: these tests need php-cgi with pcntl, posix and opcache", why, php.OPcache(), php.INI())
	}
	bare := wrapPHP(t, "-n")
	if err := bare.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	if bare.OPcache() || bare.INI() != "" {
		t.Errorf("without ini files: opcache %v, ini %q", bare.OPcache(), bare.INI())
	}
	classless := wrapPHP(t, "-d disable_classes=SplFileObject")
	if err := classless.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	if why := classless.zygoteObstacle(&PoolConfig{}); why != "SplFileObject is in disable_classes" {
		t.Errorf("obstacle %q", why)
	}
	forbidden := wrapPHP(t, "-d disable_functions=exec,pcntl_fork")
	if err := forbidden.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	if why := forbidden.zygoteObstacle(&PoolConfig{}); why != "pcntl_fork is in disable_functions" {
		t.Errorf("obstacle %q", why)
	}
}

func TestProbeReadsTheIniFilesOfTheWorkers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.ini"), []byte("disable_functions=pcntl_fork\nopen_basedir=/srv\nauto_prepend_file=none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PHP_INI_SCAN_DIR", ":"+dir)
	php := realPHP(t)
	if err := php.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	if why := php.zygoteObstacle(&PoolConfig{}); why != "pcntl_fork is in disable_functions" {
		t.Errorf("obstacle %q", why)
	}
	able := wrapPHP(t, "")
	if err := able.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	forbidding := &PoolConfig{PHPAdminValue: []string{"disable_functions=exec, pcntl_waitpid"}}
	if why := able.zygoteObstacle(forbidding); why != "pcntl_waitpid is in disable_functions" {
		t.Errorf("obstacle of a pool that forbids: %q", why)
	}
	c := DefaultPoolConfig(1)
	if got := php.iniAfter(&c, "open_basedir"); got != "/srv" {
		t.Errorf("open_basedir is %q", got)
	}
	c.PHPValue = []string{"open_basedir=/pool"}
	if got := php.iniAfter(&c, "open_basedir"); got != "/pool" {
		t.Errorf("the pool's open_basedir is %q", got)
	}
}

func TestProbeOfABrokenPHPSaysWhy(t *testing.T) {
	t.Parallel()
	php := wrapPHP(t, "")
	writeProgram(t, php.Path, "#!/bin/sh\necho 'PHP Fatal error: no memory for example'\nexit 1\n")
	if err := php.probe(t.Context(), &PoolConfig{}, nil); err == nil || !strings.Contains(err.Error(), "cannot run a script with PHP") || !strings.Contains(err.Error(), "no memory for example") {
		t.Errorf("got %v", err)
	}
}

func TestEngineIsChosenByWhatPHPCanDo(t *testing.T) {
	t.Parallel()
	able, unable := wrapPHP(t, ""), wrapPHP(t, "-d disable_functions=pcntl_fork")
	for _, p := range []*PHP{able, unable} {
		if err := p.probe(t.Context(), &PoolConfig{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		engine string
		php    *PHP
		kind   string
		why    string
	}{
		{EngineAuto, able, EngineZygote, "share one opcache"},
		{EngineZygote, able, EngineZygote, "share one opcache"},
		{EngineSpawn, able, EngineSpawn, "as asked for"},
		{EngineAuto, unable, EngineSpawn, "pcntl_fork is in disable_functions; workers do not share an opcache"},
		{EngineSpawn, unable, EngineSpawn, "as asked for"},
	} {
		kind, why, err := chooseEngine(&PoolConfig{Name: "www", Engine: c.engine}, c.php)
		if err != nil || kind != c.kind || !strings.Contains(why, c.why) {
			t.Errorf("%s: got %s (%s), %v; want %s (%s)", c.engine, kind, why, err, c.kind, c.why)
		}
	}
	_, _, err := chooseEngine(&PoolConfig{Name: "www", Engine: EngineZygote}, unable)
	if err == nil || !strings.Contains(err.Error(), "[pool www] cannot use the zygote engine: pcntl_fork is in disable_functions") {
		t.Errorf("got %v", err)
	}
}
