package server

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// TestReloadKeepsNoPoolThatCannotServe: it makes another in its place, or says why it cannot.
func TestReloadKeepsNoPoolThatCannotServe(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := newFragile(t, engine, map[string]string{"pid.php": `<?php echo getmypid();`}, nil)
		ts.start()
		defer ts.stopQuietly()
		reload := func() (Changes, error) { return ts.Reload(t.Context(), *ts.now.cfg, ts.now.php) }
		if c, err := reload(); err != nil || !slices.Equal(c.Kept, []string{"www"}) {
			t.Fatalf("one that serves: %+v, %v", c, err)
		}
		ts.breakPHP("no memory for example")
		victims := ts.idleWorkers(2)
		if engine == manager.EngineZygote {
			victims = append([]int{parentOf(t, victims[0])}, victims...)
		}
		killAll(t, victims...)
		eventually(t, "the pool cannot serve", func() bool { return !ts.pool().Ready() })
		if c, err := reload(); err == nil || !strings.Contains(err.Error(), "no memory for example") {
			t.Errorf("one that cannot serve: %+v, %v", c, err)
		}
		if err := os.Remove(ts.beside("broken")); err != nil {
			t.Fatal(err)
		}
		// It may have recovered by itself meanwhile.
		recovered := ts.pool().Ready()
		c, err := reload()
		if err != nil || !recovered && !ts.pool().Ready() {
			t.Errorf("after the repair: %+v, %v", c, err)
		}
		eventually(t, "it serves", func() bool { return ts.get("/pid.php").StatusCode == 200 })
	})
}
