package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// allow sets how many descriptors a process may have open.
func allow(t *testing.T, pid int, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(n, limit.Max)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// TestReloadWithoutDescriptorsSaysWhatHappened: with none left, and with ever more, so that the reload comes further each time. What
// phpserve says became of the pool is what has become of it, and the pool serves.
func TestReloadWithoutDescriptorsSaysWhatHappened(t *testing.T) {
	t.Parallel()
	const script = `<?php echo 'value=', ini_get('precision'), ';';`
	for _, engine := range []string{"zygote", "spawn"} {
		t.Run("run "+engine, func(t *testing.T) {
			t.Parallel()
			dir := openFolder(t, "phpserve-truth-")
			writeFile(t, filepath.Join(dir, "index.php"), script)
			change := func(value int) {
				writeFile(t, filepath.Join(dir, "phpserve.yaml"), fmt.Sprintf("engine: %s\nphp_value: [precision=%d]\npm: static\npm.max_children: 2\n", engine, value))
			}
			change(1)
			s, err := launch(dir, cleanEnviron(), "run", "--listen", "127.0.0.1:0", "--config", filepath.Join(dir, "phpserve.yaml"), ".")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.stop(syscall.SIGTERM); err != nil {
					t.Errorf("exit: %v", err)
				}
			})
			tellsTheTruth(t, s.cmd.Process.Pid, change, func() string { return s.stderr.String() }, func() string { return askOnce(s.url + "/") })
		})
		t.Run("fpm "+engine, func(t *testing.T) {
			t.Parallel()
			config := func(value int) string { return poolWith(fmt.Sprintf("php_value[precision] = %d", value)) }
			s := newSide(t, "phpserve", config(1), map[string]string{"s.php": script})
			s.engine = engine
			s.start()
			tellsTheTruth(t, s.cmd.Process.Pid, func(value int) { s.rewrite(config(value)) }, func() string { return s.out.String() },
				func() string { return s.ask("www.sock", nil, "") })
			if code := s.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// tellsTheTruth reloads again and again, with a new value or without, and compares.
func tellsTheTruth(t *testing.T, pid int, change func(value int), said, ask func() string) {
	t.Helper()
	const (
		none     = 0
		failed   = "reload failed, the old configuration goes on"
		plenty   = 1 << 20
		replaced = "replaced"
	)
	outcomes := map[string]int{}
	value, now := 1, 1
	for more := none; more <= 60; more += 10 {
		for _, changes := range []bool{true, false} {
			if changes {
				value++
				change(value)
			}
			entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			if err != nil {
				t.Fatal(err)
			}
			before := len(said())
			allow(t, pid, uint64(len(entries)+more))
			if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			var news string
			eventually(t, "phpserve says what came of the reload", func() bool {
				news = said()[before:]
				return strings.Contains(news, failed) || strings.Contains(news, "reloading: ") || strings.Contains(news, "reloaded")
			})
			allow(t, pid, plenty)
			outcome := "kept"
			switch {
			case strings.Contains(news, failed):
				outcome = failed
			case strings.Contains(news, "reloading: replaced www") || strings.Contains(news, "replaced=[www]"):
				outcome, now = replaced, value
			}
			outcomes[outcome]++
			if outcome == "kept" && now != value {
				t.Errorf("with %d descriptors, a pool that changed is said to be kept:\n%s", more, news)
			}
			if got, want := ask(), fmt.Sprintf("value=%d;", now); !strings.Contains(got, want) {
				t.Errorf("with %d descriptors: %q, want %s after:\n%s", more, got, want, news)
			}
		}
	}
	if outcomes[failed] == 0 || outcomes[replaced] == 0 || outcomes["kept"] == 0 {
		t.Errorf("not all that can come of it has: %v", outcomes)
	}
}
