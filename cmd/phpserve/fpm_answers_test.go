//go:build unix

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// sideConfig is a pool for both sides; EXTRA are further directives of it.
const sideConfig = `[global]
error_log = DIR/error.log
[www]
USER
listen = DIR/www.sock
pm = static
pm.max_children = 1
access.log = DIR/access.log
access.format = "%m %r%Q%q %s %f %l %u %n %{X-One}o %{REMOTE_ADDR}e"
EXTRA`

// poolWith is sideConfig with more directives.
func poolWith(directives ...string) string {
	return strings.Replace(sideConfig, "EXTRA", strings.Join(directives, "\n")+"\n", 1)
}

// compareFiles compares what both sides wrote.
func compareFiles(t *testing.T, fpm, own *side, names ...string) {
	t.Helper()
	for _, name := range names {
		want, got := strings.Split(fpm.file(name), "\n"), strings.Split(own.file(name), "\n")
		// phpserve writes a request's line when its answer has left, so that the next one's may be there before it.
		slices.Sort(want)
		slices.Sort(got)
		if len(want) != len(got) {
			t.Errorf("%s: %d lines of php-fpm, %d of phpserve\n%s", name, len(want), len(got), strings.Join(got, "\n"))
		}
		for i := range min(len(want), len(got)) {
			if got[i] != want[i] {
				t.Errorf("%s, line %d in the order of their texts\nphp-fpm:  %s\nphpserve: %s", name, i+1, want[i], got[i])
			}
		}
	}
	if own.twin != nil {
		compareFiles(t, fpm, own.twin, names...)
	}
}

// endBoth ends both sides, which must end alike.
func endBoth(t *testing.T, fpm, own *side, sig syscall.Signal) {
	t.Helper()
	want := fpm.stop(sig)
	for _, s := range []*side{own, own.twin} {
		if s == nil {
			continue
		}
		if got := s.stop(sig); got != want {
			t.Errorf("php-fpm exits with %d, phpserve with %d", want, got)
		}
	}
}

// TestFPMAnswers holds phpserve fpm to php-fpm, request by request.
func TestFPMAnswers(t *testing.T) {
	t.Parallel()
	show := func(expression string) string { return "var_export(" + expression + ");" }
	requests := []sideRequest{
		{name: "output", script: `echo "hello";`},
		{name: "no output", script: ``},
		{name: "only a comment", script: `// nothing`},
		{name: "a header", script: `header('X-One: 1'); echo 1;`},
		{name: "two headers of one name", script: `header('X-One: 1'); header('X-One: 2', false); echo 1;`},
		{name: "status by code", script: `http_response_code(404); echo "gone";`},
		{name: "status by line", script: `header('HTTP/1.1 418 I am a teapot'); echo "tea";`},
		{name: "redirect", script: `header('Location: /there');`},
		{name: "redirect with a code", script: `header('Location: /there', true, 301); echo "moved";`},
		{name: "content type", script: `header('Content-Type: application/json'); echo "{}";`},
		{name: "no content type", script: `header_remove('Content-Type'); ini_set('default_mimetype', ''); echo "raw";`},
		{name: "cookie", script: `setcookie('a', 'b', ['samesite' => 'Lax']); echo 1;`},
		{name: "HEAD", script: `echo "body";`, params: map[string]string{"REQUEST_METHOD": "HEAD"}},
		{name: "a method of its own", script: show(`$_SERVER['REQUEST_METHOD']`), params: map[string]string{"REQUEST_METHOD": "PURGE"}},
		{name: "no method", params: map[string]string{"REQUEST_METHOD": ""}, script: `echo 1;`},
		{name: "query", script: show(`$_GET`), params: map[string]string{"QUERY_STRING": "a=1&b[]=2&b[]=3&c=%C3%BC"}},
		{name: "POST", script: show(`[$_POST, $_SERVER['CONTENT_LENGTH']]`), body: "a=1&b=2", params: map[string]string{
			"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/x-www-form-urlencoded",
		}},
		{name: "raw body", script: `echo md5(file_get_contents('php://input'));`, body: strings.Repeat("0123456789", 30000), params: map[string]string{"REQUEST_METHOD": "PUT"}},
		{name: "body not read", script: `echo "ignored";`, body: strings.Repeat("x", 200000), params: map[string]string{"REQUEST_METHOD": "POST"}},
		{name: "upload", script: show(`[$_FILES['f']['name'], $_FILES['f']['size'], file_get_contents($_FILES['f']['tmp_name'])]`), params: map[string]string{
			"REQUEST_METHOD": "POST", "CONTENT_TYPE": "multipart/form-data; boundary=XX",
		}, body: "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nfile text\r\n--XX--\r\n"},
		{name: "CONTENT_LENGTH that is no number", script: show(`file_get_contents('php://input')`), params: map[string]string{"CONTENT_LENGTH": "abc"}},
		{name: "CONTENT_LENGTH without a body", script: show(`$_SERVER['CONTENT_LENGTH']`), params: map[string]string{"CONTENT_LENGTH": "0"}},
		{name: "cookies in", script: show(`$_COOKIE`), params: map[string]string{"HTTP_COOKIE": "a=1; b=2"}},
		{name: "Basic credentials", script: show(`[$_SERVER['PHP_AUTH_USER'], $_SERVER['PHP_AUTH_PW']]`), params: map[string]string{"HTTP_AUTHORIZATION": "Basic dTpw"}},
		{name: "Digest credentials", script: show(`$_SERVER['PHP_AUTH_DIGEST']`), params: map[string]string{"HTTP_AUTHORIZATION": `Digest username="u"`}},
		{name: "a variable of the web server", script: show(`[$_SERVER['MY_VAR'], getenv('MY_VAR')]`), params: map[string]string{"MY_VAR": "x y"}},
		{name: "an empty variable", script: show(`[$_SERVER['EMPTY'], getenv('EMPTY')]`), params: map[string]string{"EMPTY": ""}},
		{name: "HTTPS", script: show(`$_SERVER['HTTPS']`), params: map[string]string{"HTTPS": "on"}},
		{name: "getallheaders", script: show(`getallheaders()`), params: map[string]string{"HTTP_X_ONE": "1", "HTTP_ACCEPT": "*/*"}},
		{name: "PATH_INFO", script: show(`[$_SERVER['PATH_INFO'], $_SERVER['PHP_SELF']]`), params: map[string]string{"PATH_INFO": "/a/b"}},
		{name: "working folder", script: show(`getcwd() === dirname(__FILE__)`)},
		{name: "include path", script: show(`get_include_path()`)},
		{name: "exit code", script: `echo "a"; exit(3);`},
		{name: "exit text", script: `exit("bye");`},
		{name: "shutdown function", script: `register_shutdown_function(function () { echo "later"; }); echo "now ";`},
		{name: "output buffer left open", script: `ob_start(); echo "buffered";`},
		{name: "flushed pieces", script: `for ($i = 0; $i < 5; $i++) { echo $i; flush(); }`},
		{name: "large output", script: `echo str_repeat("0123456789", 100000);`},
		{name: "headers sent late", script: `echo "a"; flush(); @header('X-Late: 1'); ` + show(`headers_sent()`)},
		{name: "error_log", script: `error_log("a message"); echo 1;`},
		{name: "several messages", script: `error_log("one"); error_log("two"); echo 1;`},
		{name: "a warning", script: `ini_set('display_errors', '0'); echo $undefined; echo 1;`},
		{name: "a fatal error", fails: true, script: `ini_set('display_errors', '0'); undefined_function();`},
		{name: "a fatal error behind output", fails: true, script: `ini_set('display_errors', '0'); echo "x"; flush(); undefined_function();`},
		{name: "an exception", fails: true, script: `ini_set('display_errors', '0'); throw new Exception("thrown");`},
		{name: "a parse error", fails: true, script: `ini_set('display_errors', '0'); eval('(');`},
		{name: "displayed warning", script: `ini_set('display_errors', '1'); ini_set('html_errors', '0'); ini_set('log_errors', '0'); echo $undefined;`},
		{name: "memory exhausted", fails: true, script: `ini_set('display_errors', '0'); ini_set('memory_limit', '3M'); $a = str_repeat('x', 10000000);`},
		{name: "finish_request returns true", script: `$r = []; file_put_contents('DIR/finish', ''); echo "out"; $r[] = fastcgi_finish_request(); file_put_contents('DIR/finish', json_encode($r));`},
		{name: "what it returned", script: `echo file_get_contents('DIR/finish');`},
		{name: "finish_request twice", script: `echo "out"; $r = [fastcgi_finish_request(), fastcgi_finish_request()]; file_put_contents('DIR/finish', json_encode($r));`},
		{name: "what both returned", script: `echo file_get_contents('DIR/finish');`},
		{name: "output behind finish_request", script: `echo "in"; fastcgi_finish_request(); echo "dropped";`},
		{name: "finish_request without output", script: `http_response_code(204); fastcgi_finish_request();`},
		{name: "finish_request in buffers", script: `ob_start(); echo "a"; ob_start(); echo "b"; fastcgi_finish_request();`},
		{name: "session", script: `ini_set('session.save_path', 'DIR'); ini_set('session.use_cookies', '0'); session_id('abc'); @session_start(); echo session_id();`},
		{name: "filter_input", script: show(`filter_input(INPUT_SERVER, 'REQUEST_METHOD')`)},
		{name: "is_uploaded_file", script: show(`is_uploaded_file(__FILE__)`)},
		{name: "REQUEST_TIME", script: show(`abs($_SERVER['REQUEST_TIME'] - time()) < 5`)},
		{name: "argv", script: show(`[$_SERVER['argv'] ?? null, $_SERVER['argc'] ?? null]`), params: map[string]string{"QUERY_STRING": "a+b"}},
		{name: "no such script", params: map[string]string{"SCRIPT_FILENAME": "DIR/none.php"}},
		{name: "wrong extension", params: map[string]string{"SCRIPT_FILENAME": "DIR/fpm.conf"}},
		{name: "folder", params: map[string]string{"SCRIPT_FILENAME": "DIR"}},
		{name: "PHP_VALUE", script: show(`ini_get('date.timezone')`), params: map[string]string{"PHP_VALUE": "date.timezone=Asia/Tokyo"}},
		{name: "PHP_ADMIN_VALUE", script: `ini_set('memory_limit', '55M'); ` + show(`ini_get('memory_limit')`), params: map[string]string{"PHP_ADMIN_VALUE": "memory_limit=44M"}},
		{name: "several PHP_VALUE", script: show(`[ini_get('memory_limit'), ini_get('precision')]`), params: map[string]string{"PHP_VALUE": "memory_limit=66M\nprecision=9"}},
		{name: "REQUEST_BODY_FILE", script: show(`file_get_contents('php://input')`), params: map[string]string{
			"REQUEST_METHOD": "POST", "REQUEST_BODY_FILE": "DIR/fpm.conf", "CONTENT_LENGTH": "8", "CONTENT_TYPE": "text/plain",
		}},
	}
	fpm, own := bothSides(t, poolWith(), requests)
	endBoth(t, fpm, own, syscall.SIGQUIT)
	compareFiles(t, fpm, own, "access.log")
}
