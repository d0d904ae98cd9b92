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
