package server

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// opcacheStatus is opcache_get_status() as a worker sees it.
type opcacheStatus struct {
	PID            int
	RestartPending bool `json:"restart_pending"`
	Statistics     struct {
		Hits           int   `json:"hits"`
		Misses         int   `json:"misses"`
		StartTime      int64 `json:"start_time"`
		ManualRestarts int   `json:"manual_restarts"`
		HashRestarts   int   `json:"hash_restarts"`
		OOMRestarts    int   `json:"oom_restarts"`
	} `json:"opcache_statistics"`
	Scripts map[string]struct {
		Hits int `json:"hits"`
	} `json:"scripts"`
}

// These tests are not parallel, see eachEngineAlone.

// opcacheScripts are the scripts of these tests; opcache takes files that were written this second.
var opcacheScripts = map[string]string{
	"status.php": `<?php echo json_encode(['PID' => getmypid()] + opcache_get_status(true));`,
	"code.php":   `<?php echo 'ran ', getmypid();`,
	"reset.php":  `<?php var_dump(opcache_reset());`,
	"hold.php":   holdScript,
}

func startOPcache(t *testing.T, engine string) *testServer {
	t.Helper()
	return startServer(t, engine, opcacheScripts, func(c *Config) {
		// The time after which opcache kills whoever keeps it from a restart is longer than any machine is slow: a restart that waits for
		// that does not come within the requests of restarted.
		c.Pools[0].PHPValue = []string{"opcache.enable=1", "opcache.file_update_protection=0", "opcache.force_restart_timeout=86400", "opcache.validate_timestamps=1"}
	})
}

func (ts *testServer) opcache() opcacheStatus {
	ts.t.Helper()
	var s opcacheStatus
	text := ts.get("/status.php").body
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		ts.t.Fatalf("%v in %s", err, text)
	}
	return s
}

func (s *opcacheStatus) hits(ts *testServer, script string) int {
	return s.Scripts[filepath.Join(ts.root, script)].Hits
}

func TestOneWorkersCompileIsAnothersHitUnderTheZygote(t *testing.T) {
	ts := startOPcache(t, manager.EngineZygote)
	ts.get("/code.php") // compiles
	a := ts.opcache()
	if _, ok := a.Scripts[filepath.Join(ts.root, "code.php")]; !ok {
		t.Fatalf("worker %d did not cache code.php: %v", a.PID, a.Scripts)
	}
	h := ts.hold("a")
	defer h.finish()
	b := ts.opcache()
	if a.PID != h.pid || b.PID == a.PID {
		t.Fatalf("asked workers %d and %d, the held one is %d", a.PID, b.PID, h.pid)
	}
	if b.Statistics.StartTime != a.Statistics.StartTime {
		t.Errorf("two opcaches: started %d and %d", a.Statistics.StartTime, b.Statistics.StartTime)
	}
	before := b.hits(ts, "code.php")
	ts.get("/code.php")
	after := ts.opcache()
	if after.PID != b.PID || after.hits(ts, "code.php") != before+1 || after.Statistics.Misses != b.Statistics.Misses {
		t.Errorf("worker %d had to compile what worker %d had compiled: hits %d then %d, misses %d then %d", b.PID, a.PID,
			before, after.hits(ts, "code.php"), b.Statistics.Misses, after.Statistics.Misses)
	}
}

func TestSpawnedWorkersHaveAnOPcacheOfTheirOwn(t *testing.T) {
	ts := startOPcache(t, manager.EngineSpawn)
	ts.get("/code.php")
	if a := ts.opcache(); len(a.Scripts) == 0 {
		t.Fatal("opcache keeps nothing")
	}
	h := ts.hold("a")
	defer h.finish()
	b := ts.opcache()
	if _, ok := b.Scripts[filepath.Join(ts.root, "code.php")]; ok || b.PID == h.pid {
		t.Errorf("worker %d knows what worker %d compiled", b.PID, h.pid)
	}
}

func TestOPcacheHoldsNoScriptOfTheRuntimeFolderThatNeverEnds(t *testing.T) {
	t.Parallel()
	ts := startOPcache(t, manager.EngineZygote)
	ts.get("/code.php")
	for path := range ts.opcache().Scripts {
		if strings.Contains(path, "zygote.php") || strings.Contains(path, "worker.php") {
			t.Errorf("opcache holds %s", path)
		}
	}
}

// restarted waits until opcache has restarted n times, with at most a few requests.
func (ts *testServer) restarted(n int) opcacheStatus {
	ts.t.Helper()
	for range 5 {
		if s := ts.opcache(); s.Statistics.ManualRestarts == n && !s.RestartPending {
			return s
		}
	}
	ts.t.Fatalf("no restart %d after 5 requests: %+v", n, ts.opcache().Statistics)
	return opcacheStatus{}
}

func TestOPcacheResetRestartsAndKillsNobody(t *testing.T) {
	eachEngineAlone(t, func(t *testing.T, engine string) {
		ts := startOPcache(t, engine)
		workers := ts.idleWorkers(2)
		zygote := parentOf(t, workers[0])
		for round := 1; round <= 3; round++ {
			ts.get("/code.php")
			if s := ts.opcache(); s.hits(ts, "code.php") < 0 || len(s.Scripts) < 2 {
				t.Fatalf("round %d: opcache holds %v", round, s.Scripts)
			}
			if got := ts.get("/reset.php").body; got != "bool(true)\n" {
				t.Fatalf("round %d: opcache_reset() gave %q", round, got)
			}
			s := ts.restarted(round)
			if _, ok := s.Scripts[filepath.Join(ts.root, "code.php")]; ok {
				t.Errorf("round %d: code.php outlived the restart", round)
			}
			ts.get("/code.php")
			if s := ts.opcache(); s.Statistics.HashRestarts+s.Statistics.OOMRestarts > 0 || len(s.Scripts) < 2 {
				t.Errorf("round %d: scripts are not compiled again: %+v", round, s)
			}
		}
		if after := ts.idleWorkers(2); !slices.Equal(workers, after) {
			t.Errorf("workers were %v and are %v", workers, after)
		}
		if !processExists(zygote) {
			t.Errorf("the zygote %d is gone", zygote)
		}
	})
}

func TestOPcacheResetWaitsForRunningRequestsAndKillsNobody(t *testing.T) {
	ts := startOPcache(t, manager.EngineZygote)
	workers := ts.idleWorkers(2)
	zygote := parentOf(t, workers[0])
	h := ts.hold("a")
	ts.get("/reset.php")
	if s := ts.opcache(); s.Statistics.ManualRestarts != 0 {
		t.Errorf("opcache restarted under a running script: %+v", s.Statistics)
	}
	if got := h.finish(); got.StatusCode != 200 {
		t.Errorf("the running request got %d %q", got.StatusCode, got.body)
	}
	ts.idleWorkers(2)
	ts.restarted(1)
	if after := ts.idleWorkers(2); !slices.Equal(workers, after) || !processExists(zygote) {
		t.Errorf("workers were %v and are %v; zygote %d exists: %v", workers, after, zygote, processExists(zygote))
	}
}

func TestZygoteForksWellAfterAnOPcacheReset(t *testing.T) {
	ts := startOPcache(t, manager.EngineZygote)
	zygote := parentOf(t, ts.idleWorkers(2)[0])
	ts.get("/code.php")
	ts.get("/reset.php")
	ts.restarted(1)
	old := ts.idleWorkers(2)
	for _, pid := range old {
		killProcess(t, pid)
	}
	ts.log.waitFor(t, "worker ended")
	eventually(t, "two other workers", func() bool {
		now := ts.pids()
		return len(now) == 2 && !slices.Contains(now, old[0]) && !slices.Contains(now, old[1])
	})
	for _, pid := range ts.idleWorkers(2) {
		if parentOf(t, pid) != zygote {
			t.Errorf("worker %d was not forked by the zygote %d", pid, zygote)
		}
	}
	ts.get("/code.php")
	a := ts.opcache()
	h := ts.hold("a")
	defer h.finish()
	before := ts.opcache()
	ts.get("/code.php")
	after := ts.opcache()
	if after.PID == a.PID || after.hits(ts, "code.php") != before.hits(ts, "code.php")+1 || after.Statistics.Misses != before.Statistics.Misses {
		t.Errorf("the new workers do not share their opcache: %+v then %+v", before, after)
	}
}
