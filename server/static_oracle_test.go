package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testfiles"
)

// staticSide is one of the servers that the same files are asked of.
type staticSide struct {
	name, network, addr string
	tag                 string // its entity tag of /a.bin
}

// ask sends a request whose fields are written as they are, with this server's own tag for {tag}.
func (s *staticSide) ask(t *testing.T, method, path string, fields ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial(s.network, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(patient.LastMoment()); err != nil {
		t.Fatal(err)
	}
	head := method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	for _, f := range fields {
		head += strings.ReplaceAll(f, "{tag}", s.tag) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: cannot read the response: %v", s.name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: cannot read the body: %v", s.name, err)
	}
	return resp, string(body)
}

// startStatic starts a web server that serves root, and waits until it answers.
func startStatic(t *testing.T, side *staticSide, dir, file, conf string, args ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs %s: %v", side.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	eventually(t, side.name+" answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", side.name, &out)
		default:
		}
		c, err := net.Dial(side.network, side.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	resp, _ := side.ask(t, "GET", "/a.bin")
	side.tag = resp.Header.Get("Etag")
}

func staticNginx(t *testing.T, root string) *staticSide {
	dir := filepath.Join(filepath.Dir(root), "nginx")
	mustMkdir(t, dir)
	side := &staticSide{name: "nginx", network: "unix", addr: filepath.Join(dir, "s")}
	startStatic(t, side, dir, filepath.Join(dir, "conf"), fmt.Sprintf(`worker_processes 1; daemon off; pid %[1]s/pid; error_log %[1]s/log;
events { worker_connections 64; }
http {
	access_log off; default_type application/octet-stream;
	client_body_temp_path %[1]s/body; fastcgi_temp_path %[1]s/fastcgi; proxy_temp_path %[1]s/proxy; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen unix:%[1]s/s; root %[2]s; }
}`, dir, root), "nginx", "-e", dir+"/log", "-c", dir+"/conf")
	return side
}

func staticApache(t *testing.T, root string) *staticSide {
	dir := filepath.Join(filepath.Dir(root), "apache")
	mustMkdir(t, dir)
	side := &staticSide{name: "Apache", network: "tcp", addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(patient.Port(t)))} // Apache inherits no listener
	conf := fmt.Sprintf("ServerRoot %[1]s\nServerName localhost\nListen %[2]s\nPidFile %[1]s/pid\nDefaultRuntimeDir %[1]s\nErrorLog %[1]s/log\n", dir, side.addr)
	for _, module := range []string{"mpm_event", "authz_core", "mime"} {
		conf += fmt.Sprintf("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	if os.Geteuid() == 0 {
		conf += "User www-data\nGroup www-data\n"
	}
	conf += fmt.Sprintf("TypesConfig /dev/null\nForceType application/octet-stream\nFileETag All\nStartServers 1\nServerLimit 1\nThreadsPerChild 4\nMaxRequestWorkers 4\nDocumentRoot %s\n", root)
	startStatic(t, side, dir, filepath.Join(dir, "conf"), conf, "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", dir+"/conf")
	return side
}

func mustMkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestConditionsAndRangesFollowRFC9110 asks nginx and Apache the same. Where one of them answers otherwise, the row says how.
func TestConditionsAndRangesFollowRFC9110(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], nil, nil)
	testfiles.PutAt(t, ts.root, "a.bin", "0123456789", testfiles.Mtime())
	testfiles.PutAt(t, ts.root, "empty.bin", "", testfiles.Mtime())
	testfiles.PutAt(t, ts.root, "new.bin", "0123456789", time.Now().Add(24*time.Hour))
	own := &staticSide{name: "phpserve", network: "tcp", addr: ts.addr}
	first, _ := own.ask(t, "GET", "/a.bin")
	if own.tag = first.Header.Get("Etag"); !strings.HasPrefix(own.tag, `"`) {
		t.Fatalf("entity tag %q is not strong", own.tag)
	}
	sides := []*staticSide{own, staticNginx(t, ts.root), staticApache(t, ts.root)}
	for _, tt := range staticRows() {
		t.Run(tt.name, func(t *testing.T) {
			for i, side := range sides {
				want := tt.want
				if other := [...]string{"", tt.nginx, tt.apache}[i]; other != "" {
					want = other
				}
				resp, body := side.ask(t, tt.method, tt.path, tt.fields...)
				if got := outcome(t, resp, body); got != want {
					t.Errorf("%s: %s, want %s (RFC 9110 section %s)", side.name, got, want, tt.section)
				}
				if side == own {
					checkStaticHead(t, tt.method, resp, own.tag, tt.path == "/a.bin")
				}
			}
		})
	}
}

// outcome is status and body of a response in short; of parts, each range with its bytes.
func outcome(t *testing.T, resp *http.Response, body string) string {
	t.Helper()
	switch resp.StatusCode {
	case 200:
		return strings.TrimSpace("200 " + body)
	case 416:
		return "416 " + resp.Header.Get("Content-Range")
	case 206:
	default:
		return fmt.Sprint(resp.StatusCode)
	}
	mediaType, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/byteranges" {
		return "206 " + strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes ") + " " + body
	}
	text := "206"
	for parts := multipart.NewReader(strings.NewReader(body), params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF {
			return text
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(part)
		if err != nil || part.Header.Get("Content-Type") == "" {
			t.Fatalf("part %v: %v", part.Header, err)
		}
		text += " " + strings.TrimPrefix(part.Header.Get("Content-Range"), "bytes ") + " " + string(content)
	}
}

// checkStaticHead checks what each status must have in its head, and must not.
func checkStaticHead(t *testing.T, method string, resp *http.Response, tag string, tagged bool) {
	t.Helper()
	h := resp.Header
	has := func(name string) bool { return h.Get(name) != "" }
	if tagged && resp.StatusCode != 416 && h.Get("Etag") != tag {
		t.Errorf("%d has the tag %q, want %q", resp.StatusCode, h.Get("Etag"), tag)
	}
	switch resp.StatusCode {
	case 200, 206:
		if !has("Content-Type") || h.Get("Accept-Ranges") != "bytes" || tagged && !has("Last-Modified") || method == "HEAD" && h.Get("Content-Length") == "" {
			t.Errorf("%d: %v", resp.StatusCode, h)
		}
		if resp.StatusCode == 200 && has("Content-Range") {
			t.Errorf("200 with Content-Range %q", h.Get("Content-Range"))
		}
	case 304: // section 15.4.5
		if has("Content-Type") || has("Content-Length") || has("Content-Encoding") || has("Last-Modified") {
			t.Errorf("304: %v", h)
		}
	case 412, 416:
		if has("Content-Encoding") || h.Get("Content-Length") != "0" {
			t.Errorf("%d: %v", resp.StatusCode, h)
		}
	}
}

// staticRow is a request with what answers it.
type staticRow struct {
	section, name, method, path string
	fields                      []string
	want                        string
	nginx, apache               string // empty: the same
}

// staticRows are about /a.bin, which has ten bytes and is of Wed, 04 Mar 2026 05:06:07 GMT.
func staticRows() []staticRow {
	const (
		all                          = "200 0123456789"
		same, earlier, later, future = "Wed, 04 Mar 2026 05:06:07 GMT", "Wed, 04 Mar 2026 05:06:06 GMT", "Wed, 04 Mar 2026 05:06:08 GMT", "Fri, 04 Mar 2095 05:06:07 GMT"
	)
	get := func(section, name, want string, fields ...string) staticRow {
		return staticRow{section: section, name: name, method: "GET", path: "/a.bin", fields: fields, want: want}
	}
	of := func(method, path string, r staticRow) staticRow {
		r.method, r.path = method, path
		return r
	}
	differ := func(nginx, apache string, r staticRow) staticRow {
		r.nginx, r.apache = nginx, apache
		return r
	}
	unsatisfied := "416 bytes */10"
	return []staticRow{
		get("13.1.1", "If-Match with the tag", all, "If-Match: {tag}"),
		get("13.1.1", "If-Match with the weak tag", "412", "If-Match: W/{tag}"),
		get("13.1.1", "If-Match star", all, "If-Match: *"),
		get("13.1.1", "If-Match in a list", all, `If-Match: "x", {tag}`),
		differ("400", "", get("13.1.1", "If-Match in two fields", all, `If-Match: "x"`, "If-Match: {tag}")),
		get("13.1.1", "If-Match with another", "412", `If-Match: "x"`),
		get("13.1.1", "If-Match of nothing", "412", `If-Match:`),
		differ("412", "412", get("13.1.4", "If-Match outranks If-Unmodified-Since", all, "If-Match: {tag}", "If-Unmodified-Since: "+earlier)),
		get("13.1.4", "If-Unmodified-Since same", all, "If-Unmodified-Since: "+same),
		get("13.1.4", "If-Unmodified-Since earlier", "412", "If-Unmodified-Since: "+earlier),
		differ("412", "", get("13.1.4", "If-Unmodified-Since bad", all, "If-Unmodified-Since: yesterday")),
		get("13.1.2", "If-None-Match with the tag", "304", "If-None-Match: {tag}"),
		get("13.1.2", "If-None-Match with the weak tag", "304", "If-None-Match: W/{tag}"),
		get("13.1.2", "If-None-Match in a list", "304", `If-None-Match: "x", "a,b" , {tag}`),
		get("13.1.2", "If-None-Match in a list without spaces", "304", `If-None-Match: "x",,W/{tag}`),
		differ("400", "", get("13.1.2", "If-None-Match in the second field", "304", `If-None-Match: "x"`, "If-None-Match: {tag}")),
		get("13.1.2", "If-None-Match star", "304", "If-None-Match: *"),
		get("13.1.2", "If-None-Match with another", all, `If-None-Match: "x"`),
		get("13.1.2", "If-None-Match inside another", all, `If-None-Match: "x{tag}"`),
		get("13.1.3", "If-None-Match outranks If-Modified-Since", all, `If-None-Match: "x"`, "If-Modified-Since: "+later),
		differ(all, all, get("13.1.3", "If-None-Match with the tag and If-Modified-Since earlier", "304", `If-None-Match: {tag}`, "If-Modified-Since: "+earlier)),
		get("13.1.3", "If-Modified-Since same", "304", "If-Modified-Since: "+same),
		get("13.1.3", "If-Modified-Since earlier", all, "If-Modified-Since: "+earlier),
		differ(all, "", get("13.1.3", "If-Modified-Since later", "304", "If-Modified-Since: "+later)),
		differ(all, all, get("13.1.3", "If-Modified-Since in the future", "304", "If-Modified-Since: "+future)),
		get("5.6.7", "If-Modified-Since of RFC 850", "304", "If-Modified-Since: Wednesday, 04-Mar-26 05:06:07 GMT"),
		get("5.6.7", "a year of two digits that is past", all, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"),
		differ(all, all, get("5.6.7", "a year of two digits that is to come", "304", "If-Modified-Since: Wednesday, 06-Nov-69 08:49:37 GMT")),
		get("5.6.7", "If-Modified-Since of asctime", "304", "If-Modified-Since: Wed Mar  4 05:06:07 2026"),
		get("13.1.3", "If-Modified-Since bad", all, "If-Modified-Since: tomorrow"),
		get("13.1.3", "If-Modified-Since as a number", all, "If-Modified-Since: 1999999999"),
		differ("400", "304", get("13.1.3", "If-Modified-Since twice", all, "If-Modified-Since: "+same, "If-Modified-Since: "+same)),
		of("HEAD", "/a.bin", get("13.1.2", "HEAD with If-None-Match", "304", "If-None-Match: {tag}")),
		of("HEAD", "/a.bin", get("13.1.3", "HEAD with If-Modified-Since", "304", "If-Modified-Since: "+same)),
		of("HEAD", "/a.bin", get("13.1.1", "HEAD with If-Match of another", "412", `If-Match: "x"`)),
		get("13.2.2", "If-Match fails before If-None-Match", "412", `If-Match: "x"`, "If-None-Match: {tag}"),
		get("13.2.2", "a condition before a range", "304", "If-None-Match: {tag}", "Range: bytes=0-1"),

		get("14.1.2", "a range", "206 2-4/10 234", "Range: bytes=2-4"),
		get("14.1.2", "the last bytes", "206 7-9/10 789", "Range: bytes=-3"),
		get("14.1.2", "more last bytes than there are", "206 0-9/10 0123456789", "Range: bytes=-30"),
		get("14.1.2", "an open range", "206 8-9/10 89", "Range: bytes=8-"),
		get("14.1.2", "a range over the end", "206 8-9/10 89", "Range: bytes=8-100"),
		differ(unsatisfied, all, get("14.1.2", "a last byte beyond all numbers", "206 8-9/10 89", "Range: bytes=8-99999999999999999999999")),
		get("14.1.2", "leading zeros", "206 1-2/10 12", "Range: bytes=01-0002"),
		get("14.1.2", "one byte", "206 0-0/10 0", "Range: bytes=0-0"),
		differ("", "416 ", get("15.5.17", "a range beyond the end", unsatisfied, "Range: bytes=10-")),
		differ("", all, get("15.5.17", "a first byte beyond all numbers", unsatisfied, "Range: bytes=99999999999999999999999-")),
		differ("", all, get("14.1.2", "no last bytes", unsatisfied, "Range: bytes=-0")),
		get("14.1", "the unit in capitals", "206 2-4/10 234", "Range: Bytes=2-4"),
		get("14.2", "an unknown unit", all, "Range: lines=1-2"),
		get("14.2", "a unit that begins like bytes", all, "Range: bytesx=1-2"),
		get("14.2", "no unit", all, "Range: 1-2"),
		get("14.2", "no range", all, "Range: bytes="),
		differ(unsatisfied, "", get("14.2", "nonsense", all, "Range: bytes=a-b")),
		differ(unsatisfied, "", get("14.2", "a minus alone", all, "Range: bytes=-")),
		differ(unsatisfied, "", get("14.2", "a negative number", all, "Range: bytes=--3")),
		differ(unsatisfied, "", get("14.2", "a plus", all, "Range: bytes=+1-2")),
		differ(unsatisfied, "", get("14.1.1", "the last before the first", all, "Range: bytes=4-2")),
		differ(unsatisfied, "", get("14.1.1", "the last before the first, both beyond all numbers", all, "Range: bytes=99999999999999999999999-99999999999999999999998")),
		differ(unsatisfied, "", get("14.2", "a valid range and nonsense", all, "Range: bytes=0-1,x")),
		differ("206 0-1/10 01", "", get("5.3", "two fields", all, "Range: bytes=0-1", "Range: bytes=4-5")),
		get("14.6", "two ranges", "206 0-1/10 01 5-6/10 56", "Range: bytes=0-1,5-6"),
		differ(unsatisfied, all, get("5.6.1.2", "two ranges with empty elements and spaces", "206 0-1/10 01 5-6/10 56", "Range: bytes=, 0-1 ,, 5-6,")),
		get("14.2", "one of two ranges beyond the end", "206 0-1/10 01", "Range: bytes=0-1,20-30"),
		differ("", "416 ", get("15.5.17", "two ranges beyond the end", unsatisfied, "Range: bytes=10-,20-30")),
		get("14.2", "in descending order", "206 8-9/10 89 0-1/10 01", "Range: bytes=8-9,0-1"),
		get("17.15", "a thousand ranges (CVE-2011-3192)", all, "Range: bytes=0-0"+strings.Repeat(",2-2", 999)),
		differ("", "206 0-9/10 0123456789", get("17.15", "overlapping ranges that add up to more than the file", all, "Range: bytes=0-,0-,0-")),
		get("13.1.5", "If-Range with the tag", "206 0-0/10 0", "Range: bytes=0-0", "If-Range: {tag}"),
		get("13.1.5", "If-Range with the weak tag", all, "Range: bytes=0-0", "If-Range: W/{tag}"),
		get("13.1.5", "If-Range with another", all, "Range: bytes=0-0", `If-Range: "x"`),
		get("13.1.5", "If-Range with the date", "206 0-0/10 0", "Range: bytes=0-0", "If-Range: "+same),
		get("13.1.5", "If-Range with a later date", all, "Range: bytes=0-0", "If-Range: "+later),
		get("13.1.5", "If-Range with an earlier date", all, "Range: bytes=0-0", "If-Range: "+earlier),
		get("13.1.5", "If-Range with nonsense", all, "Range: bytes=0-0", "If-Range: x"),
		get("13.1.5", "If-Range with another and a range beyond the end", all, "Range: bytes=10-", `If-Range: "x"`),
		get("13.1.5", "If-Range alone", all, `If-Range: "x"`),
		differ("206 0-1/10 ", "206 0-1/10 ", of("HEAD", "/a.bin", get("14.2", "HEAD has no ranges", "200", "Range: bytes=0-1"))),
		differ(unsatisfied, "416 ", of("HEAD", "/a.bin", get("14.2", "HEAD has no ranges beyond the end", "200", "Range: bytes=10-"))),
		of("GET", "/empty.bin", get("15.5.17", "a range of an empty file", "200", "Range: bytes=0-")),
		of("GET", "/empty.bin", get("15.5.17", "a byte of an empty file", "200", "Range: bytes=0-0")),
		of("GET", "/empty.bin", get("14.1.2", "the last bytes of an empty file", "200", "Range: bytes=-5")),
		of("GET", "/empty.bin", get("14", "an empty file", "200")),
		of("GET", "/empty.bin", get("13.1.3", "an empty file that is not modified", "304", "If-Modified-Since: "+same)),
		of("GET", "/new.bin", get("8.8.2.1", "a file of the future was modified at no known time", all, "If-Modified-Since: "+future)),
		differ("412", "412", of("GET", "/new.bin", get("13.1.4", "nor unmodified since", all, "If-Unmodified-Since: "+earlier))),
	}
}
