//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// outputNames are the names that a script or a setting has for standard output and error.
var outputNames = []string{"php://stderr", "php://stdout", "/dev/stderr", "/dev/stdout", "/proc/self/fd/2", "/proc/self/fd/1", "/dev/fd/2"}

// TestFPMOutputUnderEveryNameIsAsWithPHPFPM has scripts, their programs and PHP's own log write to standard output and error under every
// name. As with php-fpm, opening them works or fails alike, messages reach the web server, and what is not caught goes nowhere.
func TestFPMOutputUnderEveryNameIsAsWithPHPFPM(t *testing.T) {
	t.Parallel()
	requests := []sideRequest{{name: "message", script: `error_log("to the web server"); echo 1;`}}
	for _, name := range outputNames {
		for _, mode := range []string{"w", "a", "w+"} {
			requests = append(requests, sideRequest{
				name:   name + " opened with " + mode,
				script: fmt.Sprintf(`$f = @fopen(%q, %q); echo $f ? "opened " . fwrite($f, "a said line\n") : error_get_last()["message"];`, name, mode),
			})
		}
		requests = append(requests, sideRequest{
			name:   name + " as error_log",
			script: fmt.Sprintf(`ini_set("error_log", %q); error_log("a message to a name"); echo 1;`, name),
		})
		if strings.HasPrefix(name, "/") {
			requests = append(requests, sideRequest{
				name: name + " of a program", script: fmt.Sprintf(`exec("echo a said line of a program 2>&- > %s", $out, $code); echo $code;`, name),
			})
		}
	}
	for _, caught := range []string{"yes", "no"} {
		for _, dumpable := range []string{"yes", "no"} {
			t.Run("caught "+caught+", dumpable "+dumpable, func(t *testing.T) {
				t.Parallel()
				fpm, own := bothSides(t, poolWith("catch_workers_output = "+caught, "process.dumpable = "+dumpable), requests)
				endBoth(t, fpm, own, syscall.SIGTERM)
				for _, s := range []*side{fpm, own, own.twin} {
					for _, want := range []string{"a said line", "to the web server", "a message to a name"} {
						if strings.Contains(s.out.String(), want) != (caught == "yes") {
							t.Errorf("%s %s: caught %s, and of %q the log says\n%s", s.name, s.engine, caught, want, s.out)
						}
					}
				}
			})
		}
	}
}

// TestErrorLogThatIsAnOutputReachesTheLog has php.ini and the pool say that PHP's own log is standard error or output, under every name.
// These are sockets, which nobody can open by name (open(2), ENXIO): then PHP hands its messages on as without error_log.
func TestErrorLogThatIsAnOutputReachesTheLog(t *testing.T) {
	const script = `<?php error_log("a message in the log"); echo ini_get("error_log"), $missing;`
	underBothEngines(t, func(t *testing.T, engine string) {
		sources := []string{"php.ini", "php_admin_value", "php_value"}
		for i, name := range outputNames {
			from := sources[i%len(sources):][:1]
			if name == "/dev/stderr" {
				from = sources
			}
			for _, from := range from {
				t.Run(name+" of "+from, func(t *testing.T) {
					t.Parallel()
					ini, directive, key := "log_errors = on\ndisplay_errors = off\n", "", ""
					if from == "php.ini" {
						ini += "error_log = \"" + name + "\"\n"
					} else {
						directive, key = from+"[error_log] = "+name, from+": [\"error_log="+name+"\"]\n"
					}
					s := newSide(t, "phpserve", poolWith("catch_workers_output = yes", directive), map[string]string{
						"s.php": script, "php.ini": ini, "phpserve.yaml": "engine: " + engine + "\nlisten: 127.0.0.1:0\nroot: .\n" + key,
					})
					s.engine = engine
					s.start("-c", filepath.Join(s.dir, "php.ini"))
					if got := s.ask("www.sock", nil, ""); !strings.Contains(got, name+"\n") {
						t.Errorf("the script has no such error_log: %q", got)
					}
					s.stop(syscall.SIGTERM)
					mustTellOnce(t, "fpm", s.out.String())

					run, err := launch(s.dir, cleanEnviron("PHPRC="+filepath.Join(s.dir, "php.ini")), "run", "--config", "phpserve.yaml")
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(run.kill)
					if got, err := fetch(plainClient(), http.MethodGet, run.url+"/s.php", nil); err != nil || got.body != name {
						t.Errorf("the script has no such error_log: %v, %v", got, err)
					}
					if err := run.stop(os.Interrupt); err != nil {
						t.Error(err)
					}
					mustTellOnce(t, "run", run.stderr.String())
				})
			}
		}
	})
}

// mustTellOnce checks that both messages of a script are in a log, each once.
func mustTellOnce(t *testing.T, mode, log string) {
	t.Helper()
	for _, want := range []string{"a message in the log", "Undefined variable $missing"} {
		if n := strings.Count(log, want); n != 1 {
			t.Errorf("%s: %q is in the log %d times\n%s", mode, want, n, log)
		}
	}
}
