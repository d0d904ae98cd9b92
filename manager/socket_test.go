//go:build linux

package manager

import (
	"os"
	"path/filepath"
	"testing"
)

// CWE-59: as root, nothing may be done by path to a socket in a folder of the pool's user, who could put a link there.
func TestSocketsHaveTheirModeFromTheBeginning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket, err := listenPool(filepath.Join(dir, "pool.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	own, err := listenControl(filepath.Join(dir, "own.sock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for _, name := range []string{"pool.sock", "own.sock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o", name, got)
		}
	}
}
