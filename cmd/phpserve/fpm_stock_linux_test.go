package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// commented is a directive that Debian's files have behind a semicolon.
var commented = regexp.MustCompile(`^;([a-z_.]+(?:\[\w*\])?) = ?(.*)$`)

// stockDirective is one of them.
type stockDirective struct {
	file       string // in Debian's folder
	line       int    // from zero
	name, text string // text is the line without the semicolon
}

// stockDirectives are all commented directives of Debian's files.
func stockDirectives(t *testing.T) (list []stockDirective) {
	t.Helper()
	for _, file := range []string{"php-fpm.conf", "pool.d/www.conf"} {
		text, err := os.ReadFile(filepath.Join("/etc/php/8.2/fpm", file))
		if err != nil {
			t.Fatalf("this test needs Debian's php8.2-fpm: %v", err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if m := commented.FindStringSubmatch(line); m != nil {
				list = append(list, stockDirective{file: file, line: i, name: m[1], text: line[1:]})
			}
		}
	}
	if len(list) < 50 {
		t.Fatalf("only %d directives", len(list))
	}
	return list
}

// working is the directive with a value that can work in a test's folder, where Debian's cannot or would be in the way of others.
func (d *stockDirective) working(t *testing.T, dir string) string {
	t.Helper()
	switch d.name {
	case "prefix":
		return "prefix = " + dir
	case "access.log":
		return "access.log = " + dir + "/$pool.access.log"
	case "slowlog":
		return "slowlog = " + dir + "/$pool.log.slow"
	case "pm.status_listen":
		return "pm.status_listen = " + freeAddress(t, "127.0.0.1")
	case "request_slowlog_timeout": // which needs a slowlog
		return "request_slowlog_timeout = 5s\nslowlog = " + dir + "/slow"
	case "request_slowlog_trace_depth":
		return d.text + "\nslowlog = " + dir + "/slow"
	}
	return strings.NewReplacer("/var/log/", dir+"/").Replace(d.text)
}

// stockSide is a side with Debian's files in which one directive is enabled.
func stockSide(t *testing.T, name string, d *stockDirective, working bool) *side {
	t.Helper()
	s := &side{t: t, name: name, dir: openFolder(t, "phpserve-stock-"), out: &output{changed: make(chan struct{})}}
	s.conf = stockConfig(t, s.dir)
	file := filepath.Join(s.dir, "fpm", d.file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if lines[d.line] = lines[d.line][1:]; working {
		lines[d.line] = d.working(t, s.dir)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // only root can give the socket away
		s.replace("fpm/pool.d/www.conf", "\nlisten.owner =", "\n;listen.owner =", "\nlisten.group =", "\n;listen.group =")
	}
	if err := os.Chmod(s.dir, 0o777); err != nil { // for what PHP logs
		t.Fatal(err)
	}
	return s
}

// replace changes texts of a file.
func (s *side) replace(name string, oldnew ...string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, strings.NewReplacer(oldnew...).Replace(string(text)))
}

// test runs -t, phpserve's in this process, and returns the exit code and what was said.
func (s *side) test() (code int, said string) {
	s.t.Helper()
	args := []string{"-t", "-y", s.conf}
	if s.name == "php-fpm" {
		code = s.run(args...)
	} else {
		code = run(append([]string{"fpm"}, args...), s.out, s.out, manager.FindPHP)
	}
	return code, s.neutral(s.out.String())
}

// stockScript shows what the directives change for scripts.
const stockScript = `<?php $e = getenv(); ksort($e);
foreach ($e as $k => $v) { if (preg_match('/^(HOSTNAME|TMP|TMPDIR|TEMP|USER|HOME|OF_THE_MASTER)$/', $k)) echo "$k=$v\n"; }
foreach (['sendmail_path', 'display_errors', 'error_log', 'log_errors', 'memory_limit'] as $k) { echo "$k=", ini_get($k), ' ', json_encode(@ini_set($k, '7')), "\n"; }
error_log("a message"); echo json_encode(posix_getrlimit()), posix_getuid(), getcwd();`

// TestFPMStockDirectives enables each commented directive of Debian's php-fpm.conf and www.conf in turn. phpserve fpm -t says what
// php-fpm -t does; and where that can work, scripts see the same, and both leave the same files behind.
func TestFPMStockDirectives(t *testing.T) {
	t.Parallel()
	for _, d := range stockDirectives(t) {
		t.Run(d.text, func(t *testing.T) {
			t.Parallel()
			if d.name == "listen.setfib" { // which only php-fpm on FreeBSD knows
				fpm, own := stockSide(t, "php-fpm", &d, false), stockSide(t, "phpserve", &d, false)
				if _, said := fpm.test(); !strings.Contains(said, "unknown entry 'listen.setfib'") {
					t.Errorf("php-fpm knows it: %s", said)
				}
				if code, said := own.test(); code != 0 {
					t.Errorf("phpserve does not: %s", said)
				}
				return
			}
			for _, working := range []bool{false, true} {
				fpm, own := stockSide(t, "php-fpm", &d, working), stockSide(t, "phpserve", &d, working)
				wantCode, want := fpm.test()
				if code, said := own.test(); code != wantCode || said != want {
					t.Errorf("php-fpm -t:  %d %s\nphpserve -t: %d %s", wantCode, want, code, said)
				}
				if !working || wantCode != 0 {
					if working {
						t.Errorf("php-fpm refuses it")
					}
					continue
				}
				var seen [2]string
				for i, s := range []*side{fpm, own} {
					s.write("s.php", stockScript)
					if d.name == "env[PATH]" { // which phpserve leaves in the environment
						s.write("s.php", stockScript+"echo getenv('PATH');")
					}
					s.start()
					answer := s.ask("php8.2-fpm.sock", nil, "")
					if code := s.stop(syscall.SIGQUIT); code != 0 {
						t.Errorf("%s: exit code %d", s.name, code)
					}
					left, err := os.ReadDir(s.dir)
					if err != nil {
						t.Fatal(err)
					}
					seen[i] = answer + "\n"
					for _, entry := range left {
						seen[i] += entry.Name() + " "
					}
				}
				if !strings.Contains(seen[0], "memory_limit=") || seen[0] != seen[1] {
					t.Errorf("php-fpm:  %q\nphpserve: %q", seen[0], seen[1])
				}
			}
		})
	}
}
