package server

import (
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// tracingDaemon attaches to the zygote as a debugger does (ptrace(2)), and stays: what it traces cannot be waited for when it is killed.
const tracingDaemon = `<?php
	$zygote = posix_getppid();
	$dir = dirname(__DIR__);
	if (pcntl_fork() === 0) {
		posix_setsid();
		if (pcntl_fork() === 0) {
			$c = FFI::cdef('long ptrace(long request, long pid, void *addr, void *data);');
			$attached = $c->ptrace(16, $zygote, null, null); // PTRACE_ATTACH
			file_put_contents("$dir/traces", $attached);
			while (!file_exists("$dir/over")) { usleep(10000); clearstatcache(); }
		}
		posix_kill(getmypid(), SIGKILL);
	}
	pcntl_wait($status);
	while (!file_exists("$dir/traces")) { usleep(1000); clearstatcache(); }
	echo file_get_contents("$dir/traces");`

// A script that traces the zygote stops it. It is replaced all the same, and the pool stops when it is told to.
func TestTracedZygoteIsReplaced(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, map[string]string{"trace.php": tracingDaemon, "die.php": `<?php posix_kill(getmypid(), SIGKILL);`, "ok.php": `<?php echo 'ok';`},
		func(c *Config) {
			c.Pools[0].PM, c.Pools[0].MaxChildren = manager.PMStatic, 1
			c.Pools[0].PHPValue = []string{"ffi.enable=1"}
		})
	if got := ts.get("/trace.php").body; got != "0" {
		t.Logf("this system lets no process trace another that it has not started: %q", got) // then nothing keeps the zygote from its work
	}
	ts.do("POST", "/die.php", nil)
	eventually(t, "the pool serves again", func() bool { return ts.get("/ok.php").body == "ok" })
}
