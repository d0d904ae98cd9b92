package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

var (
	phpComment  = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	phpString   = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`)
	phpCall     = regexp.MustCompile(`(->|::|new |function )?\b([a-z_][a-z_0-9]*)\s*\(`)
	phpKeywords = []string{
		"if", "elseif", "while", "foreach", "for", "switch", "catch", "function", "isset", "empty", "exit", "die", "array", "list", "echo", "print",
		"include", "require", "return", "use", "and", "or", "static", "fn", "match", "unset", "eval",
	}
	// zygoteNeeds are what forks workers; without one of them workers are started one by one.
	zygoteNeeds = []string{"pcntl_fork", "pcntl_waitpid"}
)

// calledFunctions are all functions that phpserve's own PHP scripts call.
func calledFunctions(t *testing.T) (called []string) {
	t.Helper()
	files, err := filepath.Glob("../manager/runtime/*.php")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code := phpString.ReplaceAllString(phpComment.ReplaceAllString(string(text), ""), "''")
		for _, m := range phpCall.FindAllStringSubmatch(code, -1) {
			if m[1] == "" && !slices.Contains(phpKeywords, m[2]) && !strings.HasPrefix(m[2], "phpserve_") {
				called = append(called, m[2])
			}
		}
	}
	slices.Sort(called)
	return slices.Compact(called)
}

// A pool may take any function away that phpserve's own scripts call, each one and all together: it starts and serves, and what
// phpserve offers to scripts does no harm.
func TestPoolServesWithoutAnyFunctionOfItsOwnScripts(t *testing.T) {
	t.Parallel()
	called := calledFunctions(t)
	for _, known := range []string{"pcntl_fork", "getmypid", "ob_end_flush", "error_log", "register_shutdown_function", "stream_socket_client", "function_exists", "bin2hex"} {
		if !slices.Contains(called, known) {
			t.Fatalf("%s() is not found in the scripts: %v", known, called)
		}
	}
	// And what others of this kind would call.
	all := append([]string{"defined", "is_callable", "strlen", "define", "ini_set", "header", "call_user_func", "usleep", "spl_autoload_register"}, called...)
	withoutForks := slices.DeleteFunc(slices.Clone(all), func(f string) bool { return slices.Contains(zygoteNeeds, f) })
	lists := [][]string{withoutForks, all}
	for _, f := range all {
		lists = append(lists, []string{f})
	}
	eachEngine(t, func(t *testing.T, engine string) {
		slot := make(chan struct{}, 4) // a hundred servers at once are too many
		for _, list := range lists {
			name := list[0]
			if len(list) > 1 {
				name = map[bool]string{true: "all", false: "all but forks"}[len(list) == len(all)]
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slot <- struct{}{}
				defer func() { <-slot }()
				servesWithout(t, engine, list)
			})
		}
	})
}

// servesWithout starts a pool without some functions and has it serve.
func servesWithout(t *testing.T, engine string, list []string) {
	asked, want := engine, engine
	if slices.ContainsFunc(list, func(f string) bool { return slices.Contains(zygoteNeeds, f) }) {
		asked, want = manager.EngineAuto, manager.EngineSpawn
	}
	ts := startServer(t, asked, map[string]string{
		"ok.php":     `<?php echo 'ok';`,
		"finish.php": `<?php echo 'fin'; try { fastcgi_finish_request(); } catch (Error $e) { } try { fpm_get_status(); } catch (Error $e) { }`,
	}, func(c *Config) {
		c.Pools[0].Observe, c.Pools[0].ObserveAll = engine == manager.EngineZygote, engine == manager.EngineSpawn // each measures by a script of its own
		c.Pools[0].MaxChildren, c.Pools[0].PHPAdminValue = 1, []string{"disable_functions=" + strings.Join(list, ",")}
	})
	if kind, why := ts.pool().Engine(); kind != want {
		t.Errorf("the engine is %s: %s", kind, why)
	}
	for range 2 {
		for path, body := range map[string]string{"/ok.php": "ok", "/finish.php": "fin"} {
			if got := ts.get(path); got.StatusCode != 200 || got.body != body {
				t.Errorf("%s: got %d %q", path, got.StatusCode, got.body)
			}
		}
	}
}
