package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/phpserve/phpserve/internal/patient"
)

// TestNoTextOfARunningRequestSteersAScreenOfFPM: while a request runs whose every parameter is hostile, as a web server may hand it on,
// status, trace, profile, top and the dashboard show it tamed, and afterwards so do the logs.
func TestNoTextOfARunningRequestSteersAScreenOfFPM(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", poolWith("catch_workers_output = yes", "process.dumpable = yes", "slowlog = DIR/slow.log", "request_slowlog_timeout = 1"), map[string]string{
			"slow.php": `<?php
				class Shop { static function waits(string $x) { touch(dirname(__FILE__) . '/runs'); while (!file_exists(dirname(__FILE__) . '/go')) { usleep(10000); clearstatcache(); } } }
				eval("function \xc2\x9b31m_\xe2\x80\xae(\$x) { Shop::waits(\$x); }");
				error_log($_SERVER['QUERY_STRING']); ("\xc2\x9b31m_\xe2\x80\xae")($_SERVER['QUERY_STRING']);`,
		})
		s.engine = engine
		admin, all := fmt.Sprintf("127.0.0.1:%d", patient.Port(t)), ""
		for _, text := range hostileTexts {
			all += text
		}
		s.launch("-F", "-y", s.conf, "--admin", admin)
		eventually(t, "it serves", func() bool { return strings.Contains(s.file("error.log"), "ready to handle connections") })
		answered := make(chan string, 1)
		go func() {
			answered <- s.ask("www.sock", map[string]string{
				"SCRIPT_FILENAME": filepath.Join(s.dir, "slow.php"), "SCRIPT_NAME": "/slow.php", "REQUEST_METHOD": hostileTexts["csi"] + hostileTexts["newline"], "REQUEST_URI": "/route/" + all,
				"QUERY_STRING": all, "REMOTE_ADDR": all, "REMOTE_USER": all, "HTTP_HOST": all, "HTTP_AUTHORIZATION": "Basic " + basicCredentials(all), "HTTP_X_" + all: all,
			}, "")
		}()
		eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "runs")) })

		control := controlOf(t, s.cmd.Process.Pid)
		for _, command := range [][]string{{"status", "--full"}, {"trace"}, {"trace", "--args"}, {"profile", "-o", "-"}} {
			out, errs := tellsOfWaits(t, append(command, "--control="+control)...)
			mustBeTame(t, strings.Join(command, " "), out+errs)
			if !strings.Contains(out, "waits") && command[0] != "status" || command[0] == "status" && !strings.Contains(out, "/route/") {
				t.Errorf("%v does not show the request\n%s%s", command, out, errs)
			}
		}
		for _, file := range []string{"profile.svg", "profile.html", "profile.folded"} {
			patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
				code, out, errs := phpserve(t, "profile", "--duration", limit.String(), "-o", filepath.Join(s.dir, file), "--control="+control)
				if code != 0 {
					t.Errorf("%s: exit code %d %s%s", file, code, out, errs)
				}
				return !strings.Contains(s.file(file), "waits")
			})
		}
		m := newTopModel(control)
		m.Update(tea.WindowSizeMsg{Width: 200, Height: 40})
		m.Update(m.fetch())
		mustShow(t, m, "/route/")
		press(m, "t")
		mustBeTame(t, "top", withoutColours(m.screen()))
		mustBeTameDashboard(t, "http://"+admin)
		eventually(t, "the slow log tells of it", func() bool { return strings.Contains(s.file("slow.log"), "waits") })
		writeFile(t, filepath.Join(s.dir, "go"), "")
		<-answered
		s.stop(syscall.SIGTERM)
		for name, want := range map[string]string{
			"access.log": "/slow.php", "error.log": "said into stderr", "slow.log": "waits", "profile.svg": "waits", "profile.html": "waits", "profile.folded": "waits",
		} {
			text, err := os.ReadFile(filepath.Join(s.dir, name))
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s does not tell of %q: %d bytes, %v", name, want, len(text), err)
			}
			mustBeTame(t, name, string(text))
		}
		mustBeTame(t, "standard error", s.out.String())
	})
}
