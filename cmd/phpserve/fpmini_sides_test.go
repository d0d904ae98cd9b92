//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
)

// readScript prints which ini files PHP has read, but for phpserve's own.
const readScript = `<?php $all = array_map('trim', explode(',', (string) php_ini_scanned_files()));
	echo json_encode([php_ini_loaded_file(), array_values(array_filter($all, fn ($f) => basename($f) !== 'phpserve.ini')), ini_get('precision')], JSON_UNESCAPED_SLASHES);`

// TestFPMReadsTheIniFilesOfPHPFPM: wherever the configuration is.
func TestFPMReadsTheIniFilesOfPHPFPM(t *testing.T) {
	t.Parallel()
	files := map[string]string{"s.php": readScript, "ini/php.ini": "precision = 3\n", "more/x.ini": "precision = 4\n", "other.ini": "precision = 5\n"}
	for name, c := range map[string]struct{ env, args []string }{
		"by itself":                 {nil, nil},
		"-c of a file":              {nil, []string{"-c", "DIR/other.ini"}},
		"-c of a folder":            {nil, []string{"-c", "DIR/ini"}},
		"PHPRC":                     {[]string{"PHPRC=DIR/ini"}, nil},
		"PHPRC and -c":              {[]string{"PHPRC=DIR/ini"}, []string{"-c", "DIR/other.ini"}},
		"PHP_INI_SCAN_DIR":          {[]string{"PHP_INI_SCAN_DIR=DIR/more"}, nil},
		"PHP_INI_SCAN_DIR besides":  {[]string{"PHP_INI_SCAN_DIR=:DIR/more"}, nil},
		"PHP_INI_SCAN_DIR in front": {[]string{"PHP_INI_SCAN_DIR=DIR/more:"}, nil},
		"PHP_INI_SCAN_DIR of none":  {[]string{"PHP_INI_SCAN_DIR="}, nil},
		"PHP_INI_SCAN_DIR and -c":   {[]string{"PHP_INI_SCAN_DIR=DIR/more"}, []string{"-c", "DIR/other.ini"}},
		"-d":                        {nil, []string{"-d", "precision=6"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answers []string
			for _, side := range []string{"php-fpm", "phpserve"} {
				s := newSide(t, side, poolWith(), files)
				var args []string
				for _, arg := range c.args {
					args = append(args, strings.ReplaceAll(arg, "DIR", s.dir))
				}
				for _, kv := range c.env {
					s.env = append(s.env, strings.ReplaceAll(kv, "DIR", s.dir))
				}
				s.start(args...)
				answers = append(answers, s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": s.dir + "/s.php"}, ""))
				if code := s.stop(syscall.SIGTERM); code != 0 {
					t.Errorf("%s: exit code %d", side, code)
				}
			}
			if answers[0] != answers[1] {
				t.Errorf("php-fpm:  %s\nphpserve: %s", answers[0], answers[1])
			}
		})
	}
}

// TestFPMSeesExtensionsOfTheCommandLine: what -d gives and takes decides which engine there can be.
func TestFPMSeesExtensionsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"phpserve": {"-n", "-d", "disable_functions=pcntl_fork"},
		"php-cgi":  {"-n", "-d", "extension=posix"},
	} {
		s := newSide(t, "phpserve", poolWith(), map[string]string{"s.php": `<?php preg_match('/^PPid:\s*(\d+)/m', file_get_contents('/proc/self/status'), $m);
			echo 'parent ', trim(file_get_contents("/proc/$m[1]/comm")), '.';`})
		s.start(args...)
		if answer := s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": s.dir + "/s.php"}, ""); !strings.Contains(answer, "parent "+want) {
			t.Errorf("%v: the parent is not %s\n%s", args, want, answer)
		}
		s.stop(syscall.SIGTERM)
	}
}
