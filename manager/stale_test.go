//go:build unix

package manager

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestStaleFoldersAreRemovedAndThoseInUseAreNot(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	// What a killed phpserve leaves: its lock is a file that nobody holds.
	stale := filepath.Join(base, "phpserve-www-1")
	if err := os.MkdirAll(filepath.Join(stale, bootDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stale, lockFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Each looks for stale folders while the others are making theirs.
	var starting sync.WaitGroup
	for range 8 {
		starting.Go(func() {
			for range 50 {
				d, err := newRuntimeDir("www", nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(d.file(bootDir)); err != nil {
					t.Error(err)
				}
				if err := d.remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	starting.Wait()
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
