package phpstack

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// binaries are the PHPs to test with: those of the system, or what PHPSERVE_TEST_PHP names, with colons between them.
func binaries(t testing.TB) []string {
	t.Helper()
	if more := os.Getenv("PHPSERVE_TEST_PHP"); more != "" {
		return strings.Split(more, ":")
	}
	return []string{"/usr/bin/php-cgi", "/usr/bin/php"}
}

// script is a PHP process that runs a script of a test.
type script struct {
	t      testing.TB
	path   string
	cmd    *exec.Cmd
	lines  *bufio.Reader
	reader *Reader
}

// wait is a PHP function that reports its own stack and then waits for the end of its input.
const wait = `function wait() {
	$in = fopen("php://stdin", "r");
	echo "\nSTACK", json_encode(debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS)), "\n";
	fflush(fopen("php://stdout", "w"));
	while (ob_get_level()) ob_end_flush();
	flush();
	fgets($in);
}
`

// start runs PHP code, without a php.ini. In it DIR is its folder; files are further ones there.
func start(t testing.TB, binary, code string, files map[string]string, settings ...string) *script {
	t.Helper()
	dir := t.TempDir()
	s := &script{t: t, path: filepath.Join(dir, "main.php")}
	for name, text := range files {
		write(t, filepath.Join(dir, name), strings.ReplaceAll(text, "DIR", dir))
	}
	write(t, s.path, strings.ReplaceAll(code, "DIR", dir))
	args := []string{"-n", "-d", "output_buffering=0"}
	for _, v := range settings {
		args = append(args, "-d", v)
	}
	s.cmd = exec.Command(binary, append(args, s.path)...)
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = os.Stderr
	s.lines = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	return s
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// line is the next one of the script's output that begins with something, without it.
func (s *script) line(prefix string) string {
	s.t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if text, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(text)
		}
		if err != nil {
			s.t.Fatalf("no line with %q in the script's output: %v", prefix, err)
		}
	}
}

// attached is the process, opened by what it runs: the binary may be a script that executes PHP.
func (s *script) attached() *Process {
	s.t.Helper()
	pid := s.cmd.Process.Pid
	var err error
	if s.reader, err = OpenProcess(pid); err != nil {
		s.t.Fatal(err)
	}
	p, err := s.reader.Attach(pid)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// until traces a process until the stack is as it should be.
func until(t *testing.T, p *Process, o Options, ready func(Stack) bool) Stack {
	t.Helper()
	var stack Stack
	var err error
	for deadline := patient.LastMoment(); time.Now().Before(deadline); {
		if stack, err = p.Trace(o); err == nil && ready(stack) {
			return stack
		}
		if err != nil && !errors.Is(err, errTorn) {
			t.Fatal(err)
		}
	}
	t.Fatalf("the process did not come where it should: %v, %+v", err, stack)
	return stack
}

// in says whether a function is the innermost.
func in(function string) func(Stack) bool {
	return func(s Stack) bool { return len(s.Frames) > 0 && s.Frames[0].Function == function }
}

// called is a frame of PHP's own debug_backtrace().
type called struct {
	Function, Class, Type, File string
	Line                        int
}

// decodeBacktrace is what the script says its stack is.
func decodeBacktrace(t *testing.T, text string) []called {
	t.Helper()
	var all []called
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		// The name of an anonymous class goes on behind a zero byte.
		all[i].Class, _, _ = strings.Cut(all[i].Class, "\x00")
	}
	return all
}
