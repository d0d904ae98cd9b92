package main

import (
	"os"
	"path/filepath"

	"github.com/phpserve/phpserve/manager"
)

// fpmINI says which ini files the PHP of a php-fpm configuration reads.
type fpmINI struct {
	file string // php.ini or its folder; empty: php-cgi's own
	scan string // PHP_INI_SCAN_DIR; empty: php-cgi's own
	none bool
}

// iniFiles has php-cgi read the ini files of php-fpm, not its own: those of -c, or on Debian the ones beside the
// configuration.
func (o *fpmOptions) iniFiles(config string) fpmINI {
	dir := filepath.Dir(config)
	scan := filepath.Join(dir, "conf.d")
	info, err := os.Stat(scan)
	beside := err == nil && info.IsDir()
	switch {
	case o.noINI:
		return fpmINI{none: true}
	case o.ini != "" && beside:
		return fpmINI{file: absolute(o.ini), scan: scan}
	case o.ini != "":
		return fpmINI{file: absolute(o.ini)}
	case beside:
		return fpmINI{file: dir, scan: scan}
	}
	return fpmINI{}
}

// absolute is path from the root; path itself where the working folder is gone.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// set has a pool read the files.
func (i fpmINI) set(p *manager.PoolConfig) {
	p.PHPINI, p.INIScanDir, p.NoPHPINI = i.file, i.scan, i.none
}

// Environ is the environment of a php-cgi that reads the files.
func (i fpmINI) Environ() []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	switch {
	case i.none:
		return append(env, "PHPRC="+os.DevNull, "PHP_INI_SCAN_DIR=")
	case i.file != "":
		env = append(env, "PHPRC="+i.file)
	}
	if i.scan != "" {
		env = append(env, "PHP_INI_SCAN_DIR="+i.scan)
	}
	return env
}
