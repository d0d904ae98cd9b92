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

// quoteINI writes a value so that PHP's ini scanner reads it back unchanged: what is between single quotes is raw, line breaks too, and
// pieces that follow each other are put together, of which "'" is a single quote (Zend/zend_ini_scanner.l, zend_ini_parser.y).
func quoteINI(value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", fmt.Errorf("must not contain a NUL")
	}
	var b strings.Builder
	for i, piece := range strings.Split(value, "'") {
		if i > 0 {
			b.WriteString(`"'"`)
		}
		if piece != "" {
			b.WriteString("'" + piece + "'")
		}
	}
	if b.Len() == 0 {
		return "''", nil
	}
	return b.String(), nil
}

// PHPEnvironment is the environment for asking php-cgi something with the pool's php.ini.
func (c *PoolConfig) PHPEnvironment() []string { return append(bareEnv(), c.iniEnv("")...) }

// iniEnv are the variables that tell PHP where its ini files are (main/php_ini.c:php_init_config). own, which may be empty, is
// the folder with the pool's.
func (c *PoolConfig) iniEnv(own string) (env []string) {
	if c.NoPHPINI {
		return []string{"PHPRC=" + os.DevNull, "PHP_INI_SCAN_DIR=" + own}
	}
	if ini := cmp.Or(c.PHPINI, os.Getenv("PHPRC")); ini != "" {
		env = append(env, "PHPRC="+ini)
	}
	dirs, set := c.INIScanDir, c.INIScanDir != ""
	if !set {
		dirs, set = os.LookupEnv("PHP_INI_SCAN_DIR")
	}
	switch {
	case own == "":
	case set && dirs == "": // no folder is to be looked at
		dirs = own
	default:
		dirs += string(filepath.ListSeparator) + own // an empty first element stands for the folder that was compiled in
	}
	if set || dirs != "" {
		env = append(env, "PHP_INI_SCAN_DIR="+dirs)
	}
	return env
}

// extensionSettings decide what extensions PHP has.
var extensionSettings = []string{"extension_dir", "extension", "zend_extension"}

// StartOnlyINI says whether PHP reads a setting at its start only, so that it has no effect in a section for a path. Scripts
// cannot change these anyway.
func StartOnlyINI(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	if name == "disable_functions" || name == "disable_classes" || slices.Contains(extensionSettings, name) {
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
