package manager

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testLog is a log and what it has written so far.
func testLog() (*slog.Logger, func() string) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), b.String
}

// realPHP is the php-cgi of the machine; without one the tests fail.
func realPHP(t *testing.T) *PHP {
	t.Helper()
	php, _, err := FindPHP(t.Context(), "", t.TempDir())
	if err != nil {
		t.Fatalf("these tests need php-cgi (apt-get install php-cgi): %v", err)
	}
	return php
}

// runPHP runs code with an ini file in PHP_INI_SCAN_DIR and returns what it prints.
func runPHP(t *testing.T, php *PHP, ini, code string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.ini"), []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(php.Path, "-q")
	cmd.Stdin = strings.NewReader(code)
	cmd.Env = append(bareEnv(), "PHP_INI_SCAN_DIR=:"+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestQuotedIniValuesComeBackUnchanged(t *testing.T) {
	t.Parallel()
	values := []string{
		"", " ", "plain", " leading and trailing ", "128M", "on", "Off", "null", "none", "yes", "1", "E_ALL & ~E_NOTICE", "a=b", "a;b", "#c",
		"[section]", `"double"`, `back\slash`, `ends with \`, `\\`, `$PATH ${PATH} $`, "a|b&c^d~e!f(g)", "it's", "'", "''", `it's "both"`, `it's $HOME and \`, "line\nbreak", "\r\n", "a\n[PATH=/]\nb = 'c'", `';`, `'"'`, "'\\''\n", "tab\there",
		"ünïcödé ✓", "/srv/www/it's/site:/tmp", "{}", "`id`", "%s %n", "<?php echo 1;", "\x01\x7f\xff", strings.Repeat("long ", 2000), `"`, `""`, "a'b\"c'd",
	}
	var ini, code strings.Builder
	code.WriteString("<?php ")
	for i, v := range values {
		quoted, err := quoteINI(v)
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		fmt.Fprintf(&ini, "phpserve.test%d = %s\n", i, quoted)
		fmt.Fprintf(&code, "echo %d, '=', bin2hex(get_cfg_var('phpserve.test%d')), \"\\n\";", i, i)
	}
	out := runPHP(t, realPHP(t), ini.String(), code.String())
	for i, v := range values {
		if !strings.Contains(out, fmt.Sprintf("%d=%s\n", i, hex.EncodeToString([]byte(v)))) {
			t.Errorf("%.60q did not come back", v)
		}
	}
}

func TestIniValuesThatCannotBeQuotedAreRefused(t *testing.T) {
	for kv, want := range map[string]string{
		"no value":                      "must be NAME=VALUE",
		"=1":                            `"" is not the name of a php.ini setting`,
		"a b=1":                         `"a b" is not the name of a php.ini setting`,
		"x]\nauto_prepend_file=/evil=1": "is not the name of a php.ini setting",
		"[PATH=/]=1":                    "is not the name of a php.ini setting",
		"a=\x00":                        "must not contain a NUL",
	} {
		if err := CheckINI(kv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", kv, err, want)
		}
	}
	for _, kv := range []string{"memory_limit=128M", "opcache.enable=", "xdebug.mode=a=b", "date.timezone=Europe/Berlin"} {
		if err := CheckINI(kv); err != nil {
			t.Errorf("%q: %v", kv, err)
		}
	}
}

func TestIniFileOfAPoolIsReadAsWritten(t *testing.T) {
	t.Parallel()
	php := realPHP(t)
	c := DefaultPoolConfig(1)
	own := filepath.Join(t.TempDir(), "own.php")
	if err := os.WriteFile(own, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.PHPValue = []string{"precision=9", "user_agent=it's me; ok", "auto_prepend_file=" + own, "open_basedir=/", "fastcgi.logging=0", "cgi.fix_pathinfo=0"}
	c.PHPAdminValue = []string{"memory_limit=77M"}
	c.AdminRoots = []string{"/srv"}
	if err := php.probe(t.Context(), &c, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, preloadFile), []byte("<?php"), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := c.iniFile(iniPlaces{boot: filepath.Join(dir, bootDir), worker: filepath.Join(dir, bootDir), preload: filepath.Join(dir, preloadFile), lateUser: "root"}, php)
	if err != nil {
		t.Fatal(err)
	}
	out := runPHP(t, php, text, `<?php foreach (['precision', 'user_agent', 'auto_prepend_file', 'open_basedir', 'fastcgi.logging', 'cgi.fix_pathinfo', 'cgi.discard_path', 'memory_limit', 'opcache.preload'] as $n) echo $n, '=', get_cfg_var($n), "\n";`)
	for _, want := range []string{
		"precision=9\n", "user_agent=it's me; ok\n", "auto_prepend_file=" + own + "\n", "open_basedir=/\n",
		"fastcgi.logging=1\n", "cgi.fix_pathinfo=1\n", "cgi.discard_path=1\n", "opcache.preload=" + dir + "/preload.php\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "77M") {
		t.Errorf("php_admin_value holds outside the document roots:\n%s", out)
	}
}

// php_admin_value[disable_functions] of php-fpm adds to php.ini's list; a section for a path could not hold it.
func TestPoolDisablesFunctionsInAdditionToPHPIni(t *testing.T) {
	t.Parallel()
	php := &PHP{facts: phpFacts{"disable_functions": "exec,shell_exec"}}
	c := &PoolConfig{Name: "www", PHPAdminValue: []string{"disable_functions=system", "memory_limit=64M"}, AdminRoots: []string{"/srv"}}
	text, err := c.iniFile(iniPlaces{boot: "/run/pool/boot", worker: "/run/pool/boot"}, php)
	if err != nil {
		t.Fatal(err)
	}
	global, _, _ := strings.Cut(text, "/[") // where what holds for paths begins
	if !strings.Contains(global, "disable_functions = 'exec,shell_exec,system'\n") || strings.Contains(global, "memory_limit") {
		t.Errorf("got:\n%s", text)
	}
}
