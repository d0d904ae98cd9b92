package phpstack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"golang.org/x/sys/unix"
)

// scripts are those whose stacks PHP itself tells, with debug_backtrace(), to compare with. Each waits in wait().
var scripts = map[string]struct {
	code  string
	files map[string]string
	fiber bool // needs PHP 8.1
}{
	"the main script": {code: `wait();`},
	"functions":       {code: "function a($x) {\n  return b($x, 2);\n}\nfunction b($x, $y) { wait(); }\na(1);"},
	"a namespace":     {code: "", files: map[string]string{"n.php": "<?php namespace A\\B; function f() { \\wait(); } f();"}},
	"methods": {code: `class A { function go() { return static::st(1); } static function st($i) { (new B)->run(); } }
		class B extends A { function run() { wait(); } }
		(new B)->go();`},
	"closures":                 {code: `class A { function go() { $f = function () { wait(); }; $f(); } } (function () { (new A)->go(); })();`},
	"arrow and static closure": {code: `$g = static fn() => wait(); $f = fn() => $g(); $f();`},
	"callbacks of extensions":  {code: `function m($x) { wait(); } array_map('m', [1]);`},
	"a comparison":             {code: `$a = [2, 1]; usort($a, function ($x, $y) { wait(); return 0; });`},
	"eval":                     {code: "function f() {\n  eval('\n\nwait();');\n}\nf();"},
	"includes": {
		code: "include 'DIR/a.php';",
		files: map[string]string{
			"a.php": "<?php\nfunction in_a() {\n  require 'DIR/b.php';\n}\nin_a();",
			"b.php": "<?php include_once 'DIR/c.php';", "c.php": "<?php\n\nrequire_once 'DIR/d.php';", "d.php": "<?php wait();",
		},
	},
	"a generator": {code: `function inner() { yield 1; wait(); yield 2; }
		foreach (inner() as $v) {
		}`},
	"a fiber":                      {code: `function f() { $x = new Fiber(function () { g(); }); $x->start(); } function g() { wait(); } f();`, fiber: true},
	"a fiber resumed":              {code: `$x = new Fiber(function () { Fiber::suspend(); wait(); }); $x->start(); (function () use ($x) { $x->resume(); })();`, fiber: true},
	"a destructor":                 {code: "class D { function __destruct() { wait(); } }\nfunction f() { $d = new D; }\nf();"},
	"unset":                        {code: "class D { function __destruct() { wait(); } }\n$d = new D;\nunset($d);"},
	"a string cast":                {code: "class S { function __toString() { wait(); return ''; } }\necho new S;"},
	"magic calls":                  {code: `class M { function __call($n, $a) { wait(); } static function __callStatic($n, $a) { (new M)->x(1); } } M::y(2);`},
	"magic properties":             {code: `class M { function __get($n) { wait(); } } $m = new M; $m->x;`},
	"an error handler":             {code: "set_error_handler(function () { wait(); });\nfunction f() { echo $none; }\nf();"},
	"a finally block":              {code: "function f() {\n try {\n  throw new Exception;\n }\n finally {\n  wait();\n }\n}\ntry { f(); } catch (Exception $e) {}"},
	"an anonymous class":           {code: `$o = new class { function go() { wait(); } }; $o->go();`},
	"an output buffer":             {code: `$x = 0; array_walk_recursive($GLOBALS['argv'], function () { wait(); });`},
	"more arguments than declared": {code: `function f($a) { wait(); } f(1, 2, 3, 4);`},
	"recursion":                    {code: "function r($n) {\n  if ($n == 0) wait();\n  else r($n - 1);\n}\nr(60);"},
	"an autoloader":                {code: "spl_autoload_register(function ($c) { wait(); });\nnew None;\n"},
	"a shutdown function":          {code: "register_shutdown_function(function () { wait(); });"},
	"an exception handler":         {code: "set_exception_handler(function () { wait(); }); throw new Exception;"},
}

func TestFramesAreThoseOfPHPsOwnBacktrace(t *testing.T) {
	for _, binary := range binaries(t) {
		for _, jit := range []bool{false, true} {
			for name, c := range scripts {
				t.Run(fmt.Sprintf("%s jit %v %s", binary, jit, name), func(t *testing.T) {
					t.Parallel()
					compareWithPHP(t, binary, c.code, c.files, jit, c.fiber)
				})
			}
		}
	}
}

func compareWithPHP(t *testing.T, binary, code string, files map[string]string, jit, fiber bool) {
	// A loop makes the code before it hot, for the compiler.
	warm := "function hot($n) { $s = 0; for ($i = 0; $i < $n; $i++) { $s += strlen((string) $i); } return $s; }\nhot(3000);\n"
	if fiber {
		warm += "if (PHP_VERSION_ID < 80100) { echo \"\\nSTACKold\\n\"; exit; }\n"
	}
	if code == "" {
		code = "include 'DIR/n.php';"
	}
	var settings []string
	if jit {
		settings = []string{
			"zend_extension=opcache", "opcache.enable_cli=1", "opcache.jit=tracing", "opcache.jit_buffer_size=16M",
			"opcache.jit_hot_func=1", "opcache.jit_hot_loop=1", "opcache.file_update_protection=0",
		}
	}
	s := start(t, binary, "<?php\n"+wait+warm+code+"\n", files, settings...)
	line := s.line("STACK")
	if line == "old" {
		return // this PHP has no fibers
	}
	want := decodeBacktrace(t, line)
	stack := until(t, s.attached(), Options{}, in("fgets"))
	if name := stack.Script; name != s.path && name != "" { // php-cgi forgets it before shutdown functions
		t.Errorf("the script is %q, not %q", stack.Script, s.path)
	}
	var got []called
	for _, f := range stack.Frames[1:] { // not fgets, which PHP was not in
		if f.Call == CallMain || f.Call == CallNone {
			continue
		}
		c := called{Function: f.Function, Class: f.Class, File: f.CallFile, Line: f.CallLine}
		if f.Function == "" {
			c.Function = f.Call.String()
		}
		if f.Class != "" {
			c.Type = map[bool]string{true: "::", false: "->"}[f.Static]
		}
		got = append(got, c)
	}
	for i := range max(len(got), len(want)) {
		var g, w called
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		// PHP itself has no place for what code of extensions calls; php-fpm and this reader name the nearest one.
		if w.File == "" {
			g.File, g.Line = "", 0
		}
		if g != w {
			t.Errorf("frame %d is %+v, PHP says %+v", i, g, w)
		}
	}
}

// php-fpm's slow log shows ??? for the generators that delegate, and so does WriteSlowLog.
func TestADelegatingGeneratorIsAFrameOfTheEngine(t *testing.T) {
	for _, binary := range binaries(t) {
		s := start(t, binary, "<?php\n"+wait+`function inner() { yield 1; wait(); } function outer() { yield from inner(); }
			foreach (outer() as $v);`, nil)
		s.line("STACK")
		stack := until(t, s.attached(), Options{}, in("fgets"))
		want := []Frame{
			{Function: "fgets", Call: CallInternal},
			{Function: "wait", Call: CallFunction, File: s.path},
			{Function: "inner", Call: CallFunction, File: s.path, Line: 10},
			{},
			{Call: CallMain, File: s.path, Line: 11},
		}
		if err := compare(stack, want); err != nil {
			t.Errorf("%s: %v", binary, err)
		}
	}
}

func TestTheMainScriptsBusyLineIsSeen(t *testing.T) {
	for _, binary := range binaries(t) {
		s := start(t, binary, "<?php\necho \"\\nUP\\n\"; flush();\nwhile (true) {\n  $x = md5('x');\n}\n", nil)
		s.line("UP")
		stack := until(t, s.attached(), Options{}, in(""))
		if f := stack.Frames[0]; len(stack.Frames) != 1 || f.Call != CallMain || f.File != s.path || f.Line < 2 || f.Line > 5 {
			t.Errorf("%s: the stack is %+v", binary, stack.Frames)
		}
	}
}

func TestALockWaitIsSeen(t *testing.T) {
	for _, binary := range binaries(t) {
		s := start(t, binary, `<?php
			function take() { $a = fopen('DIR/lock', 'c'); flock($a, LOCK_EX); $b = fopen('DIR/lock', 'c'); flock($b, LOCK_EX); }
			echo "\nUP\n"; flush(); take();`, nil)
		s.line("UP")
		stack := until(t, s.attached(), Options{}, in("flock"))
		want := []Frame{
			{Function: "flock", Call: CallInternal},
			{Function: "take", Call: CallFunction, File: s.path, Line: 2},
			{Call: CallMain, File: s.path, Line: 3},
		}
		if err := compare(stack, want); err != nil {
			t.Error(err)
		}
		if err := s.reader.SelfTest(s.cmd.Process.Pid, want); err != nil {
			t.Error(err)
		}
		want[1].Line = 3
		if err := s.reader.SelfTest(s.cmd.Process.Pid, want); err == nil || !strings.Contains(err.Error(), "the tracer is off for") {
			t.Errorf("a self-test with another line than the script's says %v", err)
		}
	}
}

func TestDeepRecursionIsCutAtItsDepth(t *testing.T) {
	for _, binary := range binaries(t) {
		s := start(t, binary, "<?php\n"+wait+"function r($n) {\n  $n ? r($n - 1) : wait();\n}\nr(20000);", nil)
		s.line("STACK")
		p := s.attached()
		stack := until(t, p, Options{Depth: 20}, in("fgets"))
		if len(stack.Frames) != 20 || !stack.Truncated || stack.Frames[19].Function != "r" || stack.Frames[19].CallLine != 11 {
			t.Errorf("%s: %d frames, truncated %v, the last is %+v", binary, len(stack.Frames), stack.Truncated, stack.Frames[19])
		}
		if stack, err := p.Trace(Options{}); err != nil || len(stack.Frames) != defaultDepth {
			t.Errorf("%s: without a depth there are %d frames, %v", binary, len(stack.Frames), err)
		}
	}
}

func TestArgumentsAreReadAndSecretsAreMasked(t *testing.T) {
	code := "<?php\n" + wait + `
		class User {}
		function f($id, $name, $password, array $list, ?User $user, &$ref, $apiKey, float $share, $long, $ok, ...$rest) { wait(); }
		function g($db_password, $plain) { $plain = "changed\n"; f(42, "two", "hunter2", [1, 2], new User, $plain, "k", 0.5, str_repeat("x", 100), true, "token", 9); }
		function h($a) { g("s3cret", "p"); }
		array_map('h', ["given", ]);
	`
	for _, binary := range binaries(t) {
		s := start(t, binary, code, nil)
		s.line("STACK")
		stack := until(t, s.attached(), Options{Args: true}, in("fgets"))
		want := []string{
			"wait()",
			`f($id = 42, $name = "two", $password = ***, $list = array(2), $user = object(User), $ref = &"changed\n", ` +
				`$apiKey = ***, $share = 0.5, 4 more)`,
			`g($db_password = ***, $plain = &"changed\n")`, `h($a = "given")`,
		}
		for i, w := range want {
			f := stack.Frames[i+1]
			if got := f.Name() + "(" + f.arguments() + ")"; got != w {
				t.Errorf("%s: the call is %s, not %s", binary, got, w)
			}
		}
		if a := stack.Frames[5].Args; len(a) != 2 || a[0] != (Arg{"callback", `"h"`}) || a[1].Value != "array(1)" {
			t.Errorf("%s: array_map has %+v", binary, a)
		}
		for _, f := range until(t, s.attached(), Options{}, in("fgets")).Frames {
			if len(f.Args) > 0 {
				t.Errorf("%s: without the option there are arguments: %+v", binary, f)
			}
		}
	}
}

func TestSecretsOfExtensionsFunctionsAreMasked(t *testing.T) {
	for _, binary := range binaries(t) {
		s := start(t, binary, `<?php echo "\nUP\n"; flush(); password_hash("hunter2", PASSWORD_BCRYPT, ["cost" => 17]);`, nil)
		s.line("UP")
		stack := until(t, s.attached(), Options{Args: true}, in("password_hash"))
		if a := stack.Frames[0].Args; len(a) != 3 || a[0] != (Arg{"password", Masked}) {
			t.Errorf("%s: %+v", binary, a)
		}
	}
}

func TestAProcessThatEndsWhileItIsReadIsACleanError(t *testing.T) {
	for _, binary := range binaries(t) {
		for range 40 {
			cmd := exec.Command(binary, "-n", "-r", "for ($i = 0; $i < 20000; $i++) { str_repeat('x', $i % 99); }")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				cmd.Wait()
			}()
			for running := true; running; {
				select {
				case <-ended:
					running = false
				default:
				}
				r, err := OpenProcess(cmd.Process.Pid)
				var stack Stack
				if err == nil {
					stack, err = r.Trace(cmd.Process.Pid, Options{Args: true})
				}
				if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, errTorn) {
					t.Errorf("%s: %v", binary, err)
				}
				if !running && err == nil {
					t.Errorf("%s: a process that is gone has the stack %+v", binary, stack)
				}
			}
		}
	}
}

func TestAProcessOfAnotherProgramIsAnError(t *testing.T) {
	r, err := Open("/usr/bin/php-cgi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Attach(os.Getpid()); err == nil || !strings.Contains(err.Error(), "it runs") {
		t.Errorf("attaching to this test says %v", err)
	}
	if _, err := OpenProcess(os.Getpid()); err == nil || !strings.Contains(err.Error(), "executor_globals") {
		t.Errorf("opening this test's binary says %v", err)
	}
	if _, err := Open("/etc/passwd"); err == nil || !strings.Contains(err.Error(), "not an ELF file") {
		t.Errorf("opening a text says %v", err)
	}
	if _, err := Open("/nosuch/php"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing says %v", err)
	}
	if _, err := r.Attach(1 << 30); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("attaching to no process says %v", err)
	}
}

func TestAProcessThatMayNotBeReadNamesTheSetting(t *testing.T) {
	r, err := Open("/usr/bin/php-cgi")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "/usr/bin/php-cgi", "<?php\n"+wait+"wait();", nil)
	s.line("STACK")
	p := s.attached()
	failed := make(chan [2]error)
	go func() {
		// The thread ends with the goroutine, because it is not unlocked: only it changes its user.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			failed <- [2]error{errno, errno}
			return
		}
		_, attach := r.Attach(s.cmd.Process.Pid)
		_, trace := p.Trace(Options{})
		failed <- [2]error{attach, trace}
	}()
	for _, err := range <-failed {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_SYS_PTRACE") {
			t.Errorf("a process of another user says %v", err)
		}
	}
}

func TestReadingDoesNotDisturbTheScript(t *testing.T) {
	for _, binary := range binaries(t) {
		patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
			s := start(t, binary, fmt.Sprintf(`<?php echo "\nUP\n"; flush(); $t = microtime(true); $left = sleep(%[1]d);
				echo "\nSLEPT", (int) ($left === 0 && microtime(true) - $t >= %[1]d), "\n"; fgets(fopen('php://stdin', 'r'));`, int(limit.Seconds())), nil)
			s.line("UP")
			p := s.attached()
			asleep := 0
			until(t, p, Options{Args: true}, func(stack Stack) bool {
				if in("sleep")(stack) {
					asleep++
				}
				return in("fgets")(stack)
			})
			if slept := s.line("SLEPT"); slept != "1" {
				t.Errorf("%s: sleep() was cut short", binary)
			}
			return asleep < 100
		})
	}
}

func TestRecordTellsWaitingFromComputing(t *testing.T) {
	for _, binary := range binaries(t) {
		work := start(t, binary, `<?php function work() { for (;;) { $x = md5('x'); } } echo "\nUP\n"; flush(); work();`, nil)
		rest := start(t, binary, `<?php function rest() { for (;;) { sleep(9); } } echo "\nUP\n"; flush(); rest();`, nil)
		work.line("UP")
		rest.line("UP")
		a, b := work.attached(), rest.attached()
		until(t, b, Options{}, in("sleep"))
		for _, onCPU := range []bool{false, true} {
			var p *Profile
			patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				var err error
				if p, err = Record(ctx, Sampling{OnCPU: onCPU}, func() []Target { return []Target{{a, "work"}, {b, "rest"}} }); err != nil {
					t.Fatal(err)
				}
				return p.Samples < 20 || onCPU && p.Waiting < 20
			})
			var out strings.Builder
			if err := p.WriteFolded(&out); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), work.path+";work") {
				t.Errorf("%s: on the processor %v, the one that works is not in\n%s", binary, onCPU, out.String())
			}
			if strings.Contains(out.String(), rest.path+";rest;sleep") == onCPU {
				t.Errorf("%s: on the processor %v, the one that sleeps is, or is not, in\n%s", binary, onCPU, out.String())
			}
		}
		work.cmd.Process.Signal(syscall.SIGKILL)
		rest.cmd.Process.Signal(syscall.SIGKILL)
		work.cmd.Wait()
		rest.cmd.Wait()
		patient.UnderLimit(t, 100*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, err := Record(ctx, Sampling{}, func() []Target { return []Target{{a, ""}, {b, ""}} })
			if err != nil || p.Samples != 0 {
				t.Errorf("%s: recording processes that are gone gives %+v, %v", binary, p, err)
			}
			return p.Failed == 0
		})
	}
}

// Functions of nanoseconds, again and again at the same addresses: a copy that mixes two moments shows calls that are not in the script.
func TestABusyScriptShowsOnlyCallsThatItMakes(t *testing.T) {
	code := `<?php
class K {
	static function f(int $n) { return $n <= 0 ? 0 : self::g($n - 1) + 1; }
	static function g(int $n) { return self::f($n - 1) * 2; }
	function __destruct() { strlen("x"); }
}
function lambda() { return array_sum(array_map(fn($x) => $x * 2, [1, 2, 3])); }
function thrower($i) { throw new Exception("x$i"); }
echo "\nUP\n"; flush();
for ($i = 0;; $i++) {
	K::f($i % 30); lambda(); try { thrower($i); } catch (Exception $e) {} $k = new K; unset($k);
	if ($i % 100 == 0) eval("function ev$i() { return str_repeat('x', 9); } ev$i();");
}`
	real := []string{
		"K::f<{main}", "K::f<K::g", "K::g<K::f", "lambda<{main}", "array_map<lambda", "array_sum<lambda", "{closure}<array_map",
		"thrower<{main}", "Exception->__construct<thrower", "K->__destruct<{main}", "strlen<K->__destruct", "eval<{main}", "ev<eval",
		"str_repeat<ev", "flush<{main}",
	}
	for _, binary := range binaries(t) {
		for _, settings := range [][]string{nil, {
			"zend_extension=opcache", "opcache.enable_cli=1", "opcache.jit=tracing", "opcache.jit_buffer_size=16M",
		}} {
			s := start(t, binary, code, nil, append(settings, "memory_limit=-1", "max_execution_time=0")...)
			s.line("UP")
			p := s.attached()
			kinds, failed := map[string]int{}, 0
			for range 2000 {
				stack, err := p.Trace(Options{})
				if err != nil {
					if failed++; !errors.Is(err, errTorn) {
						t.Fatal(err)
					}
					continue
				}
				// Up to PHP 8.1 the engine puts a frame of its own before a destructor's.
				stack.Frames = slices.DeleteFunc(stack.Frames, func(f Frame) bool { return f.Call == CallNone })
				for i := 1; i < len(stack.Frames); i++ {
					call := evNumber.ReplaceAllString(stack.Frames[i-1].Name()+"<"+stack.Frames[i].Name(), "ev")
					call = strings.ReplaceAll(call, "{closure:lambda():7}", "{closure}")
					kinds[call]++
					if !slices.Contains(real, call) {
						t.Errorf("%s %v: the script never does %s: %+v", binary, settings, call, stack.Frames)
					}
				}
			}
			if len(kinds) < 3 || failed > 100 {
				t.Errorf("%s: %d of 2000 traces failed, and these calls were seen: %v", binary, failed, kinds)
			}
		}
	}
}

var evNumber = regexp.MustCompile(`ev\d+`)
