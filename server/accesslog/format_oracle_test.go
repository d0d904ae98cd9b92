//go:build unix

package accesslog

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/phpfpm"
)

// accessOracleDir makes a folder whose path leaves room for the name of a socket.
func accessOracleDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// accessRequest is a request to compare the lines of.
type accessRequest struct {
	name   string
	params map[string]string // on top of those that all have
	body   string
}

// accessScript tells what php-fpm made of the request, and sets what its query asks for.
const accessScript = `<?php
header('X-Pid: ' . getmypid()); header('X-Name: ' . ($_SERVER['SCRIPT_NAME'] ?? '')); header('X-File: ' . $_SERVER['SCRIPT_FILENAME']);
header('X-One: 1'); header('X-Two: two words'); header('X-Empty: '); header('X-Multi: a'); header('X-Multi: b', false);
if (isset($_GET['ct'])) header('Content-Type: text/plain');
if (isset($_GET['to'])) header('Location: /there');
if (isset($_GET['status'])) http_response_code((int) $_GET['status']);
echo 'hello';
`

func (q *accessRequest) all(dir string) map[string]string {
	params := map[string]string{
		"SCRIPT_FILENAME": dir + "/s.php", "SCRIPT_NAME": "/s.php", "REQUEST_METHOD": "GET", "QUERY_STRING": "",
		"REQUEST_URI": "/as/sent?x=1", "REMOTE_ADDR": "192.0.2.7", "EMPTY": "", "HTTP_USER_AGENT": `curl "8"`,
	}
	maps.Copy(params, q.params)
	if q.body != "" {
		params["CONTENT_LENGTH"] = strconv.Itoa(len(q.body))
	}
	maps.DeleteFunc(params, func(_, value string) bool { return value == "DELETE" })
	for name, value := range params {
		params[name] = strings.ReplaceAll(value, "DIR", dir)
	}
	return params
}

// accessRequests cover what a line can tell.
func accessRequests() []accessRequest {
	auth := func(value string) map[string]string { return map[string]string{"HTTP_AUTHORIZATION": value} }
	query := func(value string) map[string]string { return map[string]string{"QUERY_STRING": value} }
	requests := []accessRequest{
		{name: "GET"},
		{name: "query", params: query("a=1&b=2")},
		{name: "quotes in the query", params: query(`a="x"&b=%22 \ ' y`)},
		{name: "bytes that are no ASCII", params: query("a=\xc3\xbc\xff")},
		{name: "control characters", params: query("a=\x01\t\x1b[31m\x7f")},
		{name: "a forged line", params: query("a\n- - - \"GET /forged\" 200\r")},
		{name: "body", params: map[string]string{"REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain"}, body: "hello"},
		{name: "HEAD", params: map[string]string{"REQUEST_METHOD": "HEAD"}},
		{name: "a method of its own", params: map[string]string{"REQUEST_METHOD": "PROPFIND"}},
		{name: "status 204", params: query("status=204")},
		{name: "status 404", params: query("status=404")},
		{name: "status 503", params: query("status=503")},
		{name: "redirect", params: query("to=1")},
		{name: "Content-Type", params: query("ct=1")},
		{name: "PATH_INFO", params: map[string]string{
			"SCRIPT_FILENAME": "DIR/s.php/a/b", "SCRIPT_NAME": "/s.php/a/b", "PATH_INFO": "/s.php/a/b", "DOCUMENT_ROOT": "DIR",
		}},
		{name: "PATH_INFO without the parameter", params: map[string]string{
			"SCRIPT_FILENAME": "DIR/s.php/a/b", "SCRIPT_NAME": "/s.php/a/b", "DOCUMENT_ROOT": "DIR",
		}},
		{name: "no such script", params: map[string]string{"SCRIPT_FILENAME": "DIR/none.php", "SCRIPT_NAME": "/none.php"}},
		{name: "no SCRIPT_NAME", params: map[string]string{"SCRIPT_NAME": "DELETE"}},
		{name: "no script at all", params: map[string]string{"SCRIPT_NAME": "DELETE", "SCRIPT_FILENAME": "DELETE"}},
		{name: "another SCRIPT_NAME", params: map[string]string{"SCRIPT_NAME": "/pretty/name"}},
		{name: "empty REQUEST_URI", params: map[string]string{"REQUEST_URI": ""}},
		{name: "user", params: auth("Basic dTpw")},
		{name: "scheme in lower case", params: auth("basic dTpw")},
		{name: "several spaces", params: auth("Basic   dTpw")},
		{name: "tab for the space", params: auth("Basic\tdTpw")},
		{name: "another scheme", params: auth("Bearer dTpw")},
		{name: "scheme alone", params: auth("Basic")},
		{name: "scheme and nothing", params: auth("Basic ")},
		{name: "no colon", params: auth("Basic dQ==")},
		{name: "no user", params: auth("Basic OnA=")},
		{name: "no password", params: auth("Basic dTo=")},
		{name: "padding left out", params: auth("Basic dTo")},
		{name: "bytes that are no base64", params: auth("Basic !!d-T:p\xc3\xbcw")},
		{name: "padding in the middle", params: auth("Basic dT==pw")},
		{name: "one digit too many", params: auth("Basic dTpwd")},
		{name: "NUL in the user", params: auth("Basic dQB2OnA=")},
		{name: "NUL in the password", params: auth("Basic dTpwAHA=")},
		{name: "line feed in the user", params: auth("Basic dQp2OnA=")},
		{name: "user with a space and quotes", params: auth("Basic dSAidiI6cA==")},
		{name: "long user", params: auth("Basic " + "YWJj" + strings.Repeat("YWJj", 12) + "OnA=")},
		{name: "long query", params: query(strings.Repeat("q", 700))},
		{name: "long URI", params: map[string]string{"SCRIPT_NAME": "/" + strings.Repeat("u", 200)}},
		{name: "long method", params: map[string]string{"REQUEST_METHOD": "METHODTHATISVERYLONG"}},
	}
	return requests
}

// accessFormats are those that both take. Digits of the volatile ones are compared by shape.
func accessFormats() (exact, volatile []string) {
	exact = []string{
		defaultFPMFormat, "plain text", "%%", "100%% sure", "%m", "%r", "%q", "%Q", "%r%Q%q", "%s", "%f", "%l", "%n", "%p", "%P", "%R",
		"%u", `"%m %r%Q%q" %s`, "[%u]", "%{REQUEST_URI}e", "%{request_uri}e", "%{REMOTE_ADDR}e", "%{EMPTY}e", "%{MISSING}e",
		`"%{HTTP_USER_AGENT}e"`, "%{REQUEST_METHOD}e %{QUERY_STRING}e", "%{X-One}o", "%{X-Two}o", "%{X-Empty}o", "%{X-Multi}o", "%{x-one}o",
		"%{X-O}o", "%{Content-Type}o", "%{Content-type}o", "%{Location}o", "%{Missing}o", "%{X-Powered-By}o", "%t", "%T", "%{}t",
		"%{%Y-%m-%dT%H:%M:%S%z}t", "%{%s}T", "%{%A %d %B %j %U %V %G %p %Z}t", "%{%^a %-d %_5H %E}T", "%{plain}t",
		"%{A}{REMOTE_ADDR}e", "%{A}{}m", `%R - %u %t "%m %r%Q%q" %s %f %l %n`, "%m{%r}", "a%", "%{%t}tx", "\u00e9%mü",
	}
	volatile = []string{
		"%d", "%{}d", "%{seconds}d", "%{SECONDS}d", "%{milliseconds}d", "%{milli}d", "%{miliseconds}d", "%{mili}d", "%{Milli}d",
		"%{microseconds}d", "%{micro}d", "%C", "%{total}C", "%{user}C", "%{system}C", "%{System}C", "%M", "%{bytes}M", "%{kilobytes}M", "%{kilo}M",
		"%{megabytes}M", "%{mega}M", "%{MEGA}M", `%R - %u %t "%m %r%Q%q" %s %f %{milli}d %{kilo}M %C%%`,
	}
	return exact, volatile
}

// Every line of php-fpm begins with what a record must know and ends with a mark, for values with line feeds.
const (
	accessPrefix = "%{%s}t %{%s}T|"
	accessSuffix = "|END"
)

// accessOracle is a pool of php-fpm with the format that it logs.
type accessOracle struct {
	name, format string
	network      string // of its address
	address      string
	volatile     bool
}

func (o *accessOracle) config(dir string) string {
	format := accessPrefix + o.format + accessSuffix
	if strings.HasSuffix(o.format, "%") && !strings.HasSuffix(o.format, "%%") {
		format = accessPrefix + o.format // a % at the end must be at the end
	}
	return fmt.Sprintf("[%s]\nlisten = %s\npm = ondemand\npm.max_children = 1\naccess.log = %s/%s.log\nenv[TZ] = Asia/Kathmandu\naccess.format = '%s'\n",
		o.name, strings.TrimPrefix(o.address, "*:"), dir, o.name, format)
}

// newAccessRecord tells what is known of a request and its answer.
func newAccessRecord(q *accessRequest, o *accessOracle, dir, head string, fpm *phpfpm.FPM) *FPMRecord {
	params := q.all(dir)
	r := &FPMRecord{
		Method: params["REQUEST_METHOD"], URI: params["SCRIPT_NAME"], Query: params["QUERY_STRING"],
		ContentLength: int64(len(q.body)), Status: 200, User: BasicAuthUser(params["HTTP_AUTHORIZATION"]), Pool: o.name, MasterPID: fpm.PID,
		UserCPU: time.Millisecond, SystemCPU: time.Millisecond, Memory: 2 << 20,
	}
	if o.network != "unix" {
		r.Peer = "127.0.0.1"
	}
	headers := map[string]string{}
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if name == "Status" {
			r.Status, _ = strconv.Atoi(value[:3])
		}
		if _, ok := headers[name]; !ok && name != "Status" {
			headers[name] = value
		}
	}
	r.WorkerPID, _ = strconv.Atoi(headers["X-Pid"]) // the page of an error does not tell
	r.Script = headers["X-File"]
	if r.WorkerPID != 0 {
		r.URI = headers["X-Name"]
	}
	r.Header = func(name string) (string, bool) { v, ok := headers[name]; return v, ok }
	r.Param = func(name string) (string, bool) { v, ok := params[name]; return v, ok }
	return r
}

// cutAsFPM cuts what php-fpm's shared memory has no room for (php-src sapi/fpm/fpm/fpm_scoreboard.h). phpserve logs all of it.
func cutAsFPM(r *FPMRecord) {
	for value, size := range map[*string]int{&r.URI: 128, &r.Query: 512, &r.Method: 16, &r.Script: 256, &r.User: 32} {
		if len(*value) >= size {
			*value = (*value)[:size-1]
		}
	}
}

// accessNumber finds the numbers of a volatile line.
var accessNumber = regexp.MustCompile(`\d+(\.\d+)?`)

// accessShape keeps of a number only how many decimals it has.
func accessShape(line string) string {
	return accessNumber.ReplaceAllStringFunc(line, func(n string) string {
		_, decimals, _ := strings.Cut(n, ".")
		return "N" + strings.Repeat("n", len(decimals))
	})
}

// setTimes takes the times of the prefix of php-fpm's line.
func (r *FPMRecord) setTimes(t *testing.T, prefix string) {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	var start, end int64
	if _, err := fmt.Sscanf(prefix, "%d %d", &start, &end); err != nil {
		t.Fatalf("%q: %v", prefix, err)
	}
	r.Start, r.End = time.Unix(start, 0).In(zone), time.Unix(end, 1234567).In(zone)
}

func TestAccessLinesAreThoseOfPHPFPM(t *testing.T) {
	t.Parallel()
	dir := accessOracleDir(t)
	if err := os.WriteFile(filepath.Join(dir, "s.php"), []byte(accessScript), 0o600); err != nil {
		t.Fatal(err)
	}
	var oracles []*accessOracle
	exact, volatile := accessFormats()
	for i, format := range slices.Concat(exact, volatile) {
		name := "p" + strconv.Itoa(i)
		oracles = append(oracles, &accessOracle{
			name: name, format: format, network: "unix", address: filepath.Join(dir, name), volatile: i >= len(exact),
		})
	}
	for i, address := range []string{"127.0.0.1:" + strconv.Itoa(patient.Port(t)), "*:" + strconv.Itoa(patient.Port(t))} { // the second is of both families
		oracles = append(oracles, &accessOracle{name: "tcp" + strconv.Itoa(i), format: defaultFPMFormat, network: "tcp", address: address})
	}
	config := ""
	for _, o := range oracles {
		config += o.config(dir)
	}
	fpm := phpfpm.Start(t, dir, config)
	compared := 0
	for _, o := range oracles {
		t.Run(o.format, func(t *testing.T) {
			compared += compareAccessLines(t, o, fpm)
		})
	}
	t.Logf("%d lines of %d formats", compared, len(oracles))
}

// compareAccessLines sends all requests to a pool and compares its log with ours.
func compareAccessLines(t *testing.T, o *accessOracle, fpm *phpfpm.FPM) int {
	t.Helper()
	format, err := ParseFormat(o.format)
	if err != nil {
		t.Fatal(err)
	}
	requests := accessRequests()
	for _, q := range requests {
		head := phpfpm.Ask(t, o.network, strings.Replace(o.address, "*:", "127.0.0.1:", 1), q.all(fpm.Dir), q.body)
		log, err := os.ReadFile(filepath.Join(fpm.Dir, o.name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(fpm.Dir, o.name+".log"), 0); err != nil {
			t.Fatal(err)
		}
		r := newAccessRecord(&q, o, fpm.Dir, head, fpm)
		if r.WorkerPID == 0 && strings.Contains(o.format, "%p") {
			continue
		}
		times, line, _ := strings.Cut(string(log), "|")
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), accessSuffix)
		r.setTimes(t, times)
		cutAsFPM(r)
		got, want := string(format.append(nil, r)), line
		if !strings.Contains(o.format, "%t}") { // a control character that the format asks for
			want = string(appendVisible(nil, line)) // the one deliberate difference
		}
		if o.volatile {
			got, want = accessShape(got), accessShape(want)
		}
		if got != want {
			t.Errorf("%s:\n  phpserve %q\n  php-fpm  %q", q.name, got, want)
		}
	}
	return len(requests)
}

// testFPMConfig runs php-fpm -t with a format and returns its first warning.
func testFPMConfig(t *testing.T, dir, format string) (warning string, ok bool) {
	t.Helper()
	file := filepath.Join(dir, "fpm.conf")
	o := accessOracle{name: "p", format: format, network: "unix", address: filepath.Join(dir, "p")}
	config := strings.Replace(o.config(dir), accessPrefix+format+accessSuffix, format, 1)
	config = strings.Replace(config, accessPrefix+format, format, 1)
	if err := os.WriteFile(file, []byte("[global]\nerror_log = "+dir+"/error.log\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "php-fpm8.2", "-n", "-R", "-t", "-y", file).CombinedOutput()
	if _, after, found := strings.Cut(string(out), "] WARNING: "); found {
		warning, _, _ = strings.Cut(after, "\n")
	}
	return warning, err == nil
}

func TestAccessFormatsAreRefusedInPHPFPMsWords(t *testing.T) {
	t.Parallel()
	dir := accessOracleDir(t)
	exact, volatile := accessFormats()
	formats := append(slices.Concat(exact, volatile),
		"%Z", "%a", "%", "% ", "%{a}Z", "%{foo}d", "%{foo}C", "%{foo}M", "%{ micro}d", "%{micros}d", "%{queue_}d", "%{que}d", "%e", "%{}e", "%o", "%{}o",
		"%{x}m", "%{x}%", "%{x}r", "%{x}R", "%{x}s", "%{x}p", "%{x}P", "%{x}u", "%{x}q", "%{x}Q", "%{x}f", "%{x}l", "%{x}n", "%{", "%{x", "%{x}", "%{}",
		"%m %{abc", "%{a}{b", "%{a}{b}", "%{a}{b}d", "%{a}%{micro}d", "%m %Y %X", "%\u00e9", `%"`, "%}", "%{}}", "%{x}}", "%{%Y}t%{%", "%{}C", "%{}M",
		"%{}m", "%{}T", "%{"+strings.Repeat("n", 200)+"}d", "%{"+strings.Repeat("n", 200)+"}e", "%{"+strings.Repeat("n", 200)+"}m", "%d %d %{kilo}d",
		"%{total}M", "%{bytes}C", "%{a{b}e", "%{a%b}e", "%-m", "%5s", "%>s", "%%%", "%%%Z", strings.Repeat("x", 2000), strings.Repeat("%m ", 500),
	)
	for _, format := range formats {
		want, ok := testFPMConfig(t, dir, format)
		got := ""
		if err := CheckFormat(format); err != nil {
			got = err.Error()
		}
		if got != want || ok != (got == "") {
			t.Errorf("%q: phpserve %q, php-fpm %q", format, got, want)
		}
	}
	t.Logf("%d formats", len(formats))
}

func TestAccessIsSuppressedAsByPHPFPM(t *testing.T) {
	t.Parallel()
	dir := accessOracleDir(t)
	if err := os.WriteFile(filepath.Join(dir, "s.php"), []byte(accessScript), 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/s.php", "/ping", "/Other", "/with/slash/"}
	o := &accessOracle{name: "s", format: "%r", network: "unix", address: filepath.Join(dir, "s")}
	config := o.config(dir)
	for _, path := range paths {
		config += "access.suppress_path[] = " + path + "\n"
	}
	fpm := phpfpm.Start(t, dir, config)
	requests := accessRequests()
	for _, uri := range []string{"/ping", "/Ping", "/ping/", "/other", "/Other", "/with/slash/", "/with/slash", "/s.php/", ""} {
		for _, method := range []string{"GET", "HEAD", "POST", "get", "Head", "OPTIONS"} {
			requests = append(requests, accessRequest{
				name: method + " " + uri, params: map[string]string{"SCRIPT_NAME": uri, "REQUEST_METHOD": method},
			})
		}
	}
	for _, status := range []string{"199", "200", "201", "204", "206", "299", "300", "304", "400", "500"} {
		requests = append(requests, accessRequest{name: "status " + status, params: map[string]string{
			"SCRIPT_FILENAME": "DIR/" + status + ".php",
		}})
		if err := os.WriteFile(filepath.Join(dir, status+".php"), []byte("<?php http_response_code("+status+");"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	requests = append(requests,
		accessRequest{name: "GET with a body", params: map[string]string{"SCRIPT_NAME": "/ping"}, body: "x"},
		accessRequest{name: "GET with a length of zero", params: map[string]string{"SCRIPT_NAME": "/ping", "CONTENT_LENGTH": "0"}},
		accessRequest{name: "no method", params: map[string]string{"SCRIPT_NAME": "/ping", "REQUEST_METHOD": ""}},
	)
	left := 0
	for _, q := range requests {
		head := phpfpm.Ask(t, o.network, o.address, q.all(dir), q.body)
		log, err := os.ReadFile(filepath.Join(dir, "s.log"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, "s.log"), 0); err != nil {
			t.Fatal(err)
		}
		got := suppressed(paths, newAccessRecord(&q, o, dir, head, fpm))
		if want := len(log) == 0; got != want {
			t.Errorf("%s: suppressed by phpserve %v, by php-fpm %v", q.name, got, want)
		}
		if got {
			left++
		}
	}
	if left == 0 || left == len(requests) {
		t.Errorf("%d of %d requests left", left, len(requests))
	}
	t.Logf("%d requests, %d left", len(requests), left)
}
