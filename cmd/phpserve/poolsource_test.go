//go:build unix

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPoolsRefuseWithLineAndKey: the whole message names file, line, pool, key, value and what is allowed, whoever checks it.
func TestPoolsRefuseWithLineAndKey(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-pools-")
	if err := os.WriteFile(filepath.Join(dir, "index.php"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const start = "root: .\npool: shop\npools:\n  shop:\n    pm: static\n" // what follows is line 6
	for _, tt := range []struct{ name, file, config, want string }{
		{"a number in a level", "my.yaml", "pool: shop\nroot: .\npools:\n  shop:\n    pm: {max_children: x}\n", `my.yaml:5: pools.shop.pm.max_children: "x" is not a whole number`},
		{"one key in two spellings", "my.yaml", start + "    process.priority: 3\n    process: {priority: 4}\n", "my.yaml:6: pools.shop.process.priority is set twice"},
		{"a mode that is a number", "my.yaml", start + "    listen: a.sock\n    listen.mode: 0660\n", `my.yaml:7: pools.shop.listen.mode: 432 is a number: write the octal digits of a mode in quotes, such as "0660"`},
		{"a mode that is none", "my.yaml", start + "    listen: a.sock\n    listen.mode: \"9z\"\n", `my.yaml:7: [pool shop] listen.mode: "9z" is not an octal number`},
		{"a socket's owner", "my.yaml", start + "    listen: a.sock\n    listen.owner: no-such-user\n", "my.yaml:7: listen.owner: [pool shop] cannot get uid for user 'no-such-user'"},
		{"a client's address", "my.yaml", start + "    listen: 127.0.0.1:9\n    listen.allowed_clients: [127.0.0.1, foo]\n", "my.yaml:7: [pool shop] Wrong IP address 'foo' in listen.allowed_clients"},
		{"FastCGI's keys without listen", "my.yaml", start + "    listen.backlog: 5\n", "my.yaml:6: pools.shop.listen.backlog has no effect without listen"},
		{"the status page", "my.yaml", start + "    listen: a.sock\n    pm.status_path: status\n", "my.yaml:7: pm.status_path: [pool shop] the status path 'status' must start with a '/'"},
		{"the ping page", "my.yaml", start + "    listen: a.sock\n    ping.path: /\n", "my.yaml:7: ping.path: [pool shop] the ping path '/' is not long enough"},
		{"the access log", "my.yaml", start + "    listen: a.sock\n    access.log: /nowhere/a.log\n", "my.yaml:7: access.log: [pool shop] failed to open access log (/nowhere/a.log): No such file or directory (2)"},
		{"the access log's format", "my.yaml", start + "    listen: a.sock\n    access.log: a.log\n    access.format: '%y'\n", "my.yaml:8: [pool shop] wrong format for access.format '%y'"},
		{"a path without a line", "my.yaml", start + "    listen: a.sock\n    access.suppress_path: [ping]\n", "my.yaml:7: [pool shop] Values provided to field 'access.suppress_path' must begin with '/', not 'ping'"},
		{"slow log and time limit", "my.yaml", start + "    request_slowlog_timeout: 10s\n    request_terminate_timeout: 5s\n    slowlog: slow.log\n", "my.yaml:6: [pool shop] 'request_slowlog_timeout' (10s) can't be greater than 'request_terminate_timeout' (5s)"},
		{"priority", "my.yaml", start + "    process.priority: 30\n", "my.yaml:6: [pool shop] process.priority must be included into [-19,20], not 30"},
		{"spawn rate", "my.yaml", start + "    pm.max_spawn_rate: 0\n", "my.yaml:6: [pool shop] pm.max_spawn_rate must be a positive value"},
		{"a folder", "my.yaml", start + "    chdir: nowhere\n", `my.yaml:6: [pool shop] the chdir path "` + dir + `/nowhere" does not exist or is not a directory`},
		{"a variable", "my.yaml", start + "    env: [NO_SUCH_VARIABLE]\n", `my.yaml:6: [pool shop] env "NO_SUCH_VARIABLE": phpserve itself has no such variable to pass on`},
		{"a mapping for a list", "my.yaml", start + "    php_value: {memory_limit: 5M}\n", "my.yaml:6: pools.shop.php_value is a list, not a mapping"},
		{"a typo behind a key's dot", "my.yaml", start + "    pm.max_childs: 5\n", `my.yaml:6: unknown key "pools.shop.pm.max_childs", did you mean "pm.max_children"?`},
		{"a typo in a level", "my.yaml", "root: .\npool: shop\npools:\n  shop:\n    pm:\n      max_childs: 5\n", `my.yaml:6: unknown key "pools.shop.pm.max_childs", did you mean "pm.max_children"?`},
		{"extensions of the site", "my.yaml", start + "    security.limit_extensions: [.phtml]\n", `my.yaml:6: [pool shop] security.limit_extensions lacks ".php", which the site in ` + dir + " has in script_extensions"},
		{"a yes or no", "my.yaml", start + "    catch_workers_output: maybe\n", `my.yaml:6: pools.shop.catch_workers_output: "maybe" is not yes or no`},
		{"what the pool has from the top", "my.yaml", "root: .\npool: shop\npools:\n  shop:\n    pm: static\npm.max_children: 0\n", "my.yaml:6: [pool shop] pm.max_children must be a positive value, not 0"},
		{"the key of the other pool", "my.yaml", "root: .\npool: b\npools:\n  a:\n    pm: static\n  b:\n    pm: fast\n", `my.yaml:7: [pool b] pm must be static, dynamic or ondemand, not "fast"`},
		{"a pool that is not used", "my.yaml", "root: .\npools:\n  a:\n    pm: fast\n", `my.yaml:4: [pool a] pm must be static, dynamic or ondemand, not "fast"`},
		{"a list for pools", "my.yaml", "root: .\npools: [shop]\n", "my.yaml:2: pools is not a mapping"},
		{"a value for a pool", "my.yaml", "root: .\npools:\n  shop: 5\n", "my.yaml:3: pools.shop is not a mapping"},
		{"a pool of another site", "my.yaml", "root: .\nsites:\n  - root: .\n    hosts: [b]\n    pool: none\n", `my.yaml:5: sites[0].pool: there is no pool "none"`},
		{"toml", "my.toml", "root = \".\"\npool = \"shop\"\n[pools.shop]\npm = \"static\"\n\"pm.max_children\" = 0\n", "my.toml:5: [pool shop] pm.max_children must be a positive value, not 0"},
		{"json", "my.json", "{\"root\": \".\", \"pool\": \"shop\",\n \"pools\": {\n  \"shop\": {\n   \"pm\": \"fast\"\n  }\n }\n}\n", `my.json:4: [pool shop] pm must be static, dynamic or ondemand, not "fast"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, tt.file)
			if err := os.WriteFile(file, []byte(tt.config), 0o644); err != nil {
				t.Fatal(err)
			}
			code, out, errs := phpserve(t, "check", "--config", file)
			if code != exitConfig || !strings.HasPrefix(errs, "phpserve: error: "+dir+"/"+tt.want) || strings.Count(errs, "phpserve: error:") != 1 {
				t.Errorf("code %d, not one error %q\n%s%s", code, tt.want, out, errs)
			}
		})
	}
}

// TestExampleHoldsEveryKeyOfAPool: the comment about pools has those that the top does not have, with their defaults.
func TestExampleHoldsEveryKeyOfAPool(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "phpserve.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var entry strings.Builder
	entry.WriteString("pools:\n  shop:\n")
	for _, m := range regexp.MustCompile(`(?m)^#   ([a-z_.]+: .*?)(?:   .*)?$`).FindAllStringSubmatch(string(text), -1) {
		entry.WriteString("    " + m[1] + "\n")
	}
	file := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(file, []byte(entry.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s, l := loadFile(t, file)
	example := s.Pools[0].values
	want, got := defaultNamedPool("shop", s.Pool), namedPool{poolSettings: s.Pool, name: "shop"}
	if err := l.decode(example, &got, ""); err != nil {
		t.Fatal(err)
	}
	known := keysOf(reflect.TypeFor[poolSettings](), "")
	for _, key := range keysOf(reflect.TypeFor[namedPool](), "") {
		if _, there := example[key]; !there && !slices.Contains(known, key) {
			t.Errorf("%s is not in the example", key)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example has\n%+v, the defaults are\n%+v", got, want)
	}
}

// TestPoolsReload replaces pools that changed, keeps the others, and says of one that nothing uses that it is not started.
func TestPoolsReload(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-pools-")
	for name, text := range map[string]string{"a/index.php": `<?php echo ini_get('precision');`, "b/index.php": `<?php echo ini_get('precision'); error_log('said by b');`} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write := func(pools string) {
		t.Helper()
		text := "root: a\nhosts: [a.example]\npool: first\nsites:\n  - {root: b, hosts: [b.example], pool: Second}\npools:\n" + pools
		if err := os.WriteFile(filepath.Join(dir, "my.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("  First: {php_value: [precision=4]}\n  second: {php_value: [precision=5], catch_workers_output: no}\n  spare: {}\n")
	s := serve(t, dir, "--config", "my.yaml")
	if screen := s.stdout.String(); !regexp.MustCompile(`(?m)^  Pool +first: .*\n  Pool +second: `).MatchString(screen) {
		t.Errorf("the first screen: %s", screen)
	}
	const spare = "pool spare is not started: no site has pool: spare, and it has no listen"
	eventually(t, spare, func() bool { return strings.Contains(s.stderr.String(), spare) })
	a, b, at := visitHost(t, s, "a.example"), visitHost(t, s, "b.example"), "--control="+controlOf(t, s.cmd.Process.Pid)
	a.get(200, "/").mustContain(t, "4")
	b.get(200, "/").mustContain(t, "5")
	write("  first: {php_value: [precision=4]}\n  second: {php_value: [precision=6]}\n")
	if code, out, errs := phpserve(t, "reload", at); code != 0 || out != "replaced second\nkept first\n" {
		t.Errorf("reload: %d %s%s", code, out, errs)
	}
	if errs := s.stderr.String(); strings.Contains(errs, "said by b") {
		t.Errorf("it was not to be caught: %s", errs)
	}
	b.get(200, "/").mustContain(t, "6")
	eventually(t, "what b says is logged", func() bool { return strings.Contains(s.stderr.String(), "said by b") })
	write("  first: {pm: fast}\n  second: {}\n")
	if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, `my.yaml:7: [pool first] pm must be`) {
		t.Errorf("reload of what cannot work: %d %s", code, errs)
	}
	a.get(200, "/").mustContain(t, "4")
}

// TestWorkerOutputKeepsToItsPool: what is not to be caught is not logged, what is not to be decorated says nothing of its worker.
func TestWorkerOutputKeepsToItsPool(t *testing.T) {
	var said strings.Builder
	var pools atomic.Pointer[map[string]workerOutput]
	pools.Store(&map[string]workerOutput{"full": {caught: true, decorated: true}, "plain": {caught: true}, "quiet": {decorated: true}})
	plain := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := filterOutput(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{ReplaceAttr: plain})), &pools, func() {})
	for _, pool := range []string{"full", "plain", "quiet", "unknown"} {
		log.Warn("php message", "pool", pool, "pid", 7, "text", "hello")
		log.With("pool", pool).With("pid", 7).Warn("php output", "text", "there")
		log.Info("something else", "pool", pool)
	}
	want := `level=WARN msg="php message" pool=full pid=7 text=hello
level=WARN msg="php output" pool=full pid=7 text=there
level=INFO msg="something else" pool=full
level=WARN msg="php message" text=hello
level=WARN msg="php output" text=there
level=INFO msg="something else" pool=plain
level=INFO msg="something else" pool=quiet
level=WARN msg="php message" pool=unknown pid=7 text=hello
level=WARN msg="php output" pool=unknown pid=7 text=there
level=INFO msg="something else" pool=unknown
`
	if said.String() != want {
		t.Errorf("\n%s, not\n%s", said.String(), want)
	}
}
