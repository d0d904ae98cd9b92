//go:build unix

package fastcgi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// phpCGI is a real php-cgi that serves FastCGI on its descriptor 0.
type phpCGI struct {
	cmd    *exec.Cmd
	socket string
	root   string
}

func startPHP(t *testing.T, args ...string) *phpCGI {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(root, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Distributions' php.ini buffers 4096 bytes, which flush() alone does not send.
	args = append([]string{"-d", "output_buffering=0"}, args...)
	p := &phpCGI{cmd: exec.Command("php-cgi", args...), socket: l.Addr().String(), root: root}
	p.cmd.Stdin = f
	p.cmd.Env = []string{"PHP_FCGI_MAX_REQUESTS=0", "PATH=" + os.Getenv("PATH")}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("cannot start php-cgi, which these tests need: %v", err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *phpCGI) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

func (p *phpCGI) dial(t *testing.T) *Conn {
	t.Helper()
	nc, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(patient.LastMoment())
	c := NewConn(nc)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// env writes a script and returns an environment that runs it.
func (p *phpCGI) env(t *testing.T, code string) *Environment {
	t.Helper()
	file := filepath.Join(p.root, "index.php")
	if err := os.WriteFile(file, []byte("<?php "+code), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Environment{
		Method: "GET", Proto: "HTTP/1.1", RequestURI: "/index.php", Host: "example.org", ScriptName: "/index.php", ScriptFilename: file,
		DocumentRoot: p.root, RemoteAddr: "192.0.2.1", RemotePort: "99", ServerAddr: "192.0.2.2", ServerPort: "80",
		ServerName: "example.org", Scheme: "http", ServerSoftware: "phpserve",
	}
}

func get(e *Environment) *Request { return &Request{Params: e.AppendParams(nil), KeepConn: true} }

func post(e *Environment, body []byte) *Request {
	e.Method, e.ContentLength = "POST", int64(len(body))
	return &Request{Params: e.AppendParams(nil), Body: bytes.NewReader(body), BodyLen: int64(len(body)), KeepConn: true}
}

func TestPHPKeepsOneConnectionForManyRequests(t *testing.T) {
	p := startPHP(t)
	c := p.dial(t)
	e := p.env(t, `header('X-Pid: '.getmypid()); header('Set-Cookie: a=1', false); header('Set-Cookie: b=2', false); http_response_code(201); echo $_GET['n'];`)
	pids := map[string]bool{}
	for i := range 50 {
		n := strings.Repeat("n", i)
		e.QueryString = "n=" + n
		mustSend(t, c, get(e))
		h, body := split(t, mustCollect(t, c))
		if h.Status != 201 || body != n || strings.Join(h.Header["Set-Cookie"], ";") != "a=1;b=2" {
			t.Fatalf("request %d: %v %q", i, h, body)
		}
		pids[h.Header.Get("X-Pid")] = true
		if !c.Reusable() {
			t.Fatalf("request %d: not reusable", i)
		}
	}
	if len(pids) != 1 {
		t.Errorf("answers of %d processes", len(pids))
	}
}

func TestPHPGetsBodiesOfAnySize(t *testing.T) {
	p := startPHP(t)
	c := p.dial(t)
	e := p.env(t, `echo $_SERVER['CONTENT_LENGTH'], ' ', hash('sha256', file_get_contents('php://input'));`)
	e.Header = map[string][]string{"Content-Type": {"application/octet-stream"}}
	for _, n := range []int{1, 8192, MaxContent, inlineBody, inlineBody + 1, 1 << 20, 5<<20 + 3} {
		data := bytes.Repeat([]byte("\x00\xffphp\r\n"), n/7+1)[:n]
		sum := sha256.Sum256(data)
		mustSend(t, c, post(e, data))
		_, body := split(t, mustCollect(t, c))
		if _, hash, _ := strings.Cut(body, " "); hash != hex.EncodeToString(sum[:]) {
			t.Errorf("%d bytes: got %q", n, body)
		}
		if !c.Reusable() {
			t.Fatalf("%d bytes: not reusable", n)
		}
	}
}

func TestPHPThatIgnoresALargeBodyLeavesTheConnectionUsable(t *testing.T) {
	p := startPHP(t, "-d", "enable_post_data_reading=0")
	c := p.dial(t)
	e := p.env(t, `for ($i = 0; $i < 64; $i++) { echo str_repeat('o', 65536); flush(); }`)
	e.Header = map[string][]string{"Content-Type": {"application/octet-stream"}}
	for range 3 {
		mustSend(t, c, post(e, make([]byte, 4<<20)))
		if _, body := split(t, mustCollect(t, c)); len(body) != 4<<20 || !c.Reusable() {
			t.Fatalf("%d bytes, reusable %v", len(body), c.Reusable())
		}
	}
}

func TestPHPFormAndUpload(t *testing.T) {
	p := startPHP(t)
	c := p.dial(t)
	e := p.env(t, `echo json_encode([$_POST['a'], $_FILES['f']['size']]);`)
	e.Header = map[string][]string{"Content-Type": {"multipart/form-data; boundary=B"}}
	body := "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n" +
		strings.Repeat("u", 300_000) + "\r\n--B--\r\n"
	mustSend(t, c, post(e, []byte(body)))
	if _, got := split(t, mustCollect(t, c)); got != `["1",300000]` {
		t.Errorf("got %q", got)
	}
}

func TestPHPBigOutputArrivesWhole(t *testing.T) {
	p := startPHP(t)
	c := p.dial(t)
	mustSend(t, c, get(p.env(t, `for ($i = 0; $i < 200000; $i++) printf("%09d\n", $i); echo str_repeat('z', 3000000);`)))
	_, body := split(t, mustCollect(t, c))
	if len(body) != 5_000_000 || body[1_999_990:2_000_000] != "000199999\n" || !c.Reusable() {
		t.Errorf("%d bytes, reusable %v", len(body), c.Reusable())
	}
}

func TestPHPExitAndErrorsEndTheRequestNormally(t *testing.T) {
	p := startPHP(t, "-d", "log_errors=1", "-d", "error_log=", "-d", "display_errors=0")
	c := p.dial(t)
	tests := []struct {
		name, code   string
		status       int
		body, stderr string
	}{
		{"exit", `echo 'a'; exit; echo 'b';`, 200, "a", ""},
		{"exit(255)", `echo 'a'; exit(255);`, 200, "a", ""},
		{"no output", ``, 200, "", ""},
		{"uncaught exception", `throw new Exception('boom');`, 500, "", "boom"},
		{"stderr", `error_log('first'); error_log('second'); echo 'x';`, 200, "x", "first"},
		{"redirect", `header('Location: /else');`, 302, "", ""},
		{"two statuses", `header('HTTP/1.1 404 Not Found'); header('Status: 410 Gone');`, 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mustSend(t, c, get(p.env(t, tt.code)))
			a := mustCollect(t, c)
			h, body := split(t, a)
			if h.Status != tt.status || body != tt.body || !strings.Contains(a.stderr.String(), tt.stderr) || !c.Reusable() {
				t.Errorf("status %d, body %q, stderr %q, reusable %v", h.Status, body, a.stderr.String(), c.Reusable())
			}
		})
	}
}

func TestPHPFlushedOutputArrivesBeforeTheEnd(t *testing.T) {
	p := startPHP(t)
	c := p.dial(t)
	gate := filepath.Join(p.root, "gate")
	mustSend(t, c, get(p.env(t, `echo 'early'; flush(); while (!file_exists('`+gate+`')) { usleep(1000); clearstatcache(); } echo 'late';`)))
	var out []byte
	for !bytes.HasSuffix(out, []byte("early")) {
		r, err := c.Next()
		if err != nil || r.Type != TypeStdout {
			t.Fatalf("got %v %v", r, err)
		}
		out = append(out, r.Content...)
	}
	if c.Buffered() {
		t.Error("a record is buffered while the script waits")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := mustCollect(t, c); a.stdout.String() != "late" {
		t.Errorf("got %q", a.stdout.String())
	}
}

func TestPHPKilledIsAnUnexpectedEOF(t *testing.T) {
	t.Run("before an answer", func(t *testing.T) {
		p := startPHP(t)
		c := p.dial(t)
		started := filepath.Join(p.root, "started")
		mustSend(t, c, get(p.env(t, `posix_mkfifo('`+started+`', 0600); fopen('`+started+`', 'r'); sleep(60);`)))
		openFIFO(t, started)
		p.kill()
		if _, err := collect(c); !errors.Is(err, io.ErrUnexpectedEOF) || !SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("within an answer", func(t *testing.T) {
		p := startPHP(t)
		c := p.dial(t)
		mustSend(t, c, get(p.env(t, `echo 'part'; flush(); sleep(60);`)))
		if r, err := c.Next(); err != nil || !bytes.HasSuffix(r.Content, []byte("part")) {
			t.Fatalf("got %v %v", r, err)
		}
		p.kill()
		if _, err := collect(c); !errors.Is(err, io.ErrUnexpectedEOF) || SafeToRetry(err) || c.Reusable() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while idle", func(t *testing.T) {
		p := startPHP(t)
		c := p.dial(t)
		e := p.env(t, `echo 1;`)
		mustSend(t, c, get(e))
		mustCollect(t, c)
		p.kill()
		err := c.Send(get(e))
		if err == nil {
			_, err = c.Next()
		}
		if !SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
	})
}

// openFIFO waits until the script has made the FIFO and reads from it.
func openFIFO(t *testing.T, name string) {
	t.Helper()
	patient.Eventually(t, "the FIFO is there", func() bool {
		// Without O_CREATE: the write end opens only when there is a reader.
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_ = f.Close()
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil
	})
}

func TestPHPEnvironmentOfBothDialects(t *testing.T) {
	for _, d := range []Dialect{DialectPHP, DialectRFC3875} {
		p := startPHP(t)
		c := p.dial(t)
		e := p.env(t, `echo json_encode($_SERVER);`)
		e.Dialect, e.PathInfo, e.RequestURI = d, "/up/evil.jpg", "/index.php/up/evil.jpg"
		e.Header = map[string][]string{"Authorization": {"Basic Zm9vOmJhcg=="}, "Redirect-Status": {"1"}, "Php-Value": {"x"}, "Proxy": {"evil"}}
		evil := filepath.Join(p.root, "up", "evil.jpg")
		if err := os.MkdirAll(filepath.Dir(evil), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(evil, []byte("<?php echo 'evil was run';"), 0o600); err != nil {
			t.Fatal(err)
		}
		mustSend(t, c, get(e))
		_, body := split(t, mustCollect(t, c))
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("dialect %d: %q: %v", d, body, err)
		}
		want := map[string]any{
			"PHP_SELF": "/index.php/up/evil.jpg", "SCRIPT_NAME": "/index.php", "PATH_INFO": "/up/evil.jpg", "SCRIPT_FILENAME": e.ScriptFilename,
			"DOCUMENT_ROOT": p.root, "QUERY_STRING": "", "HTTP_PROXY": nil, "PHP_VALUE": nil, "HTTP_PHP_VALUE": "x", "HTTP_REDIRECT_STATUS": "1",
		}
		if d == DialectPHP {
			want["PHP_AUTH_USER"], want["REQUEST_URI"], want["REDIRECT_STATUS"], want["PATH_TRANSLATED"] = "foo", "/index.php/up/evil.jpg", "200", nil
		} else {
			want["PHP_AUTH_USER"], want["REQUEST_URI"], want["REDIRECT_STATUS"], want["PATH_TRANSLATED"] = nil, nil, nil, evil
		}
		for name, value := range want {
			if got[name] != value {
				t.Errorf("dialect %d: %s is %v, want %v", d, name, got[name], value)
			}
		}
	}
}
