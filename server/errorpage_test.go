package server

import (
	"path/filepath"
	"strings"
	"testing"
)

// On loopback a developer reads what was looked for where, and what PHP said; a client on any other server does not.
func TestErrorPageHelpsOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	files := map[string]string{"fail.php": `<?php throw new RuntimeException('said by PHP');`}
	for mode, helpful := range map[string]bool{ErrorPagesAuto: true, ErrorPagesHelpful: true, ErrorPagesPlain: false} {
		eachEngine(t, func(t *testing.T, engine string) {
			ts := startServer(t, engine, files, func(c *Config) {
				c.ErrorPages, c.Pools[0].PHPValue = mode, []string{"display_errors=0", "log_errors=1"}
			})
			missing := ts.get("/none.css", "Accept", "text/html")
			looked := strings.Contains(missing.body, "<code>/none.css</code>") && strings.Contains(missing.body, ts.root)
			if missing.StatusCode != 404 || looked != helpful || !helpful && strings.Contains(missing.body, ts.root) {
				t.Errorf("%s: %d %s", mode, missing.StatusCode, missing.body)
			}
			failed := ts.get("/fail.php", "Accept", "text/html")
			if failed.StatusCode != 500 || strings.Contains(failed.body, "RuntimeException: said by PHP") != helpful {
				t.Errorf("%s: %d %s", mode, failed.StatusCode, failed.body)
			}
		})
	}
}

// Each message of PHP is one record that says whose it is, also one of several lines.
func TestPHPMessagesAreRecordsOfTheirOwn(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"says.php": `<?php
			error_log('first');
			echo $missing;
			function deep() { throw new RuntimeException('third'); }
			deep();`}, func(c *Config) { c.Pools[0].PHPValue = []string{"log_errors=1", "error_reporting=32767"} })
		id := ts.get("/says.php").Header.Get("X-Request-Id")
		ts.log.waitFor(t, "third")
		whose := []string{`msg="php message"`, "pool=www", "pid=", "script=" + filepath.Join(ts.root, "says.php"), "request_id=" + id}
		for _, message := range [][]string{
			{"level=INFO", "first"}, {"level=WARN", "Undefined variable"}, {"level=ERROR", "RuntimeException: third", "Stack trace:", "#0"},
		} {
			if !hasLine(ts.log.String(), append(message, whose...)...) {
				t.Errorf("no record with %q in:\n%s", append(message, whose...), ts.log)
			}
		}
		if n := strings.Count(ts.log.String(), `msg="php message"`); n != 3 {
			t.Errorf("%d records for three messages", n)
		}
	})
}
