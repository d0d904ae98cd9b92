//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFPMPools holds the directives of pools to php-fpm's.
func TestFPMPools(t *testing.T) {
	t.Parallel()
	show := func(expression string) string { return "var_export(" + expression + ");" }
	ini := func(names ...string) string {
		return show(`array_map('ini_get', ['` + strings.Join(names, "', '") + `'])`)
	}
	environment := `$e = getenv(); ksort($e); foreach ($e as $k => $v) { if (!preg_match('/^(FCGI_ROLE|PATH|PHP_|PHPRC|SCRIPT|REQUEST|QUERY|DOCUMENT|SERVER|REMOTE|ORIG)/', $k)) echo "$k=$v\n"; }`
	var tests []struct {
		name, config string
		requests     []sideRequest
	}
	add := func(name, config string, requests ...sideRequest) {
		tests = append(tests, struct {
			name, config string
			requests     []sideRequest
		}{name, config, requests})
	}
	add("env", poolWith("env[A] = one", `env[B] = "two words"`, "env[C] = $OF_THE_MASTER", "env[D] = $NOT_SET_AT_ALL", "env[A] = again"),
		sideRequest{name: "getenv", script: show(`[getenv('A'), getenv('B'), getenv('C'), getenv('D'), getenv('OF_THE_MASTER')]`)},
		sideRequest{name: "$_SERVER", script: show(`[$_SERVER['A'] ?? null, $_SERVER['B'] ?? null]`)},
		sideRequest{name: "all of it", script: environment})
	add("clear_env = no", poolWith("clear_env = no"), sideRequest{name: "getenv", script: show(`getenv('OF_THE_MASTER')`)})
	add("php_value and its kin", poolWith("php_value[date.timezone] = Asia/Tokyo", "php_admin_value[memory_limit] = 77M", "php_flag[short_open_tag] = on",
		"php_admin_flag[log_errors] = off", "php_value[upload_max_filesize] = 5M", "php_value[precision] = 5", "php_value[precision] = 6",
		"php_admin_value[post_max_size] = 9M", "php_flag[html_errors] = off", "php_value[user_agent] = 'with \"quotes\" and $'"),
		sideRequest{name: "values", script: ini("date.timezone", "memory_limit", "short_open_tag", "log_errors", "upload_max_filesize", "precision", "post_max_size", "html_errors", "user_agent")},
		sideRequest{name: "scripts change php_value", script: `ini_set('precision', '12'); ` + ini("precision")},
		sideRequest{name: "scripts do not change php_admin_value", script: show(`@ini_set('memory_limit', '12M')`) + ini("memory_limit")},
		sideRequest{name: "nor php_admin_flag", script: show(`@ini_set('log_errors', '1')`) + ini("log_errors")},
		sideRequest{name: "what a script changed is gone", script: ini("precision")},
		sideRequest{name: "ini_restore", script: `ini_restore('memory_limit'); ` + ini("memory_limit")})
	add("disabled functions", poolWith("php_admin_value[disable_functions] = exec,system"),
		sideRequest{name: "they are not there", script: show(`[function_exists('exec'), function_exists('system'), function_exists('passthru')]`)})
	add("open_basedir", poolWith("php_admin_value[open_basedir] = DIR"),
		sideRequest{name: "inside", script: show(`is_readable(__FILE__)`)},
		sideRequest{name: "outside", script: show(`@file_get_contents('/etc/passwd')`)})
	add("auto_prepend_file", poolWith("php_value[auto_prepend_file] = DIR/s0.php"),
		sideRequest{name: "prepended", script: `echo "first ";`}, sideRequest{name: "both", script: `echo "then";`})
	add("security.limit_extensions of its own", poolWith("security.limit_extensions = .php .conf"),
		sideRequest{name: "allowed", params: map[string]string{"SCRIPT_FILENAME": "DIR/fpm.conf"}},
		sideRequest{name: "not allowed", params: map[string]string{"SCRIPT_FILENAME": "DIR/access.log"}})
	add("security.limit_extensions empty", poolWith("security.limit_extensions ="),
		sideRequest{name: "anything", params: map[string]string{"SCRIPT_FILENAME": "DIR/fpm.conf"}})
	add("access.suppress_path", poolWith("access.suppress_path[] = /s0.php", "access.suppress_path[] = /s1.php"),
		sideRequest{name: "suppressed", script: `echo 1;`},
		sideRequest{name: "not with an error", script: `http_response_code(500); echo 1;`},
		sideRequest{name: "not listed", script: `echo 1;`},
		sideRequest{name: "not with a query", script: `echo 1;`, params: map[string]string{"QUERY_STRING": "a"}})
	add("chdir", poolWith("chdir = /usr"), sideRequest{name: "scripts start in their folder", script: show(`getcwd() === dirname(__FILE__)`)})
	add("php.ini's cgi.fix_pathinfo", poolWith("php_admin_value[cgi.fix_pathinfo] = 0"),
		sideRequest{name: "behind a script", script: `echo 1;`, params: map[string]string{"PATH_INFO": "/x"}},
		sideRequest{name: "no such file", params: map[string]string{"SCRIPT_FILENAME": "DIR/s0.php/x"}})
	two := poolWith() + "\n[two]\nUSER\nlisten = DIR/two.sock\nlisten.mode = 0600\npm = ondemand\npm.max_children = 2\nphp_value[precision] = 3\nenv[WHO] = two\n"
	add("two pools", two,
		sideRequest{name: "the first", script: show(`[ini_get('precision'), getenv('WHO')]`)},
		sideRequest{name: "the second", script: show(`[ini_get('precision'), getenv('WHO')]`), socket: "two.sock"})
	if os.Geteuid() == 0 {
		other := strings.Replace(poolWith(), "USER\n", "user = nobody\ngroup = daemon\nlisten.mode = 0666\n", 1)
		add("user and group", other,
			sideRequest{name: "who runs it", script: show(`[posix_geteuid(), posix_getegid(), posix_getgroups(), posix_getuid(), getenv('USER'), getenv('HOME')]`)})
		add("supplementary groups", poolWith(), sideRequest{name: "groups", script: `$g = posix_getgroups(); sort($g); ` + show(`$g`)})
		for _, dumpable := range []string{"yes", "no"} { // the files of a process that is not belong to root (proc(5))
			add("process.dumpable = "+dumpable, poolWith("process.dumpable = "+dumpable), sideRequest{name: "owner", script: show(`[fileowner('/proc/self/status'), posix_getuid()]`), zygote: dumpable == "no"})
		}
		add("process.priority", poolWith("process.priority = 7"), sideRequest{name: "nice", script: show(`explode(" ", file_get_contents("/proc/self/stat"))[18]`)})
	}
	add("rlimit_files", poolWith("rlimit_files = 77"), sideRequest{name: "files", script: show(`posix_getrlimit()['soft openfiles']`)})
	add("rlimit_core", poolWith("rlimit_core = 0"), sideRequest{name: "core", script: show(`posix_getrlimit()['soft core']`)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fpm, own := bothSides(t, tt.config, tt.requests)
			endBoth(t, fpm, own, syscall.SIGTERM)
			compareFiles(t, fpm, own, "access.log")
		})
	}
}

// TestFPMAccessFormats compares what access.format makes of one request.
func TestFPMAccessFormats(t *testing.T) {
	t.Parallel()
	formats := []string{
		`%R - %u \"%m %r\" %s`, `%m %r%Q%q`, `%{REQUEST_URI}e %{HTTP_HOST}e`, `%{X-One}o`, `%f %n %l`, `%s %%`, `%{SCRIPT_NAME}e|%{NOPE}e`, `%q`, `[%u]`,
	}
	var pools strings.Builder
	pools.WriteString("[global]\nerror_log = DIR/error.log\n")
	var requests []sideRequest
	for i, format := range formats {
		fmt.Fprintf(&pools, "[p%d]\nUSER\nlisten = DIR/p%d.sock\npm = ondemand\npm.max_children = 1\naccess.log = DIR/access%d.log\naccess.format = \"%s\"\n", i, i, i, format)
		requests = append(requests, sideRequest{
			name: format, script: `header('X-One: first'); echo 1;`, socket: fmt.Sprintf("p%d.sock", i),
			params: map[string]string{"QUERY_STRING": `a="b"&c=%20`, "HTTP_AUTHORIZATION": "Basic dTpw", "HTTP_HOST": "example.com", "REQUEST_URI": "/pretty?x"},
		})
	}
	fpm, own := bothSides(t, pools.String(), requests)
	endBoth(t, fpm, own, syscall.SIGTERM)
	for i := range formats {
		compareFiles(t, fpm, own, fmt.Sprintf("access%d.log", i))
	}
}

// TestFPMAccessTellsProcessorTime: a script that computes has had a processor, one that sleeps has not.
func TestFPMAccessTellsProcessorTime(t *testing.T) {
	t.Parallel()
	config := strings.Replace(poolWith(), `access.format = "%m`, `access.format = "%{user}C %d %m`, 1)
	fpm, own := bothSides(t, config, []sideRequest{
		{name: "computes", script: `do { for ($i = 0; $i < 10000; $i++) { md5('x'); } $u = getrusage(); } while ($u['ru_utime.tv_sec'] * 1e6 + $u['ru_utime.tv_usec'] < 500000); echo 1;`},
		{name: "sleeps", script: `usleep(300000); echo 1;`},
	})
	endBoth(t, fpm, own, syscall.SIGTERM)
	for _, s := range []*side{fpm, own, own.twin} {
		var busy, busyFor, idle, idleFor float64 // percent, and seconds
		if _, err := fmt.Sscanf(s.file("access.log"), "%f %f GET /s0.php 200 DIR/s0.php 0  www - 192.0.2.1\n%f %f GET", &busy, &busyFor, &idle, &idleFor); err != nil {
			t.Errorf("%s: %v\n%s", s.name, err, s.file("access.log"))
		}
		if used := busy / 100 * busyFor; used < .3 || used > .7 {
			t.Errorf("%s: computing took %.3f s of the processor (%.2f %% of %.3f s)", s.name, used, busy, busyFor)
		}
		if used := idle / 100 * idleFor; used > .1 {
			t.Errorf("%s: sleeping took %.3f s of the processor (%.2f %% of %.3f s)", s.name, used, idle, idleFor)
		}
	}
}

// TestFPMCaughtOutput compares what catch_workers_output makes of the messages of scripts.
func TestFPMCaughtOutput(t *testing.T) {
	t.Parallel()
	for _, directives := range [][]string{{"catch_workers_output = yes"}, {"catch_workers_output = yes", "decorate_workers_output = no"}, {"catch_workers_output = no"}} {
		t.Run(strings.Join(directives, ", "), func(t *testing.T) {
			t.Parallel()
			fpm, own := bothSides(t, poolWith(directives...), []sideRequest{
				{name: "a message", script: `error_log("a message");`},
				{name: "a message with quotes", script: `error_log('a "quoted" message');`},
			})
			if directives[0] == "catch_workers_output = yes" {
				fpm.waitFor(`a "quoted" message`) // as in TestFPMCaughtStreams
			}
			endBoth(t, fpm, own, syscall.SIGTERM)
			kept := func(s *side) string {
				var lines []string
				for line := range strings.Lines(s.neutral(s.out.String())) {
					if strings.Contains(line, "message") {
						lines = append(lines, line)
					}
				}
				return strings.Join(lines, "")
			}
			want := kept(fpm)
			for _, s := range []*side{own, own.twin} {
				if got := kept(s); got != want {
					t.Errorf("php-fpm:\n%.4000q\nphpserve %s:\n%.4000q", shortLines(strings.Split(want, "\n")), s.engine, shortLines(strings.Split(got, "\n")))
				}
			}
		})
	}
}

// TestFPMCaughtStreams compares what becomes of what scripts write themselves, line by line.
func TestFPMCaughtStreams(t *testing.T) {
	t.Parallel()
	for _, directives := range [][]string{
		{"catch_workers_output = yes"}, {"catch_workers_output = yes", "decorate_workers_output = no"}, {"catch_workers_output = no"},
	} {
		t.Run(strings.Join(directives, ", "), func(t *testing.T) {
			t.Parallel()
			write := func(text string) string { return `file_put_contents('php://stderr', ` + text + `); echo 1;` }
			fpm, own := bothSides(t, poolWith(directives...), []sideRequest{
				{name: "standard error", script: write(`"one line of it\n"`)},
				{name: "two lines", script: write(`"first line of it\nsecond line of it\n"`)},
				{name: "empty lines", script: write(`"before of it\n\n\nbehind of it\n"`)},
				{name: "without an end", script: write(`"no end of it"`)},
				{name: "again", script: write(`"again no end of it"`)},
				{name: "in pieces", script: `for ($i = 0; $i < 10; $i++) { file_put_contents('php://stderr', "piece $i of it "); } echo 1;`},
				{name: "longer than log_limit", script: write(`"of it" . str_repeat("x", 1500) . "\n"`)},
				{name: "16 KiB", script: write(`"of it" . str_repeat("0123456789abcdef", 1024) . "\n"`)},
				{name: "60 kB", script: write(`"of it" . str_repeat("0123456789", 6000) . "\n"`)},
				{name: "60 kB without an end", script: write(`"of it" . str_repeat("0123456789", 6000)`)},
				{name: "php-fpm's own end of a line", script: write(`str_repeat("y", 1010) . "of it\0fscf\0of it behind"`)},
				{name: "standard output", script: `file_put_contents('php://stdout', "output of it\n"); echo 1;`},
				{name: "a program", script: `shell_exec('echo program of it >&2'); echo 1;`},
			})
			if directives[0] == "catch_workers_output = yes" {
				fpm.waitFor("program of it") // php-fpm reads no further when it is told to end
			}
			endBoth(t, fpm, own, syscall.SIGTERM)
			kept := func(s *side) (lines []string) {
				for raw := range strings.Lines(s.out.String()) {
					line := strings.TrimSuffix(s.neutral(raw), "\n")
					line = strings.Replace(line, "said into stdout", "said into stderr", 1) // phpserve keeps the order of the two instead
					whole := strings.TrimSuffix(strings.TrimPrefix(line, `[TIME] WARNING: [pool www] child N said into stderr: "`), `"`)
					switch {
					case len(raw) > 1024:
						t.Errorf("%s: a line of %d bytes", s.name, len(raw))
					case strings.Contains(line, "NOTICE"):
					case strings.Contains(line, "of it"):
						lines = append(lines, strings.TrimSuffix(line, `"`))
					case len(lines) > 0: // what goes on over lines is cut where the pid, which is as long as it likes, lets it
						lines[len(lines)-1] += whole
					}
				}
				return lines
			}
			want := kept(fpm)
			for _, s := range []*side{own, own.twin} {
				if got := kept(s); !slices.Equal(got, want) {
					t.Errorf("php-fpm:\n%.3000q\nphpserve with the %s engine:\n%.3000q", shortLines(want), s.engine, shortLines(got))
				}
			}
		})
	}
}

// shortLines are lines for a person, with their lengths.
func shortLines(lines []string) (short []string) {
	for _, line := range lines {
		short = append(short, fmt.Sprintf("%d:%.90s…%s", len(line), line, line[max(0, len(line)-8):]))
	}
	return short
}
