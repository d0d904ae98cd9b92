package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// readers are the other ends of standard output and error of a phpserve.
type readers struct {
	cmd    *exec.Cmd
	out    *os.File
	lines  *bufio.Reader
	exited chan error
}

// startForReaders starts phpserve with one pipe for both outputs. A shell prepares it.
func startForReaders(t *testing.T, prepare string, args ...string) *readers {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", prepare + `; exec "$0" "$@"`, filepath.Join(openFolder(t, "phpserve-bin-"), "phpserve")}, args...)...)
	if err := os.Symlink(self, cmd.Args[3]); err != nil {
		t.Fatal(err)
	}
	cmd.Env, cmd.Stdout, cmd.Stderr = cleanEnviron(), w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	p := &readers{cmd: cmd, out: r, lines: bufio.NewReader(r), exited: make(chan error, 1)}
	go func() { p.exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		r.Close()
	})
	return p
}

// waitFor reads until a line contains want, and returns it.
func (p *readers) waitFor(t *testing.T, want string) string {
	t.Helper()
	for {
		line, err := p.lines.ReadString('\n')
		if strings.Contains(line, want) {
			return line
		}
		if err != nil {
			t.Fatalf("no %q: %v", want, err)
		}
	}
}

// stop asks phpserve to end, which must not take long although nobody reads.
func (p *readers) stop(t *testing.T) {
	t.Helper()
	p.stopWith(t, syscall.SIGTERM)
}

// stopWith is stop by another signal.
func (p *readers) stopWith(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.exited:
		if err != nil {
			t.Errorf("exit: %v", err)
		}
	case <-patient.Late():
		t.Error("it does not end")
	}
}

// siteForReaders has a static file and a script that says much.
func siteForReaders(t *testing.T) string {
	t.Helper()
	dir := openFolder(t, "phpserve-readers-")
	for name, text := range map[string]string{
		"index.php": `<?php error_log(str_repeat('m', 4000)); file_put_contents('php://stderr', str_repeat('o', 4000) . "\n"); echo 'served';`,
		"a.txt":     "served",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// getServed asks for a path; each request must be answered.
func getServed(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", strings.Repeat("agent ", 300))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "served" {
		t.Fatalf("got %q, %v", body, err)
	}
}

// TestRunGoesOnWhenItsReaderGoesOrStalls does what "phpserve run | head -1" and a terminal that is stopped do.
func TestRunGoesOnWhenItsReaderGoesOrStalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		gone bool
		sig  syscall.Signal
	}{{true, syscall.SIGTERM}, {false, syscall.SIGTERM}, {true, syscall.SIGINT}, {false, syscall.SIGINT}} {
		gone := tt.gone
		t.Run(fmt.Sprintf("gone=%v, %v", gone, tt.sig), func(t *testing.T) {
			t.Parallel()
			p := startForReaders(t, ":", "run", siteForReaders(t), "--listen", "127.0.0.1:0")
			url := strings.TrimSpace(p.waitFor(t, "  http://127.0.0.1:"))
			if gone {
				p.out.Close()
			}
			for range 40 { // much more than a pipe holds
				getServed(t, url+"/")
				getServed(t, url+"/a.txt")
			}
			p.stopWith(t, tt.sig)
		})
	}
}

// TestFPMGoesOnWhenItsReaderGoesOrStalls is the same for php-fpm's place.
func TestFPMGoesOnWhenItsReaderGoesOrStalls(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{true, false} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", poolWith("catch_workers_output = yes", "access.log = /dev/stderr"), map[string]string{
				"s.php": `<?php error_log(str_repeat('m', 4000)); file_put_contents('php://stderr', str_repeat('o', 4000) . "\n"); echo 'served';`,
			})
			p := startForReaders(t, ":", "fpm", "-F", "-O", "-y", s.conf)
			p.waitFor(t, "ready to handle connections")
			if gone {
				p.out.Close()
			}
			for range 40 {
				if got := s.ask("www.sock", nil, ""); !strings.Contains(got, "served") {
					t.Fatalf("got %s", got)
				}
			}
			p.stop(t)
		})
	}
}
