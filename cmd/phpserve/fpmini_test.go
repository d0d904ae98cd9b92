package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// TestINIFilesBesideARelativeConfiguration: PHP starts in another folder, where the names must lead to the same files.
func TestINIFilesBesideARelativeConfiguration(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "fpm", "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	var p manager.PoolConfig
	(&fpmOptions{}).setINI(&p, "fpm/php-fpm.conf")
	if want := filepath.Join(dir, "fpm"); p.PHPINI != want || p.INIScanDir != filepath.Join(want, "conf.d") {
		t.Errorf("got %q and %q, want those of %q", p.PHPINI, p.INIScanDir, want)
	}
}

// TestFolderOfPoolsIsNoFolderOfINIFiles: a conf.d with pools in it takes PHP's own ini files away from nobody.
func TestFolderOfPoolsIsNoFolderOfINIFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		files []string
		ini   bool
	}{
		{nil, true}, {[]string{"20-posix.ini"}, true}, {[]string{"www.conf"}, false}, {[]string{"www.conf", "20-posix.ini"}, true},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range tt.files {
			if err := os.WriteFile(filepath.Join(dir, "conf.d", name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var p manager.PoolConfig
		(&fpmOptions{}).setINI(&p, filepath.Join(dir, "php-fpm.conf"))
		if got := p.INIScanDir == filepath.Join(dir, "conf.d"); got != tt.ini {
			t.Errorf("%v: its ini files are read: %v", tt.files, got)
		}
	}
}
