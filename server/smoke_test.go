package server

import (
	"strings"
	"testing"
)

func TestScriptRunsInBothEngines(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"index.php": `<?php echo "hello ", PHP_SAPI;`}, nil)
		for range 3 {
			if got := ts.get("/"); got.StatusCode != 200 || got.body != "hello cgi-fcgi" {
				t.Fatalf("got %d %q", got.StatusCode, got.body)
			}
		}
		if kind, _ := ts.pool().Engine(); kind != engine {
			t.Errorf("the engine is %s", kind)
		}
		if !strings.Contains(ts.access.waitFor(t, "GET / HTTP/1.1"), `" 200 14 `) {
			t.Errorf("access log: %s", ts.access)
		}
	})
}
