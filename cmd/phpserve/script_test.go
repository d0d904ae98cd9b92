package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command line contracts in testdata/script. Beside testscript's own commands they have:
//
//	exits CODE COMMAND ...        COMMAND ends with that very exit code
//	unprivileged CODE COMMAND ... the same as a user who may not open ports below 1024
//	serve [NAME=VALUE ...] ARGS   phpserve ARGS in the background, until it shows its URL, which becomes $URL
//	get [-H HEADER] PATH          status line, headers and body of a request to it, as stdout
//	end [SIGNAL]                  end it: it must exit with 0; its output becomes stdout and stderr
//	screen                        its first screen, with what differs between machines replaced, as stdout
//	occupy PORT|NAME              listen on a loopback port, or on a free one that becomes $NAME
func TestScripts(t *testing.T) {
	root := openFolder(t, "phpserve-cli-")
	testscript.Run(t, testscript.Params{
		Dir:         filepath.Join("testdata", "script"),
		WorkdirRoot: root,
		Setup:       func(env *testscript.Env) error { return openScript(env) },
		Condition: func(cond string) (bool, error) {
			if cond == "superuser" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, args[0], args[1:]) },
			"unprivileged": func(ts *testscript.TestScript, _ bool, args []string) {
				exits(ts, args[0], append(unprivileged(ts), args[1:]...))
			},
			"serve": scriptServe, "get": scriptGet, "end": scriptStop, "screen": scriptScreen, "occupy": scriptOccupy,
		},
		RequireExplicitExec: true, RequireUniqueNames: true,
	})
}

// instanceKey is where a script's phpserve is kept.
type instanceKey struct{}

// openScript lets the workers' user into the script's folder and to the test binary.
func openScript(env *testscript.Env) error {
	env.Values[instanceKey{}] = new(instance)
	bin, _, _ := strings.Cut(env.Getenv("PATH"), string(os.PathListSeparator))
	if err := os.Chmod(filepath.Dir(bin), 0o755); err != nil {
		return err
	}
	env.Setenv("BIN", bin)
	return filepath.WalkDir(env.WorkDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".tmp" { // TMPDIR
			err = os.Chmod(path, 0o777|os.ModeSticky)
		} else if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
}

// exits runs a command that must end with a given code.
func exits(ts *testscript.TestScript, want string, command []string) {
	err := ts.Exec(command[0], command[1:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, not %s", code, want)
	}
}

// unprivileged is the command that takes away the right to open ports below 1024, where there is one to take away.
func unprivileged(ts *testscript.TestScript) (prefix []string) {
	if runtime.GOOS != "linux" {
		return nil
	}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	ts.Check(err)
	if os.Geteuid() == 0 {
		// The folder for temporary files is the test's own.
		prefix = []string{"env", "TMPDIR=" + os.TempDir(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	}
	if first, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && first > 81 {
		return prefix
	}
	// This machine lets everybody open them. A network namespace of its own begins with the kernel's default of 1024.
	if prefix == nil {
		return []string{"unshare", "--user", "--net"}
	}
	return append([]string{"unshare", "--net"}, prefix...)
}

func scriptServe(ts *testscript.TestScript, _ bool, args []string) {
	env := cleanEnviron("TMPDIR=" + ts.Getenv("TMPDIR"))
	for len(args) > 0 && strings.Contains(args[0], "=") && !strings.HasPrefix(args[0], "-") {
		env, args = append(env, args[0]), args[1:]
	}
	s, err := launch(ts.MkAbs("."), env, args...)
	ts.Check(err)
	*ts.Value(instanceKey{}).(*instance) = *s
	ts.Setenv("URL", s.url)
	ts.Defer(func() {
		select {
		case <-s.exited:
		default:
			ts.Logf("stdout:\n%s\nstderr:\n%s", s.stdout, s.stderr)
			s.kill()
		}
	})
}

func scriptGet(ts *testscript.TestScript, _ bool, args []string) {
	var header []string
	for len(args) > 2 && args[0] == "-H" {
		header, args = append(header, args[1]), args[2:]
	}
	r, err := fetch(plainClient(), http.MethodGet, ts.Getenv("URL")+args[0], nil, header...)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s %s\n", r.Proto, r.Status)
	ts.Check(r.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", r.body)
}

func scriptStop(ts *testscript.TestScript, _ bool, args []string) {
	sig := syscall.SIGTERM
	if len(args) > 0 && args[0] == "INT" {
		sig = syscall.SIGINT
	}
	s := ts.Value(instanceKey{}).(*instance)
	ts.Check(s.stop(sig))
	fmt.Fprint(ts.Stdout(), s.stdout)
	fmt.Fprint(ts.Stderr(), s.stderr)
}

func scriptScreen(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.Value(instanceKey{}).(*instance).stdout.String()
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	for _, r := range []struct{ pattern, with string }{
		{`(?m)^phpserve .*$`, "phpserve VERSION"},
		{`\d+\.\d+\.\d+, \S*php-cgi\S*`, "PHPVERSION, PHPPATH"},
		{`, as user .*`, ""}, // only root names a user
		{`:\d+\n`, ":PORT\n"},
		{`(?m)^(  Engine +).*$`, "${1}ENGINE"}, // by the extensions that PHP has
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	fmt.Fprint(ts.Stdout(), text)
}

func scriptOccupy(ts *testscript.TestScript, _ bool, args []string) {
	port := args[0]
	if _, err := strconv.Atoi(port); err != nil {
		port = "0"
	}
	// Tests that run at the same time, in other processes too, occupy a port together, so that none of them frees it for another.
	shared := net.ListenConfig{Control: sharePort}
	l, err := shared.Listen(context.Background(), "tcp", "127.0.0.1:"+port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return // another program occupies it, which is as good
	}
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	if port == "0" {
		ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}
