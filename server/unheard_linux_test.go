package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// failsAtFirst is a php-cgi whose first starts fail. It notes where each start's standard error goes.
func failsAtFirst(t *testing.T, dir string, failures int) *manager.PHP {
	t.Helper()
	return wrapPHP(t, dir, fmt.Sprintf(`case " $* " in *" -b "*)
	readlink /proc/$$/fd/2 >> %[1]s/heard
	i=0
	while [ $i -lt %[2]d ]; do
		i=$((i + 1))
		if mkdir %[1]s/fail$i 2>/dev/null; then echo 'it could not start' >&2; exit 3; fi
	done;;
esac`, dir, failures), "")
}

// With catch_workers_output = no a PHP that could not start is heard once, to learn why; what scripts write stays unheard.
func TestFailedStartLeavesNoWorkerHeardWhereOutputIsDiscarded(t *testing.T) {
	t.Parallel()
	for _, failures := range []int{1, 3} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				const workers = 4
				// ondemand: a start that failed does not end the pool.
				ts := newWithPHP(t, engine, map[string]string{"hold.php": holdScript}, func(dir string) *manager.PHP { return failsAtFirst(t, dir, failures) }, func(c *Config) {
					c.Pools[0].DiscardOutput, c.Pools[0].PM, c.Pools[0].MaxChildren = true, manager.PMOndemand, workers
				})
				ts.start()
				defer ts.stopQuietly()
				var running []held
				for i := range workers {
					running = append(running, ts.hold(fmt.Sprint("h", i)))
				}
				for _, h := range running {
					if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", h.pid)); err != nil || to != os.DevNull {
						t.Errorf("a worker writes to %s, %v", to, err)
					}
				}
				for _, h := range running {
					h.finish()
				}
				heard := 0
				for to := range strings.FieldsSeq(ts.noteIn("heard")) {
					if to != os.DevNull {
						heard++
					}
				}
				if heard == 0 || heard > failures {
					t.Errorf("%d starts were heard after %d failures:\n%s", heard, failures, ts.noteIn("heard"))
				}
				if made, err := filepath.Glob(ts.beside("fail*")); err != nil || len(made) != failures {
					t.Errorf("%d of %d starts failed, %v", len(made), failures, err)
				}
			})
		})
	}
}
