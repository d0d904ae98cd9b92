package server

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/manager"
)

// TestOutputOfWorkersIsPutTogetherLineByLine has several workers write long lines at the same time, in pieces: each is logged
// whole, with the pid of its worker.
func TestOutputOfWorkersIsPutTogetherLineByLine(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		const workers, size = 4, 60000
		ts := startServer(t, engine, map[string]string{"index.php": `<?php
			$line = str_repeat($_GET['c'], 60000);
			$f = fopen('php://stderr', 'w');
			for ($i = 0; $i < 5; $i++) {
				foreach (str_split($line, 7000) as $piece) { fwrite($f, $piece); }
				fwrite($f, "\n");
			}
			echo getmypid();`}, func(c *Config) { c.Pools[0].MaxChildren = workers })
		pids := make([]string, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { pids[i] = ts.get(fmt.Sprintf("/?c=%c", 'a'+i)).body })
		}
		wg.Wait()
		for i, pid := range pids {
			line := fmt.Sprintf("pid=%s text=%s\n", pid, strings.Repeat(string(rune('a'+i)), size))
			eventually(t, "five whole lines of "+pid, func() bool { return strings.Count(ts.log.String(), line) == 5 })
		}
		if n := strings.Count(ts.log.String(), `msg="php output"`); n != 5*workers {
			t.Errorf("%d records of output, want %d", n, 5*workers)
		}
	})
}

// TestOutputWithoutAnEndBelongsToItsRequest looks for text without a newline: it is logged when its request ends and not joined
// to that of the next one.
func TestOutputWithoutAnEndBelongsToItsRequest(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"index.php": `<?php file_put_contents('php://stderr', "request {$_GET['n']} says no more"); echo getmypid();`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 1 })
		for i := range 100 {
			pid := ts.get(fmt.Sprintf("/?n=%d", i)).body
			ts.log.waitFor(t, fmt.Sprintf("pid=%s text=\"request %d says no more\"\n", pid, i))
		}
	})
}

// TestOutputOfProgramsBearsThePIDOfTheirWorker has a script start a program that writes.
func TestOutputOfProgramsBearsThePIDOfTheirWorker(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"index.php": `<?php shell_exec("sh -c 'echo from a program >&2; until [ -e heard ]; do sleep 0.01; done; printf no-end >&2'"); echo getmypid();`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 2 })
		answered := make(chan answer, 1)
		go func() { answered <- ts.get("/") }()
		// A program that has ended when its first text is read is told by its own pid.
		ts.log.waitFor(t, `text="from a program"`)
		testfiles.Put(t, ts.root, map[string]string{"heard": ""})
		pid := (<-answered).body
		for _, text := range []string{`"from a program"`, "no-end"} {
			got := ts.log.waitFor(t, "text="+text)
			if !regexp.MustCompile(`pid=` + pid + ` text=` + text + "\n").MatchString(got) {
				t.Errorf("no %s of worker %s in:\n%s", text, pid, got)
			}
		}
	})
}

// TestOutputOfAWorkerThatWritesWithoutEndDoesNotSilenceOthers has one worker write as fast as it can.
func TestOutputOfAWorkerThatWritesWithoutEndDoesNotSilenceOthers(t *testing.T) {
	ts := startServer(t, manager.EngineZygote, map[string]string{
		"flood.php": `<?php
			$f = fopen('php://stderr', 'w');
			touch(__DIR__ . '/flooding');
			while (!file_exists(__DIR__ . '/enough')) { fwrite($f, str_repeat('x', 100) . "\n"); }`,
		"index.php": `<?php while (!file_exists(__DIR__ . '/flooding')) { usleep(1000); clearstatcache(); }
			file_put_contents('php://stderr', "I am heard\n");`,
	}, nil)
	var wg sync.WaitGroup
	wg.Go(func() { ts.get("/flood.php") })
	ts.get("/")
	ts.log.waitFor(t, "I am heard")
	testfiles.Put(t, ts.root, map[string]string{"enough": ""})
	wg.Wait()
}
