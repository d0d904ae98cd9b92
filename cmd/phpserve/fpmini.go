package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/phpserve/phpserve/manager"
)

// setINI has the pool's PHP read the ini files of php-fpm, not those of php-cgi: -n, -c, PHPRC, PHP_INI_SCAN_DIR, or where php-fpm looks
// for them by itself. A conf.d beside the configuration comes before that: an installation that was moved as a whole.
func (o *fpmOptions) setINI(p *manager.PoolConfig, config string) {
	p.FPMINI, p.NoPHPINI = true, o.noINI
	if o.noINI {
		return
	}
	dir := absolute(filepath.Dir(config)) // PHP is started in another folder
	if info, err := os.Stat(filepath.Join(dir, "conf.d")); err == nil && info.IsDir() && !isPoolFolder(filepath.Join(dir, "conf.d")) {
		p.PHPINI, p.INIScanDir = dir, filepath.Join(dir, "conf.d")
	}
	if ini := cmp.Or(o.ini, os.Getenv("PHPRC")); ini != "" {
		p.PHPINI = absolute(ini)
	}
}

// isPoolFolder says that a conf.d holds pools for an include, and no ini files: others than Debian name that folder so.
func isPoolFolder(dir string) bool {
	pools, _ := filepath.Glob(filepath.Join(dir, "*.conf")) // the pattern is ours
	ini, _ := filepath.Glob(filepath.Join(dir, "*.ini"))
	return len(pools) > 0 && len(ini) == 0
}

// iniDefines are the settings of -d, NAME=VALUE; without a value 1 is meant (fpm_main.c:main).
func (o *fpmOptions) iniDefines() (settings []string) {
	for _, kv := range o.define {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			value = "1"
		}
		settings = append(settings, strings.TrimSpace(name)+"="+value)
	}
	return settings
}
