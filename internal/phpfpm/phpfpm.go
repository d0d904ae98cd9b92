//go:build unix

package phpfpm

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/patient"
)

// FPM is a running php-fpm.
type FPM struct {
	Dir string // of its configuration and logs
	PID int    // of its master
}

// Start runs php-fpm in the foreground and returns when it takes requests.
func Start(t testing.TB, dir, pools string) *FPM {
	t.Helper()
	file := filepath.Join(dir, "fpm.conf")
	if err := os.WriteFile(file, []byte("[global]\nerror_log = "+dir+"/error.log\n"+pools), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("php-fpm8.2", "-n", "-R", "-F", "-O", "-y", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stderr) // until the last worker is gone
		_ = cmd.Wait()
	})
	said := ""
	for lines := bufio.NewScanner(stderr); !strings.Contains(said, "ready to handle connections"); said += lines.Text() + "\n" {
		if !lines.Scan() {
			t.Fatalf("php-fpm did not start: %s", said)
		}
	}
	return &FPM{dir, cmd.Process.Pid}
}

// Ask sends a request and returns the head of the answer.
func Ask(t testing.TB, network, address string, params map[string]string, body string) (head string) {
	t.Helper()
	nc, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(patient.LastMoment()); err != nil {
		t.Fatal(err)
	}
	c := fastcgi.NewConn(nc)
	defer c.Close()
	var pairs []byte
	for _, name := range slices.Sorted(maps.Keys(params)) {
		pairs = fastcgi.AppendParam(pairs, name, params[name])
	}
	if err := c.Send(&fastcgi.Request{Params: pairs, Body: strings.NewReader(body), BodyLen: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for {
		rec, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if rec.Type == fastcgi.TypeStdout {
			out.Write(rec.Content)
		}
		if rec.Type == fastcgi.TypeEndRequest {
			head, _, _ := strings.Cut(out.String(), "\r\n\r\n")
			return head
		}
	}
}
