package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

// hostileTexts are what clients and scripts write who want to steer terminals and forge lines of logs. "forged" begins such a line.
var hostileTexts = map[string]string{
	"escape": "a\x1b[2J\x1b]0;title\a", "csi": "a\x9b31m", "csi in UTF-8": "a\u009b31m\u0085forged", "delete": "a\x7f\b\b", "bidi": "a\u202eforged\u2066\u200f",
	"newline": "a\nforged line\r\nforged again", "return": "a\rforged", "separators": "a\u2028forged\u2029forged", "broken": "a\xff\xc3(\xed\xa0\x80",
	"long": "a\n" + strings.Repeat("forged ", 500), "quotes": "a\"\n'forged' \\",
}

// mustBeTame checks what a person or the reader of a log sees.
func mustBeTame(t *testing.T, where, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s: broken UTF-8: %.300q", where, text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(strings.TrimLeft(line, " "), "forged") || strings.HasPrefix(line, "'forged") {
			t.Errorf("%s: a forged line %.300q", where, line)
		}
		for _, r := range line {
			if unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Errorf("%s: a raw %q in %.300q", where, r, line)
				break
			}
		}
	}
}

// sendRaw sends a request head as it is and returns the answer.
func sendRaw(t *testing.T, url, head string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(patient.LastMoment()); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, head)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var body strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&body); err != nil {
		t.Error(err)
	}
	return body.String()
}

// basicCredentials are those of a user (RFC 7617).
func basicCredentials(user string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":x"))
}

// mustBeTameJSON checks JSON, or events with it, as it is and each string in it.
func mustBeTameJSON(t *testing.T, where, text string) {
	t.Helper()
	mustBeTame(t, where, text)
	for line := range strings.Lines(text) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "data: "); line == "" || strings.HasPrefix(line, "event: ") {
			continue
		}
		var value any
		if err := json.Unmarshal([]byte(line), &value); err != nil {
			t.Errorf("%s: %v in %.300q", where, err, line)
		}
		mustBeTameValue(t, where, value)
	}
}

func mustBeTameValue(t *testing.T, where string, value any) {
	t.Helper()
	switch v := value.(type) {
	case string:
		mustBeTame(t, where, "value: "+strings.ReplaceAll(v, "\n", " ")) // it has a place of its own, with its lines
	case []any:
		for _, one := range v {
			mustBeTameValue(t, where, one)
		}
	case map[string]any:
		for name, one := range v {
			mustBeTame(t, where, name)
			mustBeTameValue(t, where, one)
		}
	}
}

// mustShowTame has each form of the status be made of what workers did last.
func mustShowTame(t *testing.T, what, control string) (all string) {
	t.Helper()
	for _, command := range [][]string{
		{"status"},
		{"status", "--json"},
		{"status", "--full"},
		{"status", "--full", "--json"},
		{"status", "--full", "--format", "xml"},
		{"status", "--full", "--format", "html"},
		{"status", "--format", "openmetrics"},
	} {
		var out strings.Builder
		if code := run(append(command, "--control="+control), &out, &out, nil); code != exitOK {
			t.Errorf("%v: exit code %d\n%s", command, code, &out)
		}
		mustBeTame(t, strings.Join(command, " ")+" of "+what, out.String())
		all += out.String()
	}
	return all
}

// hostileName is a file's.
const hostileName = "n\x9b31m\u202eforged\x7f.php"

// requestsWith are the request heads that have a text in each place where a client can put it.
func requestsWith(text string) []string {
	var coded strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&coded, "%%%02x", c)
	}
	const end = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: text/plain\r\n"
	basic := "Authorization: Basic " + basicCredentials(text) + "\r\n\r\n"
	heads := []string{
		"GET /" + coded.String() + end + "\r\n", "GET /" + coded.String() + ".php" + end + "\r\n", "GET /?q=" + coded.String() + end + "\r\n", "GET /" + end + basic,
		"GET /index.php/" + coded.String() + end + "\r\n", "GET /die.php?q=" + coded.String() + end + "\r\n",
		"GET /heads.php?" + coded.String() + end + "\r\n", "GET /" + url.PathEscape(hostileName) + "?q=" + coded.String() + end + "\r\n",
	}
	oneLine := strings.NewReplacer("\r", "", "\n", "").Replace(text)
	heads = append(heads, oneLine+" /"+end+"\r\n", "GET /"+oneLine+end+"\r\n", "GET / HTTP/1.1\r\nConnection: close\r\nHost: "+oneLine+"\r\n\r\n")
	for _, name := range []string{"Referer", "User-Agent", "X-Request-Id", "X-Forwarded-For", "Cookie", oneLine} {
		heads = append(heads, "GET /"+end+name+": "+oneLine+"\r\n\r\n")
	}
	return heads
}

// hostileScripts say what they are asked to everywhere.
var hostileScripts = map[string]string{
	"index.php": sayHostile,
	hostileName: sayHostile,
	"die.php":   `<?php header("X-Said: x"); error_log(rawurldecode($_SERVER['QUERY_STRING'])); throw new Exception(rawurldecode($_SERVER['QUERY_STRING']));`,
	"heads.php": `<?php $q = str_replace(["\r", "\n", "\0"], '', rawurldecode($_SERVER['QUERY_STRING'])); header("X-Accel-Redirect: /$q"); header("X-Sendfile: $q");
		header("X-$q: $q"); header("No field $q"); header("Location: /$q"); header("Set-Cookie: $q"); header("HTTP/1.1 601 $q"); echo 'served';`,
}

const sayHostile = `<?php $all = rawurldecode($_SERVER['QUERY_STRING']) . ($_SERVER['PHP_AUTH_USER'] ?? '') . ($_SERVER['PATH_INFO'] ?? '') . ($_SERVER['HTTP_REFERER'] ?? '');
	error_log("said $all"); file_put_contents('php://stderr', "said $all\n"); file_put_contents('php://stdout', "said $all"); trigger_error("said $all"); echo 'served';`

// TestNoTextOfClientsOrScriptsSteersTerminalsOrForgesLines puts hostile texts wherever clients and scripts can, and looks wherever a
// person or the reader of a log does.
func TestNoTextOfClientsOrScriptsSteersTerminalsOrForgesLines(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		format, access := "text", "combined" // they do not depend on the engine
		if engine == manager.EngineSpawn {
			format, access = "json", "json"
		}
		dir := openFolder(t, "phpserve-hostile-")
		for name, text := range hostileScripts {
			writeFile(t, filepath.Join(dir, name), text)
		}
		writeFile(t, filepath.Join(dir, "phpserve.yaml"), "engine: "+engine+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nroot: .\nphp_value: [display_errors=0]\n"+
			"log.format: "+format+"\naccess.format: "+access+"\n")
		s, err := launch(dir, cleanEnviron(), "run", "--config", "phpserve.yaml", "--front-controller", "index.php")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.kill)
		admin := adminRow.FindStringSubmatch(s.stdout.String())
		if admin == nil {
			t.Fatalf("the first screen names no admin address\n%s", s.stdout)
		}
		control, shown := controlOf(t, s.cmd.Process.Pid), ""
		for name, text := range hostileTexts {
			for _, head := range requestsWith(text) {
				mustBeTame(t, "the answer to "+name, strings.ReplaceAll(sendRaw(t, s.url, head), "served", ""))
				shown += mustShowTame(t, name, control)
			}
		}
		if !strings.Contains(shown, "heads.php?") || !strings.Contains(shown, `\x9b31m`) {
			t.Error("the status does not tell what happened")
		}
		mustBeTameJSON(t, "the dashboard's stream", firstEvents(t, admin[1]+"/api/events", "said "))
		for _, path := range []string{"/api/config", "/metrics", "/api/stack?pid=%9b", "/api/profiles/%9b%e2%80%ae.svg"} {
			_, body := askAdmin(t, admin[1], path)
			mustBeTame(t, path, body)
		}
		if err := s.stop(os.Interrupt); err != nil {
			t.Error(err)
		}
		mustBeTame(t, "the access log", s.stdout.String())
		mustBeTame(t, "the log", s.stderr.String())
		if text := s.stderr.String(); strings.Count(text, "said ") < len(hostileTexts) || !strings.Contains(s.stdout.String(), "die.php") {
			t.Errorf("the logs do not tell what happened: %.2000s", text)
		}
	})
}

// TestNoTextOfAProjectSteersTheFirstScreen: the document root is what somebody else's composer.json says.
func TestNoTextOfAProjectSteersTheFirstScreen(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range hostileTexts {
		if name == "long" || !utf8.ValidString(text) { // no folder and no JSON has such
			continue
		}
		dir := openFolder(t, "phpserve-project-")
		composer, err := json.Marshal(map[string]any{"extra": map[string]any{"public-dir": "p" + text}})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "composer.json"), string(composer))
		if err := os.MkdirAll(filepath.Join(dir, "p"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "p"+text, "index.php"), "<?php")
		cmd := &exec.Cmd{Path: self, Args: []string{"phpserve", "check", "--allow-root"}, Dir: dir, Env: cleanEnviron()}
		out, err := cmd.CombinedOutput()
		mustBeTame(t, "check of "+name, string(out))
		if err != nil || !strings.Contains(string(out), "composer.json") {
			t.Errorf("check of %s: %v\n%s", name, err, out)
		}
	}
}

// TestNoTextOfClientsOrScriptsForgesLinesOfFPM is the same where web servers send the texts.
func TestNoTextOfClientsOrScriptsForgesLinesOfFPM(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", poolWith("catch_workers_output = yes", "access.format = \"%m %r%Q%q %s %f %u %{REQUEST_URI}e %{HTTP_REFERER}e %{HTTP_HOST}e %{Set-Cookie}o\"",
			"slowlog = DIR/slow.log", "request_slowlog_timeout = 1"), map[string]string{
			"s.php": sayHostile, hostileName: sayHostile, "die.php": hostileScripts["die.php"], "heads.php": hostileScripts["heads.php"],
			"slow.php": `<?php function waits(string $x) { do { usleep(1500000); clearstatcache(); } while (!@filesize('DIR/slow.log')); } error_log($_GET['q'] ?? ''); waits(rawurldecode($_SERVER['QUERY_STRING']));
				file_put_contents('php://stderr', rawurldecode($_SERVER['QUERY_STRING'])); echo 'served';`,
		})
		s.engine = engine
		s.launch("-F", "-y", s.conf) // the log is a file
		patient.Eventually(t, "php-fpm's place is taken", func() bool { return strings.Contains(s.file("error.log"), "ready to handle connections") })
		control, all, shown := controlOf(t, s.cmd.Process.Pid), "", ""
		for name, text := range hostileTexts {
			all += text
			for _, param := range []string{
				"REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO", "HTTP_HOST", "HTTP_REFERER", "HTTP_USER_AGENT",
				"REMOTE_USER", "REMOTE_ADDR", "SERVER_NAME", "DOCUMENT_ROOT", "CONTENT_TYPE", "CONTENT_LENGTH", "PHP_VALUE", "PHP_ADMIN_VALUE", text,
			} {
				s.ask("www.sock", map[string]string{param: text}, "")
				s.ask("www.sock", map[string]string{param: "/" + text + ".php"}, "")
				shown += mustShowTame(t, name, control)
			}
			for _, script := range []string{"die.php", "heads.php", hostileName} {
				s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": filepath.Join(s.dir, script), "SCRIPT_NAME": "/" + script, "QUERY_STRING": text, "REQUEST_URI": "/" + script + "?" + text}, "")
				shown += mustShowTame(t, name, control)
			}
			s.ask("www.sock", map[string]string{"HTTP_AUTHORIZATION": "Basic " + basicCredentials(text)}, "")
			shown += mustShowTame(t, name, control)
		}
		s.ask("www.sock", map[string]string{
			"SCRIPT_FILENAME": filepath.Join(s.dir, "slow.php"), "SCRIPT_NAME": "/slow.php", "REQUEST_METHOD": "GET", "REQUEST_URI": "/slow.php?" + all, "QUERY_STRING": "q=" + all,
		}, "")
		s.stop(os.Interrupt)
		if !strings.Contains(shown, `\x9b31m`) {
			t.Error("the status does not tell what happened")
		}
		for _, name := range []string{"access.log", "slow.log", "error.log"} {
			text, err := os.ReadFile(filepath.Join(s.dir, name))
			if err != nil || len(text) == 0 {
				t.Errorf("%s: %d bytes, %v", name, len(text), err)
			}
			mustBeTame(t, name, string(text))
		}
		mustBeTame(t, "standard error", s.out.String())
	})
}
