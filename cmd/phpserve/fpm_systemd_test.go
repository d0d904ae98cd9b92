//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// systemd listens where a service reports its state.
func systemd(t *testing.T, dir string) (address string, read func() string) {
	t.Helper()
	address = filepath.Join(dir, "notify")
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := os.Chmod(address, 0o777); err != nil {
		t.Fatal(err)
	}
	return address, func() string {
		_ = nc.SetReadDeadline(patient.LastMoment())
		b := make([]byte, 4096)
		n, err := nc.Read(b)
		if err != nil {
			t.Fatalf("nothing was reported: %v", err)
		}
		return pids.ReplaceAllString(mainPID.ReplaceAllString(string(b[:n]), "MAINPID=N"), "$1 N")
	}
}

// TestFPMReportsToSystemdAsPHPFPMDoes compares what both send at their start and at each interval.
func TestFPMReportsToSystemdAsPHPFPMDoes(t *testing.T) {
	t.Parallel()
	config := strings.Replace(poolWith(), "[global]\n", "[global]\nsystemd_interval = 1\n", 1)
	files := map[string]string{"s.php": `<?php echo getenv('NOTIFY_SOCKET') === false ? "unknown" : "known";`}
	reports := map[string][]string{}
	for _, name := range []string{"php-fpm", "phpserve"} {
		s := newSide(t, name, config, files)
		address, read := systemd(t, s.dir)
		s.env = append(s.env, "NOTIFY_SOCKET="+address)
		s.start()
		first := read()
		beat := read()
		for strings.Contains(beat, "active: 1") { // a start within php-fpm's beat
			beat = read()
		}
		reports[name] = []string{first, beat}
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "unknown") {
			t.Errorf("%s: scripts of it see NOTIFY_SOCKET: %s", name, answer)
		}
		if name == "phpserve" {
			s.rewrite(config)
			s.reload(2, "ready to handle connections")
			for !strings.Contains(read(), "RELOADING=1") {
			}
		}
		s.stop(syscall.SIGTERM)
		if name == "phpserve" {
			for !strings.Contains(read(), "STOPPING=1") {
			}
		}
	}
	for i, want := range reports["php-fpm"] {
		if got := reports["phpserve"][i]; got != want {
			t.Errorf("php-fpm reports %q, phpserve %q", want, got)
		}
	}
}
