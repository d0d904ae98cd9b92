package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// serverScript prints $_SERVER.
const serverScript = `<?php header('Content-Type: application/json'); $v = $_SERVER; $v['INPUT'] = file_get_contents('php://input');
foreach (['HTTP_PROXY', 'PHP_VALUE', 'REMOTE_USER'] as $n) { $v["getenv $n"] = getenv($n); } unset($v['argv'], $v['argc']);
echo json_encode($v, JSON_THROW_ON_ERROR);`

// serverVars decodes what serverScript printed.
func serverVars(t *testing.T, got answer) map[string]any {
	t.Helper()
	vars := map[string]any{}
	if err := json.Unmarshal([]byte(got.body), &vars); err != nil || got.StatusCode != 200 {
		t.Fatalf("%d %q: %v", got.StatusCode, got.body, err)
	}
	return vars
}

func TestBadInputHeadersNeverBecomeOtherVariables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header, value string
		variable            string // that it may become; empty: none
	}{
		{"CVE-2016-5385 httpoxy", "Proxy", "http://evil.test", ""},
		{"CVE-2016-5385 httpoxy lower case", "proxy", "http://evil.test", ""},
		{"CVE-2016-5385 httpoxy upper case", "PROXY", "http://evil.test", ""},
		{"CVE-2016-5385 httpoxy with _", "Proxy_", "http://evil.test", ""},
		{"GHSA-f59h-q822-g45g Remote_User", "Remote_User", "evil-value", ""},
		{"GHSA-f59h-q822-g45g Remote.User", "Remote.User", "evil-value", ""},
		{"GHSA-49wc-4hcv-v58q X_Forwarded_For", "X_Forwarded_For", "evil-value", ""},
		{"GHSA-49wc-4hcv-v58q X.Real.IP", "X.Real.IP", "evil-value", ""},
		{"GHSA-49wc-4hcv-v58q Content_Length", "Content_Length", "evil-4711", ""},
		{"GHSA-49wc-4hcv-v58q Content_Type", "Content_Type", "evil-value", ""},
		{"GHSA-49wc-4hcv-v58q X!Y", "X!Forwarded!For", "evil-value", ""},
		{"CVE-2024-8927 Redirect-Status", "Redirect-Status", "evil-value", "HTTP_REDIRECT_STATUS"},
		{"PHP_VALUE with _", "PHP_VALUE", "auto_prepend_file=php://input", ""},
		{"PHP_VALUE", "Php-Value", "auto_prepend_file=php://input", "HTTP_PHP_VALUE"},
		{"PHP_ADMIN_VALUE with _", "PHP_ADMIN_VALUE", "evil-value", ""},
		{"PHP_ADMIN_VALUE", "PHP-Admin-Value", "evil-value", "HTTP_PHP_ADMIN_VALUE"},
		{"SCRIPT_FILENAME with _", "SCRIPT_FILENAME", "/etc/passwd", ""},
		{"SCRIPT_FILENAME", "Script-Filename", "/evil-value", "HTTP_SCRIPT_FILENAME"},
		{"PATH_TRANSLATED", "Path-Translated", "/evil-value", "HTTP_PATH_TRANSLATED"},
		{"REDIRECT_URL", "Redirect-Url", "/evil-value", "HTTP_REDIRECT_URL"},
		{"DOCUMENT_ROOT", "Document-Root", "/evil-value", "HTTP_DOCUMENT_ROOT"},
		{"ORIG_PATH_INFO", "Orig-Path-Info", "/evil-value", "HTTP_ORIG_PATH_INFO"},
		{"HTTPS", "Https", "evil-value", "HTTP_HTTPS"},
		{"REMOTE_ADDR", "Remote-Addr", "evil-value", "HTTP_REMOTE_ADDR"},
		{"HTTP_HOST by a header of that name", "HTTP-Host", "evil-value", "HTTP_HTTP_HOST"},
		{"Keep-Alive, as with nginx", "Keep-Alive", "evil-value", "HTTP_KEEP_ALIVE"},
		{"TE, as with nginx", "TE", "evil-value", "HTTP_TE"},
		{"Upgrade, as with nginx", "Upgrade", "evil-value", "HTTP_UPGRADE"},
		{"a value that looks like a template", "X-Template", "{env.HOME} ${PATH} %{x} {{.}}", "HTTP_X_TEMPLATE"},
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"env.php": serverScript}, nil)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				vars := serverVars(t, askWire(t, ts, "GET", "/env.php", tt.header, tt.value))
				for name, value := range vars {
					if text := fmt.Sprint(value); strings.Contains(text, tt.value) && name != tt.variable {
						t.Errorf("%s: %s became %s=%q", tt.header, tt.value, name, text)
					}
				}
				if tt.variable != "" && vars[tt.variable] != tt.value {
					t.Errorf("%s = %v, want %q", tt.variable, vars[tt.variable], tt.value)
				}
				if vars["REDIRECT_STATUS"] != "200" || vars["CONTENT_LENGTH"] != nil || vars["getenv HTTP_PROXY"] != false {
					t.Errorf("variables: %v", vars)
				}
			})
		}
		t.Run("Connection takes no field away", func(t *testing.T) {
			vars := serverVars(t, askWire(t, ts, "GET", "/env.php", "Connection", "X-Secret", "X-Secret", "evil-value"))
			if vars["HTTP_X_SECRET"] != "evil-value" || vars["HTTP_CONNECTION"] != "close, X-Secret" {
				t.Errorf("variables: %v", vars)
			}
		})
	})
}

func TestBadInputHeaderFloods(t *testing.T) {
	t.Parallel()
	many := func(n int, line string) string { return strings.Repeat(line, n) }
	tests := []struct {
		name, head string
		status     string
	}{
		{"too many fields", "GET /env.php HTTP/1.1\r\nHost: a\r\n" + many(10_000, "X-A: b\r\n") + "\r\n", "431"},
		{"one field too large", "GET /env.php HTTP/1.1\r\nHost: a\r\nX-A: " + many(100_000, "b") + "\r\n\r\n", "431"},
		{"one name too large", "GET /env.php HTTP/1.1\r\nHost: a\r\n" + many(100_000, "b") + ": x\r\n\r\n", "431"},
		{"many cookies", "GET /env.php HTTP/1.1\r\nHost: a\r\n" + many(4000, "Cookie: a=b\r\n") + "\r\n", "431"},
		{"64 KiB URL", "GET /env.php?" + many(64<<10, "a") + " HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
		{"64 KiB path", "GET /" + many(64<<10, "a") + " HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
		{"64 KiB method", many(64<<10, "G") + " / HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
		{"endless head", "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + many(1<<20, "b"), "431"},
		{"20 KiB of head is fine", "GET /env.php?" + many(10<<10, "a") + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: " + many(10<<10, "b") + "\r\n\r\n", "200"},
		{"file name over NAME_MAX is not found", "GET /" + many(300, "a") + ".php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"},
		{"path over PATH_MAX is not found", "GET /" + many(3000, "a/") + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"},
		{"thousands of script names in a path", "GET /" + many(5000, "a.php/") + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"Host that is no host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
		{"NUL in a field", "GET / HTTP/1.1\r\nHost: a\r\nX-A: a\x00b\r\n\r\n", "400"},
		{"newline by bare CR", "GET / HTTP/1.1\r\nHost: a\r\nX-A: a\rProxy: b\r\n\r\n", "400"},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		{"a version to come", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "505"},
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"env.php": serverScript}, nil)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				got := wire(t, ts, tt.head)
				if !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+" ") {
					t.Errorf("got %.200q", got)
				}
			})
		}
	})
}

func TestBadInputThousandRanges(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"big.bin": strings.Repeat("0123456789", 20_000), "range.php": tellScript}, nil)
	for _, one := range []string{"0-", "0-0", "5-6", "-1", "0-199999"} {
		header := "bytes=" + strings.TrimSuffix(strings.Repeat(one+",", 1000), ",")
		got := askWire(t, ts, "GET", "/big.bin", "Range", header)
		if got.StatusCode != 200 || len(got.body) != 200_000 {
			t.Errorf("CVE-2011-3192: 1000 times %s: %d with %d bytes", one, got.StatusCode, len(got.body))
		}
		if got := askWire(t, ts, "GET", "/range.php", "Range", header); got.StatusCode != 200 {
			t.Errorf("script with 1000 times %s: %d", one, got.StatusCode)
		}
	}
}
