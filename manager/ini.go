package manager

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// iniName is what a php.ini setting may be called.
var iniName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-]*$`)

// checkINI reports why NAME=VALUE cannot be written to an ini file.
func checkINI(kv string) error {
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

// iniFile renders the ini file that every php-cgi of a pool reads last (PHP_INI_SCAN_DIR).
func (c *PoolConfig) iniFile(dir string, php *PHP) (string, error) {
	var b strings.Builder
	set := func(kv string) error {
		name, value, _ := strings.Cut(kv, "=")
		quoted, err := quoteINI(value)
		if err != nil {
			return fmt.Errorf("[pool %s] cannot set %s: %v", c.Name, name, err)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, quoted)
		return nil
	}
	lines := append(slices.Clone(c.PHPValue), // the last one counts
		// What fastcgi_finish_request() of prepend.php and the request's error records need.
		"fastcgi.logging=1",
		// With these, no parameter but SCRIPT_FILENAME can ever name the script (cgi_main.c:init_request_info).
		"cgi.fix_pathinfo=1",
		"cgi.discard_path=1",
		"auto_prepend_file="+filepath.Join(dir, prependFile),
	)
	if base := php.iniAfter(c, "open_basedir"); base != "" {
		lines = append(lines, "open_basedir="+base+string(filepath.ListSeparator)+dir)
	}
	for _, kv := range lines {
		if err := set(kv); err != nil {
			return "", err
		}
	}
	// The zygote's endless request must not live in opcache's memory, which opcache_reset() clears.
	fmt.Fprintf(&b, "[PATH=%s]\nopcache.enable = 0\n", filepath.Join(dir, bootDir))
	if len(c.PHPAdminValue) == 0 {
		return b.String(), nil
	}
	for _, root := range c.AdminRoots {
		fmt.Fprintf(&b, "[PATH=%s]\n", root)
		for _, kv := range c.PHPAdminValue {
			if err := set(kv); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}
