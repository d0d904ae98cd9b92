package fpmconf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// fpmBinary is the oracle: Debian's php-fpm 8.2.
const fpmBinary = "php-fpm8.2"

// fpmCase is one configuration given to php-fpm and to Load. "@" in file texts is the directory of the files.
type fpmCase struct {
	name  string
	conf  string
	files map[string]string // more files below the directory
	args  []string          // more arguments of php-fpm; "@" as above
	o     Options           // what args mean to Load
	env   []string
	base  string // where directories of the case are made: a name that is harmless within a configuration
}

// differences are the cases in which Load deliberately says something else than php-fpm, and why.
func differences() map[string]string {
	return map[string]string{
		"pool listen.setfib = 1":        "FreeBSD's directive is parsed and kept; php-fpm refuses it where it is not built in",
		"stock pool ;listen.setfib = 1": "FreeBSD's directive is parsed and kept; php-fpm refuses it where it is not built in",
	}
}

const (
	globalHead = "[global]\nerror_log = @/error.log\n"
	poolHead   = "[www]\nuser = www-data\nlisten = @/www.sock\npm = static\npm.max_children = 4\n"
	dynamic    = "pm = dynamic\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n"
)

// globalLines are entries of [global], each a case of its own.
func globalLines() []string {
	return []string{
		"pid = run/x.pid", "pid = /x.pid", "pid =", "pid = $pool", "error_log = /nosuch/x.log", "error_log =",
		"error_log = @/other.log", "syslog.ident = x", "syslog.ident =", "syslog.facility = local3",
		"syslog.facility = AUTHPRIV", "syslog.facility = ftp", "syslog.facility = uucp", "syslog.facility = x",
		"log_buffering = no", "log_buffering = 2", "log_level = notice", "log_level = warn", "log_level = Error",
		"log_level = alert", "log_level = debug", "log_level = x", "log_level =", "log_limit = 4096", "log_limit = 512",
		"log_limit = 511", "log_limit = -1", "log_limit = x", "emergency_restart_threshold = 3",
		"emergency_restart_threshold = 1k", "emergency_restart_interval = 1m", "emergency_restart_interval = -5m",
		"emergency_restart_interval = 10ms", "emergency_restart_interval = 1.5h", "emergency_restart_interval = 2d",
		"emergency_restart_interval = 99999d", "emergency_restart_interval = 99999999999", "emergency_restart_interval = 5x",
		"emergency_restart_interval =", "emergency_restart_interval = s", "process_control_timeout = 7s",
		"process_control_timeout = 7 s", "process.max = 128", "process.max = -1", "process.max = 99999999999",
		"process.max = 9223372036854775808", "process.max = -9223372036854775809", "process.max = 2147483648",
		"process.max = -", "process.max =", "process.max = --5", "process.max = 5-", "process.max = +5",
		"process.priority = -19", "process.priority = 21", "process.priority = 64", "process.priority = -20",
		"daemonize = no", "daemonize = 'yes'", `daemonize = "off"`, `daemonize = "Yes"`, "daemonize = ${NOSUCH}",
		"daemonize = ON", "daemonize = none", "daemonize = null", "rlimit_files = 1024", "rlimit_core = unlimited",
		"rlimit_core = UNLIMITED", "rlimit_core = -1", "rlimit_core = 5", "rlimit_core = x", "events.mechanism = epoll",
		"events.mechanism = POLL", "events.mechanism = select", "events.mechanism = kqueue", "events.mechanism =",
		"systemd_interval = 0", "systemd_interval = 1m", "systemd_interval = -3", "systemd_interval", "unknown = 1",
		"Log_Limit = 2048", "env[A] = b", "foo[] = b", "env[] = b", "access.suppress_path[] = /a",
		"access.suppress_path[k] = a", "access.suppress_path[k] = /a", "foo[a] = b", "access.suppress_path[] = /$pool",
		"listen = 9000", "INCLUDE = x", "include", "include =", "include = /nosuch/*.conf", "include = /nosuch/a.conf",
		"include = @/*.nothing", "include = nosuch.conf", "include = @/error.log/*.conf", "user = x", "; comment",
		"  ; comment", "# comment", "\t", "   ", "\r", "pid = /x\r", "log_limit = \xef\xbb\xbf600",
		"\xef\xbb\xbflog_limit = 600",
	}
}

// poolLines are entries of a pool, each a case of its own.
func poolLines() []string {
	return []string{
		"prefix = @", "prefix = /nosuch", "prefix = @/error.log", "prefix = share", "prefix =",
		"prefix = @\nlisten = x.sock", "prefix =\nlisten = x.sock", "listen = x.sock", "listen =", "listen = 9000",
		"listen = [::1]:9000", "listen = localhost:9", "listen = @/$pool-$pool.sock", "user = nosuch", "user = 99999",
		"user = 12x", "user = -5", "user =", "user = root", "group = nosuch", "group = 0", "group = www-data",
		"listen.owner = nosuch", "listen.owner = 33", "listen.group = nosuch", "listen.group = adm", "listen.owner =",
		"listen.mode = 0600", "listen.mode = x", "listen.backlog = 511", "listen.backlog = x",
		"listen.acl_users = www-data,root", "listen.acl_groups = nosuch", "listen.allowed_clients = 127.0.0.1,x",
		"listen.setfib = 1", "apparmor_hat = x", "process.priority = -19", "process.priority = 21", "process.dumpable = yes",
		"process.dumpable = x", "pm = Dynamic", "pm = x", "pm =", "pm.max_children = 0", "pm.max_children = -1",
		"pm.max_children = x", dynamic, dynamic + "pm.start_servers = 2", dynamic + "pm.start_servers = 4",
		dynamic + "pm.start_servers = -4", dynamic + "pm.max_spare_servers = 5",
		dynamic + "pm.min_spare_servers = 4\npm.max_spare_servers = 2", dynamic + "pm.min_spare_servers = 0",
		dynamic + "pm.max_spare_servers = -1", dynamic + "pm.max_spawn_rate = 0",
		dynamic + "pm.max_spawn_rate = 5\npm.max_requests = 7", "pm = ondemand",
		"pm = ondemand\npm.process_idle_timeout = 0", "pm = ondemand\npm.process_idle_timeout = 1m",
		"pm = ondemand\nlisten.backlog = -5", "pm = ondemand\npm.start_servers = 4\npm.min_spare_servers = 2",
		"pm.max_requests = 500", "pm.max_requests = -2", "pm.status_path = /status", "pm.status_path = status",
		"pm.status_path = /", "pm.status_path = /a b", "pm.status_path =", "pm.status_path = /ä", "pm.status_listen = 9001",
		"pm.status_listen =", "pm.status_listen = @/www.sock", "pm.status_listen = 9001\npm.status_path = /",
		"pm.status_listen = 9001\n[www_status]", "pm.status_listen = 9001\nlisten.owner = nosuch", "ping.path = /ping",
		"ping.path = ping", "ping.path = /", "ping.path = /?", "ping.path =", "ping.response = x",
		"ping.path = /ping\nping.response = x y", "ping.path = /ping\nping.response =", "access.log = @/access.log",
		"access.log = /nosuch/a", "access.log =", "access.log = @/a.log\naccess.format =", `access.format = "%R %u \"x\""`,
		`access.log = @/a.log` + "\n" + `access.format = "%m %r"`, "access.suppress_path[] = /ping",
		"access.suppress_path[] = ping", "access.suppress_path[] =", "access.suppress_path[a] = /ping",
		"access.suppress_path[a] = ping", "access.suppress_path[] = /a\naccess.suppress_path[] = /$pool",
		"slowlog = @/slow.log", "slowlog =", "request_slowlog_timeout = 5",
		"slowlog = @/slow.log\nrequest_slowlog_timeout = 5s", "slowlog = /nosuch/slow\nrequest_slowlog_timeout = 5s",
		"slowlog = @/slow.log\nrequest_slowlog_timeout = -3",
		"slowlog = @/s\nrequest_slowlog_timeout = 2m\nrequest_terminate_timeout = 1m", "request_slowlog_trace_depth = 3",
		"slowlog = @/s\nrequest_slowlog_trace_depth = 3", "slowlog = @/s\nrequest_slowlog_trace_depth = -3",
		"request_terminate_timeout = 30s", "request_terminate_timeout = 30q",
		"request_terminate_timeout_track_finished = yes", "rlimit_files = 10", "rlimit_core = unlimited", "chroot = @",
		"chroot = /nosuch", "chroot = @/error.log", "chroot = $prefix", "chroot = $prefix/share", "chroot = x$prefix",
		"chroot = share", "chroot =", "prefix = @\nchroot = $prefix", "chdir = /tmp", "chdir = /nosuch", "chdir = share",
		"chdir =", "chroot = @\nchdir = /", "chroot = @\nchdir = /nosuch", "chroot =\nchdir = /tmp",
		"catch_workers_output = yes", "decorate_workers_output = no", "clear_env = 0", "security.limit_extensions =",
		"security.limit_extensions = .php .php5", "env[A] = b", "env[A] =", "env[] = b", "env[A] = $HOME",
		"env[A] = b\nenv[A] = c\nenv[B] = $pool", "env = b", "ENV[A] = b", "foo[A] = b", "foo[] = b", "php_value[] = b",
		"php_value[a] =", "php_value[a] = $pool",
		"php_value[a] = 1\nphp_value[a] = 2\nphp_flag[b] = on\nphp_admin_value[c] = d\nphp_admin_flag[e] = off",
		"php_flag[a] = maybe", "php_admin_flag[a] =", "php_flag[a] = $pool", "php_value[error_log] = syslog",
		"php_admin_value[error_log] = SYSLOG", "php_admin_value[Error_Log] = x.log",
		"php_value[sendmail_path] = sendmail -t", "prefix = @\nphp_value[extension_dir] = ext",
		"chroot = @\nphp_value[error_log] = x.log", "php_value[E_ALL] = x", "php_value[true] = x", "php_value[null] = x",
		"php_value[ a b ] = x", "PM.Max_Children = 7", "pm.max_children", "[WWW]\npm.max_children = 8",
		"[www]\nlisten = 9001\n[other]\n", "[Global]\nlog_limit = 600",
		"[other]\nuser = www-data\npm = static\npm.max_children = 1\nlisten = @/www.sock",
		"[other]\nuser = www-data\npm = static\npm.max_children = 1\nlisten = 9001", "[other]", "[other]\nuser = www-data",
		"[other]\nuser = www-data\nlisten = 9001", "[other]\nuser = www-data\nlisten = 9001\npm = static",
		"include = @/*.nothing",
	}
}

// values are right-hand sides, given to access.format, which takes any text.
func values() []string {
	return []string{
		"a  b   ; x", `"a" b "c d" `, "b$", "b$ x", `"a\"b"`, `"a\\b\n"`, `"C:\x\"`, `"a\\" b"`, `"a\" b"`, `"\"a"`, `"\\"`,
		`""`, `"a;b"`, `"a" "b"`, `"a`, `"${HOME}x`, `"${HOME`, `"${}"`, `"a$b"`, `"$${HOME}"`, `"\${HOME}"`, "'x'", "'x",
		"''", "'a' b 'c'", "a'b", "a'b c'd", `'a"b'`, `'${HOME}'`, "(a", "(a)", "((1))", "(1|2)&3", "(1) x", "(1 x", "1|2 3",
		"1|", "1 | 2 & 3 ^ 4", "~1", "~~1", "!0", "!5", "! 0 | 4", "!", "~", "(", ")", "a)", "a(b)", "a|b", "|", "E_ALL",
		"E_ALL & ~E_NOTICE", "E_ALL & ~E_DEPRECATED & ~E_STRICT", "E_ALL x", "E_ALLx", "e_all", "PHP_VERSION",
		"PHP_VERSION.PHP_OS", "M_PI", "INF", "NAN", "PHP_SAPI", "PHP_INT_MAX", "PHP_INT_MIN", "PHP_INT_SIZE",
		"DIRECTORY_SEPARATOR", "PATH_SEPARATOR", "__FILE__", "true x", "true 5", "true on", "on", "On ", "tRUE", "only",
		"nothing", "x on", "no/x", "none of", "NULL x", "-5", "-5x", "1.5 2", "1.", ".5", "-.5", "1.2.3", "99999999999|0",
		"-1|0", "0x10|0", "' 5'|0", "a=b", "a = b", "=", "a;b", ";b", "${HOME}", "${HOME}x${NOPE}y", "x ${HOME} y",
		"${ HOME }", "${HOME", "${", "${}", "${=}", "${FOO:-bar}", "${precision}", "{x}", "}", "a,b:c", "#x", `a\$b`, `a\b`,
		`a\`, "$", "$$", "${HOME}${HOME}", "$x", `$\"x"`, `$\${x}`, "$;x", "$'x'", "[a]", "a[b]", "a\tb", "a\t",
		"a\rchdir = /tmp", "a\r; b", "a\rfoo", "%R - %u", "ä ö", "\x01\x7f\xff", "a^b", "1^3", "1&&2", "http://x/y?z&1",
		"a!b", "a~b", "\"a\rb\"x", "E_ALL E_ALL", "x E_ALL y",
	}
}

// lines are whole lines within a pool.
func lines() []string {
	return []string{
		"= x", "[x", "[x] y", "[]", "[ x ]", "[x] listen = 9001", "['x']", "[\"x\"]", "[${HOME}]", "[a;b]", "[a]b]", "[a[b]",
		"[x\\]y]", "[x'y]", "[x\"y]", "[E_ALL]", "[x$", "[$]]", "[x]]", "  [x]", "[www]\r", "env[a = b", "env[a] b",
		"env[a]", "env[a]]= b", "env[a];= b", "env['a'] = b", "env['a = b", `env["a"] = b`, "env[${HOME}] = b",
		"env[a;b] = c", "env[a\"b] = c", "env[ a] = b", "env[a\tb] = c", "env [a] = b", "env\t[a] = b", "env[a]=", "]",
		"a]b = c", "yes = 3", "yes", "on\t= 1", "null = 1", "once = 1", "a ! b", "a & b", "a\tb = c", "(", ")", "{", "}",
		"!", "\"x\" = y", "  \"x\" = y", "\"", "'", "'x' = y", "$x = y", "~", "|", "^", "&", "a,b = c", "a:b = c",
		"access.format\t =\t x \t", " \t access.format = x", "access.format=x", ";", "; \r x",
		"access.format = a\rinclude = x\rinclude = y", "foo\x00b", "access.format = a\x00b", "; foo\x00b", "\x00",
		"[www\x00]", "env[a\x00" + "b] = c",
	}
}

func cases() []fpmCase {
	var all []fpmCase
	for _, s := range globalLines() {
		all = append(all, fpmCase{name: "global " + s, conf: globalHead + s + "\n" + poolHead})
	}
	for _, s := range poolLines() {
		all = append(all, fpmCase{name: "pool " + s, conf: globalHead + poolHead + s + "\n"})
	}
	for _, s := range values() {
		all = append(all, fpmCase{name: "value " + s, conf: globalHead + poolHead + "access.format = " + s + "\n"})
	}
	for _, s := range lines() {
		all = append(all, fpmCase{name: "line " + s, conf: globalHead + poolHead + s + "\n"})
	}
	return append(all, fileCases()...)
}

// fileCases are about files, includes, command line and environment.
func fileCases() []fpmCase {
	pool := globalHead + poolHead
	return []fpmCase{
		{name: "nothing", conf: ""},
		{name: "no pool", conf: globalHead},
		{name: "no newline at the end", conf: strings.TrimSuffix(pool, "\n")},
		{name: "no newline behind an error", conf: pool + "foo"},
		{name: "carriage returns", conf: strings.ReplaceAll(pool, "\n", "\r\n")},
		{name: "pool without user", conf: globalHead + "[www]\nlisten = 9000\n"},
		{
			name: "pool without user, -R", conf: globalHead + "[www]\nlisten = 9000\n",
			args: []string{"-R"}, o: Options{AllowRoot: true},
		},
		{name: "pool without pm", conf: globalHead + "[www]\nuser = 33\nlisten = 9000\n"},
		{name: "pool without children", conf: globalHead + "[www]\nuser = 33\nlisten = 9000\npm = static\n"},
		{name: "pool without spares", conf: globalHead + "[www]\nuser = 33\nlisten = 9000\npm = dynamic\npm.max_children = 5\n"},
		{name: "directive before any section", conf: "error_log = @/error.log\nlog_limit = 600\n" + poolHead},
		{name: "no ondemand with poll", conf: globalHead + "events.mechanism = poll\n" + poolHead + "pm = ondemand\n"},
		{name: "notice below the log_level", conf: globalHead + "log_level = error\n" + poolHead + dynamic},
		{name: "watchdog", conf: pool, env: []string{"WATCHDOG_USEC=9000000"}},
		{
			name: "watchdog and systemd_interval", conf: globalHead + "systemd_interval = 5\n" + poolHead,
			env: []string{"WATCHDOG_USEC=9000000"},
		},
		{name: "short watchdog", conf: pool, env: []string{"WATCHDOG_USEC=900000"}},
		{name: "environment", conf: pool + "access.format = \"${A} b\"${C}\n", env: []string{"A=x\"y", "C=1"}},
		{name: "boolean from the environment", conf: pool + "clear_env = ${A}\n", env: []string{"A=off"}},
		{name: "bad boolean from the environment", conf: pool + "clear_env = ${A}\n", env: []string{"A=Off"}},
		{
			name: "prefix", conf: pool + "access.log = a.log\nchdir = sub\n", files: map[string]string{"sub/x": ""},
			args: []string{"-p", "@"}, o: Options{Prefix: "@"},
		},
		{name: "missing prefix", conf: pool, args: []string{"-p", "/nosuch"}, o: Options{Prefix: "/nosuch"}},
		{name: "pid file option", conf: pool, args: []string{"-g", "@/x.pid"}, o: Options{PID: "@/x.pid"}},
		{
			name: "pid file option and directive", conf: globalHead + "pid = /y\n" + poolHead,
			args: []string{"-g", "x"}, o: Options{PID: "x"},
		},
		{
			name: "include", conf: globalHead + "include = @/d/*.conf\n",
			files: map[string]string{"d/b.conf": poolHead, "d/a.conf": ";\n"},
		},
		{
			name: "include by prefix", conf: globalHead + "include = d/*.conf\n", files: map[string]string{"d/b.conf": poolHead},
			args: []string{"-p", "@"}, o: Options{Prefix: "@"},
		},
		{
			name: "include ends in another section", conf: globalHead + "include = @/a.conf\nlog_limit = 600\n",
			files: map[string]string{"a.conf": poolHead},
		},
		{
			name: "line numbers behind an include", conf: globalHead + "include = @/a.conf\n\nfoo\n",
			files: map[string]string{"a.conf": poolHead + "\n\n"},
		},
		{name: "error in an include", conf: globalHead + "include = @/a.conf\n", files: map[string]string{"a.conf": "\n\nfoo\n"}},
		{
			name: "syntax error in an include", conf: globalHead + "include = @/a.conf\n",
			files: map[string]string{"a.conf": "\n\n(\n"},
		},
		{name: "include of itself", conf: globalHead + "include = @/php-fpm.conf\n"},
		{name: "five files deep", conf: globalHead + "include = @/a\n", files: map[string]string{
			"a": "include = @/b", "b": "include = @/c", "c": "include = @/d", "d": poolHead,
		}},
		{name: "six files deep", conf: globalHead + "include = @/a\n", files: map[string]string{
			"a": "include = @/b", "b": "include = @/c", "c": "include = @/d", "d": "include = @/e", "e": poolHead,
		}},
		{
			name: "include skips directories", conf: globalHead + "include = @/*d*\n",
			files: map[string]string{"d/x": "(", "ad": poolHead},
		},
		{
			name: "include passes a file as a directory", conf: globalHead + "include = @/*/*.conf\n" + poolHead,
			files: map[string]string{"d/x.conf": "log_limit = 600\n", "f": ""},
		},
		{
			name: "include with sets", conf: globalHead + "include = \"@/[!a]?[0-9]\\*\"\n" + poolHead,
			files: map[string]string{"bx1*": "log_limit = 600\n", "ax1*": "(", "bx1y": "("},
		},
		{
			name: "include with a class", conf: globalHead + "include = \"@/[[:digit:]_]x\"\n" + poolHead,
			files: map[string]string{"1x": "log_limit = 600\n", "ax": "("},
		},
		{
			name: "include passes over hidden files", conf: globalHead + "include = @/*x\n" + poolHead,
			files: map[string]string{".x": "("},
		},
		{
			name: "include keeps double slashes", conf: globalHead + "include = @//d//*.conf\n",
			files: map[string]string{"d/a.conf": "foo\n"},
		},
		{
			name: "include with an open set", conf: globalHead + "include = @/[a\n" + poolHead,
			files: map[string]string{"[a": "log_limit = 600\n"},
		},
		{name: "values nested too deeply", conf: pool + "access.format = " + strings.Repeat("!", maxDepth) + "1\n"},
		{name: "values nested just so", conf: pool + "access.format = " + strings.Repeat("!", maxDepth-1) + "1\n"},
		{name: "long line", conf: pool + "access.format = " + strings.Repeat("x", 300) + "\n"},
	}
}

// stockCases are Debian's own files, as they are and with each directive that is commented out put in force.
func stockCases(t *testing.T) []fpmCase {
	t.Helper()
	global := readText(t, "/etc/php/8.2/fpm/php-fpm.conf")
	pool := readText(t, "/etc/php/8.2/fpm/pool.d/www.conf")
	global = strings.Replace(global, "error_log = /var/log/php8.2-fpm.log", "error_log = @/error.log", 1)
	global = strings.Replace(global, "/etc/php/8.2/fpm/pool.d", "@/pool.d", 1)
	all := []fpmCase{{name: "stock", conf: global, files: map[string]string{"pool.d/www.conf": pool}}}
	commented := regexp.MustCompile(`(?m)^; ?([a-z_.]+(\[[^\]]*\])? *=.*)$`)
	for _, m := range commented.FindAllStringSubmatch(global, -1) {
		conf := strings.Replace(global, m[0]+"\n", m[1]+"\n", 1)
		all = append(all, fpmCase{name: "stock global " + m[0], conf: conf, files: map[string]string{"pool.d/www.conf": pool}})
	}
	for _, m := range commented.FindAllStringSubmatch(pool, -1) {
		line := strings.ReplaceAll(m[1], "= log/", "= @/") // not in /usr/log
		conf := strings.Replace(pool, m[0]+"\n", line+"\n", 1)
		all = append(all, fpmCase{name: "stock pool " + m[0], conf: global, files: map[string]string{"pool.d/www.conf": conf}})
	}
	if len(all) < 50 {
		t.Fatalf("found only %d directives in the stock files", len(all))
	}
	return all
}

func TestSaysWhatFPMSays(t *testing.T) {
	version := fpmVersion(t)
	different := differences()
	names := map[string]bool{}
	count, accepted := 0, 0
	base := t.TempDir()
	for _, c := range append(cases(), stockCases(t)...) {
		if names[c.name] {
			continue // the stock files have a few lines twice
		}
		names[c.name] = true
		count++
		c.base = base
		t.Run(fmt.Sprintf("%.60q", c.name), func(t *testing.T) {
			for _, flag := range []string{"-t", "-tt"} {
				wantCode, want := askFPM(t, c, flag)
				if wantCode == 0 && flag == "-tt" {
					accepted++
				}
				code, got := askLoad(t, c, flag, version)
				same := code == wantCode && got == want
				if _, ok := different[c.name]; ok == same {
					t.Errorf("%s: exit code %d, php-fpm's is %d; listed as different: %v\n--- got\n%s\n--- php-fpm\n%s\n%s",
						flag, code, wantCode, ok, got, want, firstDifference(got, want))
				}
			}
		})
	}
	for name := range different {
		if !names[name] {
			t.Errorf("no case is named %q", name)
		}
	}
	if count < 500 || accepted < count/3 {
		t.Errorf("%d configurations, of which php-fpm accepts only %d", count, accepted)
	}
	t.Logf("%d configurations, of which php-fpm accepts %d", count, accepted)
}

// TestSaysWhatFPMSaysToAUser repeats cases as nobody, for whom php-fpm needs no user and ignores what it cannot do.
func TestSaysWhatFPMSaysToAUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test changes users: run it as root")
	}
	base := t.TempDir()
	for _, c := range []fpmCase{
		{name: "no user", conf: globalHead + "[www]\nlisten = @/s\npm = static\npm.max_children = 1\n"},
		{name: "user that does not exist", conf: globalHead + poolHead + "user = nosuch\n"},
		{name: "all that needs root", conf: globalHead + poolHead + "group = adm\nchroot = @\nprocess.priority = 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.base = base
			wantCode, want := askFPMAs(t, c, "-t", &syscall.Credential{Uid: 65534, Gid: 65534})
			code, got := askLoadAs(t, c, "-t", "", false)
			if code != wantCode || got != want {
				t.Errorf("exit code %d, php-fpm's is %d\n--- got\n%s\n--- php-fpm\n%s", code, wantCode, got, want)
			}
		})
	}
}

// TestRefusesTheUsersFPMRefuses starts php-fpm for real with configurations it cannot start with.
func TestRefusesTheUsersFPMRefuses(t *testing.T) {
	for _, user := range []string{
		"user = root", "user = 0", "group = root", "group = 0", "user =", "user = nosuch", "group = nosuch", "user = 99999",
	} {
		t.Run(strings.ReplaceAll(user, "=", "is"), func(t *testing.T) {
			c := fpmCase{base: t.TempDir(), conf: globalHead + poolHead + user + "\n"}
			wantCode, want := askFPM(t, c, "-F")
			code, got := askLoad(t, c, "-F", "")
			if code != wantCode || got != want || code == 0 {
				t.Errorf("exit code %d, php-fpm's is %d\n--- got\n%s\n--- php-fpm\n%s", code, wantCode, got, want)
			}
		})
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fpmVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(fpmBinary, "-n", "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))[1]
}

// writeCase puts the case's files into a directory of its own.
func writeCase(t *testing.T, c fpmCase) string {
	t.Helper()
	dir, err := os.MkdirTemp(c.base, "conf")
	if err != nil {
		t.Fatal(err)
	}
	for path := dir; path != filepath.Dir(filepath.Dir(c.base)); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o777); err != nil { // TestSaysWhatFPMSaysToAUser comes as another user
			t.Fatal(err)
		}
	}
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "@", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("php-fpm.conf", c.conf)
	for name, content := range c.files {
		write(name, content)
	}
	return dir
}

func askFPM(t *testing.T, c fpmCase, flag string) (code int, said string) {
	t.Helper()
	return askFPMAs(t, c, flag, nil)
}

func askFPMAs(t *testing.T, c fpmCase, flag string, as *syscall.Credential) (code int, said string) {
	t.Helper()
	dir := writeCase(t, c)
	args := []string{"-n", flag, "-y", dir + "/php-fpm.conf"}
	for _, a := range c.args {
		args = append(args, strings.ReplaceAll(a, "@", dir))
	}
	cmd := exec.CommandContext(t.Context(), fpmBinary, args...)
	cmd.Env = append([]string{"HOME=/home/of/the/test", "PATH=/usr/bin:/bin"}, c.env...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(stripTimes(b.String()), dir, "@")
}

// stripTimes removes what a logger adds to messages, and messages at DEBUG.
func stripTimes(s string) string {
	s = regexp.MustCompile(`(?m)^\[\d\d-\w{3}-\d{4} [\d:.]+\] `).ReplaceAllString(s, "")
	s = regexp.MustCompile(`(?m)^DEBUG: .*\n`).ReplaceAllString(s, "")
	s = regexp.MustCompile(`(?m)^([A-Z]+: )pid \d+, \w+\(\), line \d+: `).ReplaceAllString(s, "$1")
	return s
}

func askLoad(t *testing.T, c fpmCase, flag, version string) (code int, said string) {
	t.Helper()
	return askLoadAs(t, c, flag, version, true)
}

// askLoadAs does with Load what the command line does with it.
func askLoadAs(t *testing.T, c fpmCase, flag, version string, root bool) (code int, said string) {
	t.Helper()
	dir := writeCase(t, c)
	var b strings.Builder
	o := c.o
	o.Prefix = strings.ReplaceAll(o.Prefix, "@", dir)
	o.PID = strings.ReplaceAll(o.PID, "@", dir)
	o.DefaultPrefix, o.Sysconfdir, o.Localstatedir = "/usr", "/etc/php/8.2/fpm", "/var"
	o.Root, o.Test = root, flag != "-F"
	lowest := LevelNotice
	say := func(level Level, text string) {
		switch {
		case level == LevelPlain:
			fmt.Fprintf(&b, "%s\n", text)
		case level != LevelDebug && level >= lowest:
			fmt.Fprintf(&b, "%s: %s\n", level, text)
		}
	}
	o.Message = say
	o.LookupEnv = func(name string) (string, bool) {
		for _, kv := range append([]string{"HOME=/home/of/the/test"}, c.env...) {
			if v, ok := strings.CutPrefix(kv, name+"="); ok {
				return v, true
			}
		}
		return "", false
	}
	o.LookupConstant = func(name string) (string, bool) { return version, name == "PHP_VERSION" }
	cfg, err := Load(dir+"/php-fpm.conf", o)
	if err != nil {
		say(LevelError, "FPM initialization failed")
		return 78, strings.ReplaceAll(b.String(), dir, "@")
	}
	if cfg.Global.LogLevel != LevelUnset {
		lowest = cfg.Global.LogLevel
	}
	if flag == "-tt" {
		for _, line := range cfg.Dump() {
			say(LevelNotice, line)
		}
	}
	say(LevelNotice, "configuration file "+cfg.File+" test is successful\n")
	return 0, strings.ReplaceAll(b.String(), dir, "@")
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: got %q, php-fpm says %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, php-fpm says %d", len(g), len(w))
}
