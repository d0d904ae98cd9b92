package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/site"
)

// includedScript is a script that guards itself as applications do: a file that is not the first one, or not the only one, is an attack.
const includedScript = `<?php echo json_encode([count(get_included_files()), get_included_files()[0] === __FILE__, function_exists('fastcgi_finish_request'),
	function_exists('fpm_get_status'), ini_get('auto_prepend_file'), ini_get('auto_append_file'), ini_get('open_basedir'), get_defined_vars() == ['_GET' => $_GET, '_POST' => $_POST, '_COOKIE' => $_COOKIE, '_FILES' => $_FILES] + $GLOBALS, debug_backtrace()], JSON_UNESCAPED_SLASHES);`

func TestFunctionsOfPHPFPMNeedNoIncludedFile(t *testing.T) {
	t.Parallel()
	const plain = `[1,true,true,true,"","","",true,[]]`
	for rule, c := range map[string]struct {
		values []string
		want   string
	}{
		"as it comes":                    {nil, plain},
		"without looking at files again": {[]string{"opcache.validate_timestamps=0"}, plain},
		"with the JIT":                   {[]string{"opcache.jit=tracing", "opcache.jit_buffer_size=8M"}, plain},
		"where the API is restricted":    {[]string{"opcache.restrict_api=/nonexistent"}, plain},
		"with a blacklist of all":        {[]string{"opcache.blacklist_filename=ROOT/list/all"}, plain},
		"with a file cache":              {[]string{"opcache.file_cache=ROOT/cache"}, plain},
		"with errors of opcache":         {[]string{"opcache.log_verbosity_level=4", "opcache.error_log=/dev/null"}, plain},
		"within open_basedir":            {[]string{"open_basedir=ROOT"}, `[1,true,true,true,"","","ROOT",true,[]]`},
		"opcache off":                    {[]string{"opcache.enable=0"}, `[1,true,false,false,"","","",true,[]]`},
		"opcache in files only":          {[]string{"opcache.file_cache_only=1", "opcache.file_cache=ROOT/cache"}, `[1,true,false,false,"","","",true,[]]`},
		"taken away as from php-fpm":     {[]string{"disable_functions=fastcgi_finish_request"}, `[1,true,false,true,"","","",true,[]]`},
		"what they need is taken away":   {[]string{"disable_functions=error_log,unserialize"}, `[1,true,false,false,"","","",true,[]]`},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				var root string
				ts := startServer(t, engine, map[string]string{"index.php": includedScript, "list/all": "/\n", "cache/x": ""}, func(cfg *Config) {
					root = cfg.Sites[0].Root
					if err := os.Chmod(filepath.Join(root, "cache"), 0o777); err != nil {
						t.Fatal(err)
					}
					for _, kv := range c.values {
						cfg.Pools[0].PHPAdminValue = append(cfg.Pools[0].PHPAdminValue, strings.ReplaceAll(kv, "ROOT", root))
					}
				})
				want := strings.ReplaceAll(c.want, "ROOT", root)
				for range 3 { // compiled, and from opcache
					if got := ts.get("/index.php").body; got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				}
				lacking := strings.Contains(want, "false") && !strings.Contains(rule, "as from php-fpm")
				if said := strings.Contains(ts.log.String(), manager.MessageDiffers); said != lacking {
					t.Errorf("that functions are missing is said: %v\n%s", said, ts.log)
				}
			})
		})
	}
}

// A script cannot take the functions away for a folder, and its own prepended file is the first one, as anywhere.
func TestFunctionsOfPHPFPMStayWithAnAutoPrependFileOfAUserIni(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"wf/.user.ini": "auto_prepend_file = waf.php\n", "wf/waf.php": `<?php $waf = count(get_included_files());`,
			"wf/index.php": `<?php echo $waf, ' ', implode(',', array_map('basename', get_included_files())), ' ', function_exists('fastcgi_finish_request') ? 'there' : 'gone';`,
		}, nil)
		if got, want := ts.get("/wf/index.php").body, "1 waf.php,index.php there"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestPreloadOfTheOperatorStaysWhatItIs(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"index.php": `<?php echo implode(' ', [operators(), class_exists('Operators', false) ? 'class' : '', OPERATORS_FILE === __DIR__ . '/lib/preload.php' ? 'file' : OPERATORS_FILE, function_exists('fastcgi_finish_request'), count(get_included_files())]);`,
		"lib/preload.php": `<?php
			function operators() { static $n = 0; return 'called ' . ++$n; }
			class Operators { const FILE = __FILE__; }
			const OPERATORS = 1;
			$left = 'a variable';
			function_exists('fastcgi_finish_request') || exit(1);`,
		"lib/broken.php": `<?php function half() {}  throw new LogicException('no preload today');`,
		"lib/syntax.php": `<?php function (`,
	}
	files["index.php"] = strings.ReplaceAll(files["index.php"], "OPERATORS_FILE", "Operators::FILE")
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, func(c *Config) {
			c.Pools[0].PHPAdminValue = []string{"opcache.preload=" + filepath.Join(c.Sites[0].Root, "lib/preload.php")}
		})
		for range 2 {
			if got, want := ts.get("/index.php").body, "called 1 class file 1 1"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
	for file, want := range map[string]string{"broken.php": "no preload today", "syntax.php": "Parse error", "missing.php": "missing.php"} {
		t.Run(file, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine string) {
				log := newLogBuffer()
				c := DefaultConfig()
				one, pool := site.DefaultConfig(), manager.DefaultPoolConfig(1)
				one.Root = makeRoot(t, files)
				pool.Engine, pool.User = engine, testUser()
				pool.PHPAdminValue = []string{"opcache.preload=" + filepath.Join(one.Root, "lib", file)}
				c.Listen, c.Sites, c.Pools = []string{"127.0.0.1:0"}, []site.Config{one}, []manager.PoolConfig{pool}
				s, err := New(c, map[string]*manager.PHP{"www": testPHP(t)}, "test", slog.New(slog.NewTextHandler(log, nil)), io.Discard)
				if err == nil {
					err = s.Start(t.Context())
					s.Stop(t.Context())
				}
				said := fmt.Sprint(err) + log.String()
				if err == nil || !strings.Contains(said, want) || !strings.Contains(said, "lib/"+file) {
					t.Errorf("it starts, or does not say %q of %s: %s", want, file, said)
				}
			})
		})
	}
}

// Buffers that a script has made cannot all be ended from outside of it. php-fpm empties them by force.
func TestFinishRequestNeverDropsOutput(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{}
	want := map[string]string{}
	add := func(name, code, says, body string) {
		scripts[name+".php"] = finishLib + `while (ob_get_level()) { ob_end_flush(); } ` + code + `
			try { $done = var_export(fastcgi_finish_request(), true); } catch (Throwable $t) { $done = $t->getMessage(); }
			say('<` + name + `> ' . $done . ' ' . var_export(fastcgi_finish_request(), true) . ' ' . (error_get_last()['message'] ?? 'quiet'));
			echo ' late'; say('<` + name + `> end');`
		want[name] = says + "\x00" + body
	}
	add("flushable", `ob_start(null, 0, 48); echo 'page';`, "true false quiet", "page")
	add("only-cleanable", `ob_start(null, 0, 16); echo 'page';`, "false false quiet", "page late")
	add("fixed", `ob_start(null, 0, 0); echo 'page';`, "false false quiet", "page late")
	add("only-removable", `ob_start(null, 0, 64); echo 'page';`, "true false quiet", "page")
	add("empty-flushable", `ob_start(null, 0, 48);`, "false false quiet", " late")
	add("fixed-above", `ob_start(); echo 'outer '; ob_start(null, 0, 48); echo 'inner';`, "false false quiet", "outer inner late")
	add("fixed-below", `ob_start(null, 0, 48); echo 'outer '; ob_start(); echo 'inner';`, "true false quiet", "outer inner")
	add("upper", `ob_start(fn ($s) => strtoupper($s), 0, 48); echo 'page';`, "true false quiet", "PAGE")
	add("throws", `ob_start(); echo 'outer '; ob_start(function ($s) { throw new Exception('from the buffer'); }); echo 'inner';`, "from the buffer false quiet", "outer inner")
	add("throws-fixed", `ob_start(function ($s) { throw new Exception('from the buffer'); }, 0, 48); echo 'page';`, "from the buffer false quiet", "page")
	add("refuses", `ob_start(fn ($s) => false); echo 'page';`, "true false quiet", "page")
	scripts["exits.php"] = finishLib + `ob_start(function ($s) { exit($s . '!'); }); echo 'page'; fastcgi_finish_request(); say('never');`
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, scripts, nil)
		for name, expected := range want {
			says, body, _ := strings.Cut(expected, "\x00")
			if got := ts.get("/" + name + ".php"); got.StatusCode != http.StatusOK || got.body != body {
				t.Errorf("%s: got %d %q, want %q", name, got.StatusCode, got.body, body)
			}
			if notes := ts.said("<" + name + "> end"); !strings.Contains(notes, "<"+name+"> "+says+"\n") {
				t.Errorf("%s: not %q in\n%s", name, says, notes)
			}
		}
		if got := ts.get("/exits.php"); !strings.Contains(got.body, "page") {
			t.Errorf("a callback that exits: got %q", got.body)
		}
	})
}
