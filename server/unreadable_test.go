//go:build linux

package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/ownership"
)

// TestAScriptThatPHPCannotReadIsExplainedInTheLog: php-cgi answers 403 and says nothing of the reason.
func TestAScriptThatPHPCannotReadIsExplainedInTheLog(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"secret.php": `<?php`, "closed/in.php": `<?php`, "page.html": "<p>", "says.php": `<?php http_response_code(403); echo "Access denied.\n";`,
		}, nil)
		user, folderLine := testUser(), "PHP cannot open a script"
		if user == "" {
			user, folderLine = ownership.User(uint32(os.Geteuid())), "a file cannot be read" // phpserve cannot look there, either
		}
		closed := []string{"secret.php", "closed", "page.html"}
		for _, name := range closed {
			if err := os.Chmod(filepath.Join(ts.root, name), 0); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(ts.root, "closed"), 0o755) }) // so that it can be removed
		ask := func(url string, status ...string) {
			t.Helper()
			if got := askWire(t, ts, "GET", url); !slices.Contains(append(status, "403 Forbidden"), got.Status) {
				t.Errorf("%s: %s %q", url, got.Status, got.body)
			}
		}
		ask("/says.php")
		ask("/secret.php")
		ask("/secret.php")
		who := `user \"` + user + `\", whom PHP runs as, cannot `
		ts.log.waitForLines(t, 1, "PHP cannot open a script", "script="+ts.root+"/secret.php", who+"read "+ts.root+"/secret.php: it belongs to ", " and has mode 0000")
		ask("/closed/in.php", "404 Not Found")
		ask("/closed/in.php", "404 Not Found")
		ts.log.waitForLines(t, 1, folderLine, who+"enter "+ts.root+"/closed: it belongs to ", " and has mode 0000")
		if strings.Contains(ts.log.String(), "says.php") {
			t.Errorf("a script that says the same is taken for one that cannot be read:\n%s", ts.log)
		}
		if testUser() != "" { // else the line of this minute is out
			ask("/page.html")
			ask("/page.html")
			ts.log.waitForLines(t, 1, "a file cannot be read", "url=/page.html", who+"read "+ts.root+"/page.html: it belongs to ")
		}
	})
}
