package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/phpserve/phpserve/internal/patient"
)

// TestNoTextOfARunningRequestSteersAScreen: while requests with hostile texts run, what shows running requests shows them tamed: status,
// trace, profile, top, the dashboard, and afterwards the slow log and the log.
func TestNoTextOfARunningRequestSteersAScreen(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		dir := openFolder(t, "phpserve-screens-")
		all := ""
		for _, text := range hostileTexts {
			all += text
		}
		// The function's name, its arguments and the class come from the client, too: eval makes code of what it is given.
		writeFile(t, filepath.Join(dir, "index.php"), `<?php
			class Shop { static function waits(string $x, array $y) { touch(dirname(__FILE__) . '/runs'); while (!file_exists(dirname(__FILE__) . '/go')) { usleep(10000); clearstatcache(); } } }
			error_log(rawurldecode($_SERVER['QUERY_STRING']));
			eval("function \xc2\x9b31m_\xe2\x80\xae(\$x) { Shop::waits(\$x, [\$x => \$x]); }");
			("\xc2\x9b31m_\xe2\x80\xae")(rawurldecode($_SERVER['QUERY_STRING']));`)
		writeFile(t, filepath.Join(dir, "phpserve.yaml"), "engine: "+engine+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nroot: .\nrequest_slowlog_timeout: 1s\nslowlog: slow.log\nslowlog.args: yes\n")
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		s, err := launch(dir, cleanEnviron(), "run", "--config", "phpserve.yaml", "--front-controller", "index.php", "--php-value", "display_errors=0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.kill)
		admin := adminRow.FindStringSubmatch(s.stdout.String())
		if admin == nil {
			t.Fatalf("the first screen names no admin address\n%s", s.stdout)
		}
		answered := make(chan string, 1)
		go func() {
			answered <- sendRaw(t, s.url, "GET /route/?"+url.PathEscape(all)+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: a\xc2\x9b31m\r\n"+
				"Authorization: Basic "+basicCredentials(all)+"\r\n\r\n")
		}()
		eventually(t, "the script runs", func() bool { return exists(filepath.Join(dir, "runs")) })

		control := controlOf(t, s.cmd.Process.Pid)
		for _, command := range [][]string{{"status", "--full"}, {"trace"}, {"trace", "--args"}, {"profile", "-o", "-"}} {
			out, errs := tellsOfWaits(t, append(command, "--control="+control)...)
			mustBeTame(t, strings.Join(command, " "), out+errs)
			if !strings.Contains(out, "waits") && command[0] != "status" || command[0] == "status" && !strings.Contains(out, "/route/") {
				t.Errorf("%v does not show the request\n%s%s", command, out, errs)
			}
		}
		m := newTopModel(control)
		m.Update(tea.WindowSizeMsg{Width: 200, Height: 40})
		m.Update(m.fetch())
		mustShow(t, m, "/route/")
		press(m, "t")
		mustBeTame(t, "top", withoutColours(m.screen()))

		mustBeTameDashboard(t, admin[1])
		eventually(t, "the slow log tells of it", func() bool {
			text, err := os.ReadFile(filepath.Join(dir, "slow.log"))
			return err == nil && strings.Contains(string(text), "waits")
		})
		mustBeTameJSON(t, "the dashboard's slow request", firstEvents(t, admin[1]+"/api/events", `"slow":[`))
		writeFile(t, filepath.Join(dir, "go"), "")
		<-answered
		if err := s.stop(os.Interrupt); err != nil {
			t.Error(err)
		}
		slow, err := os.ReadFile(filepath.Join(dir, "slow.log"))
		if err != nil {
			t.Error(err)
		}
		mustBeTame(t, "the slow log", string(slow))
		mustBeTame(t, "the access log", s.stdout.String())
		mustBeTame(t, "the log", s.stderr.String())
	})
}

// mustBeTameDashboard looks at all that the dashboard shows of the one request that runs.
func mustBeTameDashboard(t *testing.T, admin string) {
	t.Helper()
	events := firstEvents(t, admin+"/api/events", "/route/")
	mustBeTameJSON(t, "the dashboard's stream", events)
	busy := regexp.MustCompile(`"pid":(\d+),[^}]*"uri":"/route/`).FindStringSubmatch(events)
	if busy == nil {
		t.Fatalf("no worker runs the request\n%s", events)
	}
	status, stack := askAdmin(t, admin, "/api/stack?pid="+busy[1])
	if status != http.StatusOK || !strings.Contains(stack, "waits") {
		t.Errorf("the stack: %d %s", status, stack)
	}
	mustBeTameJSON(t, "the dashboard's stack", stack)
	var taken struct{ ID, Samples int }
	patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
		resp, err := http.PostForm(admin+"/api/profiles", url.Values{"seconds": {strconv.Itoa(int(min(60, limit.Seconds())))}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&taken); err != nil {
			t.Fatalf("the profile: %d %+v, %v", resp.StatusCode, taken, err)
		}
		return taken.Samples == 0
	})
	for _, form := range []string{"svg", "folded"} {
		_, text := askAdmin(t, admin, fmt.Sprintf("/api/profiles/%d.%s", taken.ID, form))
		mustBeTame(t, "the dashboard's profile as "+form, text)
		if !strings.Contains(text, "waits") {
			t.Errorf("%s: %.300s", form, text)
		}
	}
}

// tellsOfWaits runs a command of phpserve. A profile is taken for as long as it takes until it has seen the script.
func tellsOfWaits(t *testing.T, command ...string) (out, errs string) {
	t.Helper()
	if command[0] != "profile" {
		_, out, errs = phpserve(t, command...)
		return out, errs
	}
	patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
		_, out, errs = phpserve(t, append(command, "--duration", limit.String())...)
		return !strings.Contains(out, "waits")
	})
	return out, errs
}

// firstEvents reads server-sent events up to the one that has a text.
func firstEvents(t *testing.T, from, with string) (text string) {
	t.Helper()
	resp, err := http.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewReader(resp.Body); !strings.Contains(text, with); {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, text)
		}
		text += line
	}
	return text
}

// withoutColours takes the escapes off with which top itself colours.
func withoutColours(screen string) string {
	for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[m"} {
		screen = strings.ReplaceAll(screen, code, "")
	}
	return screen
}
