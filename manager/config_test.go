package manager

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultPoolIsValid(t *testing.T) {
	for _, cpus := range []int{1, 2, 64} {
		c := DefaultPoolConfig(cpus)
		if err := c.Validate(); err != nil {
			t.Errorf("with %d processors: %v", cpus, err)
		}
	}
}

func TestPoolConfigSaysWhatIsWrongAndWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		change func(*PoolConfig)
		want   string
	}{
		{func(c *PoolConfig) { c.Engine = "fork" }, `engine must be auto, zygote or spawn, not "fork"`},
		{func(c *PoolConfig) { c.PM = "Dynamic" }, `pm must be static, dynamic or ondemand, not "Dynamic"`},
		{func(c *PoolConfig) { c.PM, c.MaxChildren = PMStatic, 0 }, "pm.max_children must be a positive value, not 0"},
		{func(c *PoolConfig) { c.PM, c.MaxChildren = PMOndemand, -1 }, "pm.max_children must be a positive value, not -1"},
		{func(c *PoolConfig) { c.PM, c.ProcessIdleTimeout = PMOndemand, 0 }, "pm.process_idle_timeout must be greater than 0s, not 0s"},
		{func(c *PoolConfig) { c.MinSpareServers = -1 }, "pm.min_spare_servers(-1) must be a positive value"},
		{func(c *PoolConfig) { c.MinSpareServers, c.MaxSpareServers = 3, 2 }, "pm.max_spare_servers(2) must not be less than pm.min_spare_servers(3)"},
		{func(c *PoolConfig) { c.MaxChildren, c.MaxSpareServers = 8, 9 }, "pm.min_spare_servers(1) and pm.max_spare_servers(9) cannot be greater than pm.max_children(8)"},
		{func(c *PoolConfig) { c.StartServers, c.MinSpareServers, c.MaxSpareServers = 1, 2, 4 }, "pm.start_servers(1) must not be less than pm.min_spare_servers(2) and not greater than pm.max_spare_servers(4)"},
		{func(c *PoolConfig) { c.StartServers, c.MinSpareServers, c.MaxSpareServers = 5, 2, 4 }, "pm.start_servers(5) must not be less"},
		{func(c *PoolConfig) { c.MaxRequests = -1 }, "pm.max_requests must be 0 (never) or greater, not -1"},
		{func(c *PoolConfig) { c.QueueSize = -1 }, "queue.size must be 0 (nothing waits) or greater, not -1"},
		{func(c *PoolConfig) { c.QueueTimeout = 0 }, "queue.timeout must be greater than 0s, not 0s"},
		{func(c *PoolConfig) { c.RequestTerminateTimeout = -time.Second }, "request_terminate_timeout must be 0 (no limit) or greater, not -1s"},
		{func(c *PoolConfig) { c.Env = []string{"=x"} }, `env "=x" must be NAME=VALUE or NAME`},
		{func(c *PoolConfig) { c.Env = []string{"PHPSERVE_TEST_UNSET"} }, `env "PHPSERVE_TEST_UNSET": phpserve itself has no such variable`},
		{func(c *PoolConfig) { c.PHPValue = []string{"memory_limit"} }, `php_value "memory_limit": must be NAME=VALUE`},
		{func(c *PoolConfig) { c.PHPAdminValue = []string{"a=b\x00c=d"} }, `php_admin_value "a=b\x00c=d": must not contain a NUL`},
	} {
		pool := DefaultPoolConfig(2)
		c.change(&pool)
		if err := pool.Validate(); err == nil || !strings.Contains(err.Error(), "[pool www] "+c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	all := DefaultPoolConfig(2)
	all.Engine, all.PM, all.MaxRequests = "x", "y", -1
	if err := all.Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three errors give %v", err)
	}
}

func TestPoolConfigTellsEverythingThatIsWrongInTheOrderOfItsSettings(t *testing.T) {
	c := DefaultPoolConfig(2)
	priority := 21
	c.Engine, c.MaxChildren, c.PM, c.ProcessIdleTimeout = "fork", 0, PMOndemand, -time.Second
	c.Priority, c.RlimitFiles, c.RlimitCore = &priority, -1, RlimitUnlimited-1
	c.MaxRequests, c.QueueSize, c.QueueTimeout, c.RequestTerminateTimeout = -1, -2, -time.Second, -time.Minute
	c.RequestSlowlogTimeout, c.RequestSlowlogTraceDepth = -1, -1
	c.Env, c.PHPValue, c.PHPAdminValue = []string{"=x", "PHPSERVE_TEST_UNSET"}, []string{"memory_limit"}, []string{"a=b\x00c=d"}
	want := `[pool www] engine must be auto, zygote or spawn, not "fork"
[pool www] pm.max_children must be a positive value, not 0
[pool www] pm.process_idle_timeout must be greater than 0s, not -1s
[pool www] process.priority must be included into [-19,20], not 21
[pool www] rlimit_files must be 0 (as it is) or greater, not -1
[pool www] rlimit_core must be unlimited, 0 (as it is) or greater, not -2
[pool www] pm.max_requests must be 0 (never) or greater, not -1
[pool www] queue.size must be 0 (nothing waits) or greater, not -2
[pool www] queue.timeout must be greater than 0s, not -1s
[pool www] request_terminate_timeout must be 0 (no limit) or greater, not -1m0s
[pool www] request_slowlog_timeout and request_slowlog_trace_depth must be 0 (off, and 20) or greater
[pool www] env "=x" must be NAME=VALUE or NAME
[pool www] env "PHPSERVE_TEST_UNSET": phpserve itself has no such variable to pass on
[pool www] php_value "memory_limit": must be NAME=VALUE
[pool www] php_admin_value "a=b\x00c=d": must not contain a NUL`
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestPoolStartsWithAsManyWorkersAsItsManagerSays(t *testing.T) {
	for _, c := range []struct {
		cfg  PoolConfig
		want int
	}{
		{PoolConfig{PM: PMStatic, MaxChildren: 7}, 7},
		{PoolConfig{PM: PMOndemand, MaxChildren: 7}, 0},
		{PoolConfig{PM: PMDynamic, MaxChildren: 7, StartServers: 3}, 3},
		{PoolConfig{PM: PMDynamic, MaxChildren: 9, MinSpareServers: 2, MaxSpareServers: 6}, 4},
		{PoolConfig{PM: PMDynamic, MaxChildren: 1}, 1},
	} {
		c.cfg.complete()
		if got := c.cfg.startServers(); got != c.want {
			t.Errorf("%+v starts %d workers, want %d", c.cfg, got, c.want)
		}
	}
}

func TestEnvironmentOfWorkers(t *testing.T) {
	t.Setenv("PHPSERVE_LISTEN", "x")
	t.Setenv("PHP_FCGI_CHILDREN", "5")
	t.Setenv("PHP_FCGI_MAX_REQUESTS", "7")
	t.Setenv("FCGI_WEB_SERVER_ADDRS", "10.0.0.1")
	t.Setenv("REDIRECT_STATUS", "200")
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	t.Setenv("SECRET", "s3cret")
	t.Setenv("PHP_INI_SCAN_DIR", "/etc/more")
	t.Setenv("HOME", "/home/of-phpserve")
	t.Setenv("USER", "of-phpserve")
	dir := &runtimeDir{path: "/run/phpserve-www-1"}
	owned := &runtimeDir{path: "/run/phpserve-www-1", owner: &credential{name: "site", home: "/srv/site"}}

	cleared := DefaultPoolConfig(1)
	cleared.Env = []string{"APP_ENV=prod", "SECRET", "EMPTY=", "TWICE=a=b"}
	kept := cleared
	kept.ClearEnv = false
	for _, c := range []struct {
		rule string
		env  []string
		has  []string
		not  []string
	}{
		{
			"a clean environment holds PATH, who it is, and what the pool says", cleared.environment(dir),
			[]string{"PATH=" + os.Getenv("PATH"), "HOME=/home/of-phpserve", "USER=of-phpserve", "APP_ENV=prod", "SECRET=s3cret", "EMPTY=", "TWICE=a=b"},
			[]string{"PHPSERVE_LISTEN", "REDIRECT_STATUS", "FCGI_WEB_SERVER_ADDRS", "NOTIFY_SOCKET", "PHP_FCGI_CHILDREN"},
		},
		{
			"another user has his own name and home", cleared.environment(owned),
			[]string{"HOME=/srv/site", "USER=site"},
			nil,
		},
		{
			"clear_env=no passes on all but what is phpserve's or would confuse php-cgi", kept.environment(dir),
			[]string{"SECRET=s3cret", "HOME=/home/of-phpserve", "USER=of-phpserve", "APP_ENV=prod"},
			[]string{"PHPSERVE_LISTEN", "PHP_FCGI_CHILDREN", "FCGI_WEB_SERVER_ADDRS", "REDIRECT_STATUS", "NOTIFY_SOCKET"},
		},
		{
			"clear_env=no gives another user his own home", kept.environment(owned),
			[]string{"HOME=/srv/site", "USER=site", "SECRET=s3cret"},
			nil,
		},
	} {
		t.Run(c.rule, func(t *testing.T) {
			always := []string{"PHP_FCGI_MAX_REQUESTS=0", "PHP_INI_SCAN_DIR=/etc/more" + string(os.PathListSeparator) + "/run/phpserve-www-1/conf.d"}
			for _, want := range append(always, c.has...) {
				name, _, _ := strings.Cut(want, "=")
				var last string // of several, exec takes the last
				for _, kv := range c.env {
					if strings.HasPrefix(kv, name+"=") {
						last = kv
					}
				}
				if last != want {
					t.Errorf("got %q, want %q", last, want)
				}
			}
			for _, name := range c.not {
				if slices.ContainsFunc(c.env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") }) {
					t.Errorf("it has %s", name)
				}
			}
		})
	}
}
