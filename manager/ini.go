package manager

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// iniName is what a php.ini setting may be called.
var iniName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-]*$`)

// CheckINI reports why NAME=VALUE cannot be written to an ini file.
func CheckINI(kv string) error {
	name, value, ok := strings.Cut(kv, "=")
	switch {
	case !ok:
		return fmt.Errorf("must be NAME=VALUE")
	case !iniName.MatchString(name):
		return fmt.Errorf("%q is not the name of a php.ini setting", name)
	}
	_, err := quoteINI(value)
	return err
}

// quoteINI writes a value so that PHP's ini scanner reads it back unchanged: single-quoted strings are raw, in
// double-quoted ones only \" and \\ are escapes but ${...} and $ references are expanded (Zend/zend_ini_scanner.l).
func quoteINI(value string) (string, error) {
	switch {
	case strings.ContainsAny(value, "\n\r\x00"):
		return "", fmt.Errorf("must not contain a line break or a NUL")
	case !strings.Contains(value, "'"):
		return "'" + value + "'", nil
	case strings.Contains(value, "$") || strings.Contains(value, `\`):
		return "", fmt.Errorf("cannot hold a single quote together with $ or \\")
	}
	return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`, nil
}

// PHPEnvironment is the environment for asking php-cgi something with the pool's php.ini.
func (c *PoolConfig) PHPEnvironment() []string { return append(bareEnv(), c.iniEnv("")...) }

// iniEnv are the variables that tell PHP where its ini files are (main/php_ini.c:php_init_config). own, which may be empty, is
// the folder with the pool's.
func (c *PoolConfig) iniEnv(own string) (env []string) {
	if c.NoPHPINI {
		return []string{"PHPRC=" + os.DevNull, "PHP_INI_SCAN_DIR=" + own}
	}
	if c.PHPINI != "" {
		env = append(env, "PHPRC="+c.PHPINI)
	}
	dirs := cmp.Or(c.INIScanDir, os.Getenv("PHP_INI_SCAN_DIR"))
	if own != "" {
		dirs += string(filepath.ListSeparator) + own // an empty first element stands for the folder that was compiled in
	}
	if dirs != "" {
		env = append(env, "PHP_INI_SCAN_DIR="+dirs)
	}
	return env
}

// iniFile renders the ini file that every php-cgi of a pool reads last (PHP_INI_SCAN_DIR). dir is the folder with prepend.php
// as the workers see it, boot the one with the zygote's script; lateUser is whom workers with a late drop become, else empty.
func (c *PoolConfig) iniFile(dir, boot, lateUser string, php *PHP) (string, error) {
	b := iniWriter{pool: c.Name}
	own := c.ownSettings(dir, php)
	values, admin := c.values(), c.adminValues()
	roots, slashes := c.AdminRoots, slices.Concat(admin, own)
	if c.Chroot != "" && c.fromClient() { // see ClientValue
		values, admin = c.PHPValue, c.PHPAdminValue
		roots, slashes = nil, slices.Concat(c.ClientValue, admin, c.ClientAdminValue, own)
	}
	lines := slices.Clone(values)
	for _, kv := range admin {
		if StartOnlyINI(kv) {
			lines = append(lines, kv)
		}
	}
	if lateUser != "" { // opcache.preload of php.ini ends a PHP of root that does not say for whom
		lines = append(lines, "opcache.preload_user="+lateUser)
	}
	b.set("", append(lines, own...)) // the last one counts
	if len(slashes) > len(own) {
		// For what begins with two slashes and for scripts directly in the root folder, where a section [PATH=/] does not hold: PHP
		// looks for the values of a folder in the same table in which it keeps those of NAME[KEY]=VALUE under NAME
		// (main/php_ini.c:php_ini_parser_cb, php_ini_activate_per_dir).
		b.set("/", slashes)
	}
	// The zygote's endless request must not live in opcache's memory, which opcache_reset() clears.
	fmt.Fprintf(&b, "[PATH=%s]\nopcache.enable = 0\n", boot)
	if lateUser != "" { // nothing but the zygote's own script runs as root, and it writes no file: the pool's user may have put a link there
		b.WriteString("auto_prepend_file = ''\nauto_append_file = ''\nopen_basedir = ''\nerror_log = ''\nsession.auto_start = 0\n")
	}
	if c.Chroot != "" {
		fmt.Fprintf(&b, "[PATH=%s]\nopcache.enable = 0\n", dir)
	}
	if len(admin) > 0 {
		for _, root := range roots {
			fmt.Fprintf(&b, "[PATH=%s]\n", root)
			b.set("", slices.Concat(admin, own))
		}
	}
	return b.String(), b.err
}

// iniWriter collects an ini file. Once a setting could not be written, no other is.
type iniWriter struct {
	strings.Builder
	pool string
	err  error
}

// set writes settings, NAME=VALUE each, as keys of table unless that is empty.
func (w *iniWriter) set(table string, settings []string) {
	for _, kv := range settings {
		name, value, _ := strings.Cut(kv, "=")
		quoted, err := quoteINI(value)
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("[pool %s] cannot set %s: %v", w.pool, name, err)
		}
		if w.err != nil {
			return
		}
		if table != "" {
			name = table + "[" + name + "]"
		}
		fmt.Fprintf(w, "%s = %s\n", name, quoted)
	}
}

// ownSettings are those that phpserve needs, whatever the operator sets; dir is the folder with prepend.php as the workers see it.
func (c *PoolConfig) ownSettings(dir string, php *PHP) (own []string) {
	own = []string{
		// What fastcgi_finish_request() of prepend.php and the request's error records need.
		"fastcgi.logging=1",
		// With these, no parameter but SCRIPT_FILENAME can ever name the script (cgi_main.c:init_request_info).
		"cgi.fix_pathinfo=1",
		"cgi.discard_path=1",
		// It includes the operator's.
		"auto_prepend_file=" + filepath.Join(dir, prependFile),
	}
	if base := php.iniAfter(c, "open_basedir"); base != "" {
		own = append(own, "open_basedir="+base+string(filepath.ListSeparator)+dir)
	}
	if off := php.disabledFunctions(c); off != "" {
		own = append(own, "disable_functions="+off)
	}
	return own
}

// StartOnlyINI says whether PHP reads a setting at its start only, so that it has no effect in a section for a path. Scripts
// cannot change these anyway.
func StartOnlyINI(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	switch name {
	case "disable_functions", "disable_classes", "extension", "zend_extension", "extension_dir":
		return true
	}
	return strings.HasPrefix(name, "opcache.") || strings.HasPrefix(name, "realpath_cache_")
}

// disabledFunctions are those of php.ini and of the pool together: as in php-fpm, a pool can disable more, not less.
func (p *PHP) disabledFunctions(c *PoolConfig) string {
	base, pool := p.facts["disable_functions"], p.iniAfter(c, "disable_functions")
	switch {
	case pool == base:
		return "" // nothing to add
	case base == "":
		return pool
	}
	return base + "," + pool
}

// INIBool is what PHP takes a setting for that is on or off (Zend/zend_ini.c:zend_ini_parse_bool).
func INIBool(value string) bool {
	switch strings.ToLower(value) {
	case "true", "yes", "on":
		return true
	}
	n, _ := strconv.Atoi(strings.TrimSpace(value)) // what is no number is 0
	return n != 0
}
