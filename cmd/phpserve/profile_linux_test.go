//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProfileHasWhatWasSeenUntilItIsInterrupted: Ctrl-C ends a profile and not what was recorded.
func TestProfileHasWhatWasSeenUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	s, at, finish := startWaiting(t)
	defer finish()
	file := filepath.Join(s.dir, "p.folded")
	for tries := 1; ; tries++ {
		profile := startInTerminal(t, "profile", "--duration", "10m", "--rate", "1000", "-o", file, at)
		profile.shows("looking at PHP for 10m0s; Ctrl-C ends it before")
		for range tries { // meanwhile it sees something
			if code, out, errs := phpserve(t, "trace", at); code != 0 {
				t.Fatalf("trace: %d %s%s", code, out, errs)
			}
		}
		profile.press("\x03")
		if err := profile.cmd.Wait(); err != nil {
			t.Fatalf("it ends with %v: %s", err, profile.shown)
		}
		profile.shows(file + ": ")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "computes") && strings.Contains(string(text), "Shop::query") {
			return
		}
		if tries == 10 {
			t.Fatalf("it has seen nothing: %q, %s", text, profile.shown)
		}
	}
}
