package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// enforcedScript says whether php_admin_value holds for it: scripts cannot change such a setting.
const enforcedScript = `<?php echo ini_get('memory_limit'), ' ', var_export(@ini_set('memory_limit', '12M'), true), ' ', ini_get('user_agent');`

// What is to be enforced holds below a root of any name, and nothing of a name becomes a setting.
func TestAdminValuesHoldBelowRootsOfAnyName(t *testing.T) {
	t.Parallel()
	names := []string{
		"a;b", "a]b", "it's", `q"x`, "dollar${PATH}x", "$x", "${", "back\\slash", "new\nline = 1", "line\n[PATH=/]\nuser_agent = evil\n", "50%41", "~tilde",
		"two  spaces ", "ünïcödé✓", "[section]", "a=b", "#hash", "a|b&c", "tab\tbed", "!", "(a)", "quote'd\\",
	}
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for dir := base; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		dir := filepath.Join(base, string(rune('a'+i)), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, resolve := range []bool{false, true} {
			root := dir
			if resolve {
				if root = filepath.Join(base, string(rune('a'+i)), "current"); os.Symlink(name, root) != nil {
					t.Fatal("cannot make a link")
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "index.php"), []byte(enforcedScript), 0o644); err != nil {
				t.Fatal(err)
			}
			ts := startServer(t, manager.EngineSpawn, nil, func(c *Config) {
				c.Sites[0].Root, c.Sites[0].ResolveSymlinks = root, resolve
				c.Pools[0].MaxChildren, c.Pools[0].PHPAdminValue = 1, []string{"memory_limit=77M"}
			})
			if got := ts.get("/index.php").body; got != "77M false " {
				t.Errorf("%q, resolve_symlinks %v: got %q", name, resolve, got)
			}
		}
	}
}

// A link that is switched after the start can lead to a folder of the root folder that no section of the ini file speaks of.
func TestAdminValuesHoldWhereALinkLeadsAfterTheStart(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		elsewhere := "/dev/shm" // it is always there, and no root of these tests is below /dev
		release, err := os.MkdirTemp(elsewhere, "phpserve-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(release) })
		if err := os.Chmod(release, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(release, "index.php"), []byte(enforcedScript), 0o644); err != nil {
			t.Fatal(err)
		}
		var current string
		ts := startServer(t, engine, map[string]string{"one/index.php": "<?php echo 'first';"}, func(c *Config) {
			current = filepath.Join(c.Sites[0].Root, "current")
			if err := os.Symlink("one", current); err != nil {
				t.Fatal(err)
			}
			c.Sites[0].Root, c.Sites[0].ResolveSymlinks = current, true
			c.Pools[0].PHPAdminValue = []string{"memory_limit=77M"}
		})
		if got := ts.get("/index.php").body; got != "first" {
			t.Fatalf("got %q", got)
		}
		if err := os.Remove(current); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(release, current); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new release is served", func() bool { return ts.get("/index.php").body != "first" })
		if got := ts.get("/index.php").body; got != "77M false " {
			t.Errorf("got %q", got)
		}
	})
}

// phpserve's own scripts run whatever the operator takes away from those of the site.
func TestPoolStartsWhateverItsSettingsTakeAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ setting, want string }{
		{"doc_root=ROOT", "ran"},
		{"doc_root=/nonexistent", ""}, // the site's own affair, as with php-fpm: it has no scripts there
		{"disable_functions=error_log", "ran"},
		{"disable_functions=ini_get,extension_loaded,implode,array_filter,php_ini_loaded_file,bin2hex,ini_get_all,get_cfg_var", "ran"},
		{"disable_functions=flush,register_shutdown_function,memory_get_peak_usage,putenv", "ran"},
		{"open_basedir=ROOT", "ran"},
		{"auto_prepend_file=ROOT/lib/before.php", "before ran"},
		{"auto_append_file=ROOT/lib/after.php", "ran after"},
		{"output_handler=ob_gzhandler", "ran"},
		{"output_handler=nonexistent_handler", ""},
		{"session.auto_start=1", "ran"},
		{"memory_limit=1M", "ran"},
		{"max_execution_time=1", "ran"},
		{"variables_order=", "ran"},
		{"error_log=/nonexistent/folder/log", "ran"},
		{"zlib.output_compression=1", "ran"},
		{"display_errors=stderr", "ran"},
	} {
		t.Run(c.setting, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				for kind, set := range map[string]func(*manager.PoolConfig, string){
					"php_admin_value": func(p *manager.PoolConfig, kv string) { p.PHPAdminValue = []string{kv} },
					"php_value":       func(p *manager.PoolConfig, kv string) { p.PHPValue = []string{kv} },
				} {
					ts := startServer(t, engine, map[string]string{
						"index.php": "<?php echo 'ran';", "lib/before.php": "<?php echo 'before ';", "lib/after.php": "<?php echo ' after';",
					}, func(cfg *Config) {
						set(&cfg.Pools[0], strings.ReplaceAll(c.setting, "ROOT", cfg.Sites[0].Root))
					})
					ts.idleWorkers(2)
					for range 2 {
						if got := ts.get("/index.php").body; c.want != "" && got != c.want {
							t.Errorf("%s: got %q, want %q", kind, got, c.want)
						}
					}
				}
			})
		})
	}
}

// Some settings PHP takes at its start only; given for a folder they would be a warning in each request.
func TestSettingsOfThePoolMakeNoWarningInRequests(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"index.php": `<?php echo json_encode(error_get_last()), ini_get('opcache.enable'), ini_get('zend.assertions');`}, func(c *Config) {
			c.Pools[0].PHPAdminValue = []string{"opcache.enable=1", "opcache.memory_consumption=64", "zend.assertions=-1", "realpath_cache_size=64k", "short_open_tag=1", "enable_dl=0"}
		})
		for range 2 {
			if got := ts.get("/index.php").body; got != "null1-1" {
				t.Errorf("got %q", got)
			}
		}
		if log := ts.log.String(); strings.Contains(log, "php message") || strings.Contains(log, "php output") {
			t.Errorf("PHP says:\n%s", log)
		}
	})
}
