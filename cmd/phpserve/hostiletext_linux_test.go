package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/phpserve/phpserve/internal/patient"
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
	"index.php": `<?php $all = rawurldecode($_SERVER['QUERY_STRING']) . ($_SERVER['PHP_AUTH_USER'] ?? '') . ($_SERVER['PATH_INFO'] ?? '') . ($_SERVER['HTTP_REFERER'] ?? '');
		error_log("said $all"); file_put_contents('php://stderr', "said $all\n"); trigger_error("said $all"); echo 'served';`,
	"die.php": `<?php header("X-Said: x"); error_log(rawurldecode($_SERVER['QUERY_STRING'])); throw new Exception(rawurldecode($_SERVER['QUERY_STRING']));`,
}

// TestNoTextOfClientsOrScriptsSteersTerminalsOrForgesLines puts hostile texts wherever clients and scripts can, and looks wherever a
// person or the reader of a log does.
func TestNoTextOfClientsOrScriptsSteersTerminalsOrForgesLines(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := openFolder(t, "phpserve-hostile-")
			for name, text := range hostileScripts {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, err := launch(dir, cleanEnviron(), "run", dir, "--listen", "127.0.0.1:0", "--log-format", format, "--php-value", "display_errors=0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.kill)
			at := "--control=" + controlOf(t, s.cmd.Process.Pid)
			for name, text := range hostileTexts {
				for _, head := range requestsWith(text) {
					mustBeTame(t, "the answer to "+name, strings.ReplaceAll(sendRaw(t, s.url, head), "served", ""))
				}
				for _, command := range [][]string{{"status"}, {"status", "--full"}, {"status", "--full", "--json"}, {"status", "--full", "--format", "xml"}} {
					_, out, errs := phpserve(t, append(command, at)...)
					mustBeTame(t, strings.Join(command, " ")+" of "+name, out+errs)
				}
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
}

// TestNoTextOfClientsOrScriptsForgesLinesOfFPM is the same where web servers send the texts.
func TestNoTextOfClientsOrScriptsForgesLinesOfFPM(t *testing.T) {
	t.Parallel()
	s := startOwn(t, poolWith("catch_workers_output = yes", "access.format = \"%m %r%Q%q %s %f %u %{REQUEST_URI}e %{HTTP_REFERER}e %{HTTP_HOST}e\"",
		"slowlog = DIR/slow.log", "request_slowlog_timeout = 1"), map[string]string{
		"s.php": hostileScripts["index.php"],
		"slow.php": `<?php function waits(string $x) { usleep(1500000); } error_log($_GET['q'] ?? ''); waits(rawurldecode($_SERVER['QUERY_STRING']));
			file_put_contents('php://stderr', rawurldecode($_SERVER['QUERY_STRING'])); echo 'served';`,
	})
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	all := ""
	for name, text := range hostileTexts {
		all += text
		for _, param := range []string{"REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO", "HTTP_HOST", "HTTP_REFERER", "REMOTE_USER", "CONTENT_LENGTH"} {
			s.ask("www.sock", map[string]string{param: text}, "")
			s.ask("www.sock", map[string]string{param: "/" + text + ".php"}, "")
		}
		s.ask("www.sock", map[string]string{"HTTP_AUTHORIZATION": "Basic " + basicCredentials(text)}, "")
		_, out, errs := phpserve(t, "status", "--full", at)
		mustBeTame(t, "status --full of "+name, out+errs)
	}
	s.ask("www.sock", map[string]string{
		"SCRIPT_FILENAME": filepath.Join(s.dir, "slow.php"), "SCRIPT_NAME": "/slow.php", "REQUEST_METHOD": "GET", "REQUEST_URI": "/slow.php?" + all, "QUERY_STRING": "q=" + all,
	}, "")
	s.stop(os.Interrupt)
	for _, name := range []string{"access.log", "slow.log"} {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
		mustBeTame(t, name, string(text))
	}
	mustBeTame(t, "standard error", s.out.String())
}
