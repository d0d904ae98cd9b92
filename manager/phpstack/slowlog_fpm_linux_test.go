package phpstack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// slow are scripts that php-fpm finds slow, in the folder DIR.
var slow = map[string]string{
	"sleep":       "<?php\nfunction a() {\n  sleep(100000);\n}\na();",
	"main":        "<?php\nsleep(100000);",
	"busy":        "<?php\nset_time_limit(0);\nwhile (true) {\n  $i = 1;\n}",
	"lock":        "<?php\n$a = fopen('DIR/l', 'c'); flock($a, LOCK_EX); $b = fopen('DIR/l', 'c');\nflock($b, LOCK_EX);",
	"pipe":        "<?php\nclass P { static function read() { $p = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); return fgets($p[0]); } }\nP::read();",
	"deep":        "<?php\nfunction r($n) {\n  if ($n) r($n - 1); else sleep(100000);\n}\nr(200);",
	"closure":     "<?php\nnamespace App\\Model;\n$f = function () { \\sleep(100000); };\narray_map($f, [1]);",
	"eval":        "<?php\nfunction e() {\n  eval('\n sleep(100000);');\n}\ne();",
	"include":     "<?php\n\ninclude 'DIR/sleep.php';",
	"generator":   "<?php\nfunction g() { yield 1; sleep(100000); }\nforeach (g() as $x);",
	"yieldfrom":   "<?php\nfunction g() { yield 1; sleep(100000); }\nfunction h() {\n  yield from g();\n}\nforeach (h() as $x);",
	"fiber":       "<?php\nfunction f() {\n  (new Fiber(function () { sleep(100000); }))->start();\n}\nf();",
	"destructor":  "<?php\nclass D { function __destruct() { sleep(100000); } }\nfunction f() {\n  $d = new D;\n}\nf();",
	"cast":        "<?php\nclass S { function __toString() { sleep(100000); } }\necho new S;",
	"magic":       "<?php\nclass M { function __call($n, $a) { sleep(100000); } }\n(new M)->foo();",
	"handler":     "<?php\nset_error_handler(function () { sleep(100000); });\necho $none;",
	"usort":       "<?php\n$a = [1, 2];\nusort($a, function ($x, $y) { sleep(100000); });",
	"anonymous":   "<?php\n(new class {\n  function go() { sleep(100000); }\n})->go();",
	"autoload":    "<?php\nspl_autoload_register(function ($c) { sleep(100000); });\nnew Missing;",
	"exception":   "<?php\nfunction f() {\n  try { throw new Exception; } finally { sleep(100000); }\n}\nf();",
	"longname":    "<?php\nfunction " + strings.Repeat("x", 1500) + "() { sleep(100000); }\n" + strings.Repeat("x", 1500) + "();",
	"buffer":      "<?php\nob_start(function ($s) { sleep(100000); return $s; });\necho 1;\nob_end_flush();",
	"static call": "<?php\nclass A { static function __callStatic($n, $a) { call_user_func('sleep', 100000); } }\nA::go();",
}

// TestTheSlowLogIsThatOfPHPFPM lets php-fpm write its slow log, and then traces the very same workers. On a slow machine php-fpm may
// find a script slow that has not come to its last place yet: then they differ, but not with a longer request_slowlog_timeout.
func TestTheSlowLogIsThatOfPHPFPM(t *testing.T) {
	var differences []string
	for limit := 1; limit <= 64; limit *= 4 {
		if differences = compareSlowLogs(t, limit); len(differences) == 0 {
			return
		}
	}
	for _, d := range differences {
		t.Error(d)
	}
}

// compareSlowLogs tells what differs when php-fpm finds a script slow after a limit of seconds.
func compareSlowLogs(t *testing.T, limit int) (differences []string) {
	t.Helper()
	const fpm = "/usr/sbin/php-fpm8.2"
	dir := t.TempDir()
	for name, code := range slow {
		write(t, filepath.Join(dir, name+".php"), strings.ReplaceAll(code, "DIR", dir))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user = root\ngroup = root\n"
	}
	write(t, filepath.Join(dir, "fpm.conf"), fmt.Sprintf(`[global]
error_log = %[1]s/error.log
daemonize = no
[www]
%[2]slisten = %[1]s/s
pm = static
pm.max_children = %[3]d
slowlog = %[1]s/slow.log
request_slowlog_timeout = %[4]ds
request_slowlog_trace_depth = 0
`, dir, user, len(slow), limit))
	cmd := exec.Command(fpm, "-n", "-R", "-F", "-y", filepath.Join(dir, "fpm.conf"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt) // ends the workers, too
		cmd.Wait()
	}()
	for name := range slow {
		conn := dialFPM(t, filepath.Join(dir, "s"))
		if _, err := conn.Write(request(filepath.Join(dir, name+".php"))); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := Open(fpm)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)\n(\[.*\])  \[pool www\] pid (\d+)\n(.*\n)+`)
	var blocks [][]byte
	for deadline := patient.LastMoment(); len(blocks) < len(slow); {
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		if time.Now().After(deadline) {
			t.Fatalf("php-fpm wrote fewer than %d slow requests: %s", len(slow), log)
		}
		// A block is complete when php-fpm says so in its other log.
		text, _ := os.ReadFile(filepath.Join(dir, "slow.log"))
		if bytes.Count(log, []byte("finished trace of")) >= len(slow) {
			for part := range bytes.SplitSeq(text, []byte("\n\n")) {
				blocks = append(blocks, append(append([]byte("\n"), bytes.Trim(part, "\n")...), '\n'))
			}
		}
	}
	for _, want := range blocks {
		m := block.FindSubmatch(want)
		if m == nil {
			t.Fatalf("php-fpm's block is %q", want)
		}
		at, err := time.ParseInLocation("[02-Jan-2006 15:04:05]", string(m[1]), time.Local)
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		fmt.Sscan(string(m[2]), &pid)
		s := Slow{Time: at, Pool: "www"}
		s.Stack, s.Err = reader.Trace(pid, Options{Depth: DefaultDepth})
		var got bytes.Buffer
		if err := WriteSlowLog(&got, s); err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			differences = append(differences, fmt.Sprintf("this reader writes%s\nphp-fpm writes%s\nthe error is %v", got.String(), want, s.Err))
		}
	}
	return differences
}

func dialFPM(t *testing.T, path string) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	for deadline := patient.LastMoment(); time.Now().Before(deadline); {
		if conn, err = net.Dial("unix", path); err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
	}
	t.Fatal(err)
	return nil
}

// request is a FastCGI request for a script (FastCGI 1.0, 3.3 and 5).
func request(script string) []byte {
	var params []byte
	for _, p := range [][2]string{
		{"REQUEST_METHOD", "GET"}, {"SCRIPT_FILENAME", script}, {"SCRIPT_NAME", "/x.php"}, {"REQUEST_URI", "/x.php?a=1"},
	} {
		for _, s := range p {
			params = binary.BigEndian.AppendUint32(params, uint32(len(s))|1<<31)
		}
		params = append(params, p[0]+p[1]...)
	}
	record := func(kind byte, content []byte) []byte {
		b := []byte{1, kind, 0, 1, byte(len(content) >> 8), byte(len(content)), 0, 0}
		return append(b, content...)
	}
	all := record(1, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	all = append(all, record(4, params)...)
	all = append(all, record(4, nil)...)
	return append(all, record(5, nil)...)
}
