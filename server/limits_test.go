package server

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

func TestWorkersHaveTheLimitsOfTheirPool(t *testing.T) {
	for _, engine := range engines {
		nice := 5
		ts := startServer(t, engine, nil, func(c *Config) {
			p := &c.Pools[0]
			p.RlimitFiles, p.RlimitCore, p.Priority, p.Chdir = 123, 4096, &nice, "/usr"
		})
		for _, pid := range ts.pids() {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"Max open files": "123", "Max core file size": "4096"} {
				_, after, _ := strings.Cut(string(text), name)
				if f := strings.Fields(after); len(f) < 2 || f[0] != want || f[1] != want {
					t.Errorf("%s: %s is not %s soft and hard:\n%s", engine, name, want, text)
				}
			}
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(string(stat), ") ")
			if got := strings.Fields(after)[16]; got != "5" { // proc_pid_stat(5), field 19
				t.Errorf("%s: nice value %s", engine, got)
			}
			if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || cwd != "/usr" {
				t.Errorf("%s: working folder %q, %v", engine, cwd, err)
			}
		}
	}
}

func TestPoolConfigRefusesLimitsThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(*manager.PoolConfig){
		"process.priority must be included into [-19,20], not 21": func(p *manager.PoolConfig) { n := 21; p.Priority = &n },
		"rlimit_files must be 0":                                  func(p *manager.PoolConfig) { p.RlimitFiles = -1 },
		"rlimit_core must be unlimited":                           func(p *manager.PoolConfig) { p.RlimitCore = -2 },
	} {
		p := manager.DefaultPoolConfig(1)
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
