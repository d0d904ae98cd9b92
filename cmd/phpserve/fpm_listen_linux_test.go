package main

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// backlogs asks the kernel for the backlogs of a listening address, which is what Send-Q of ss(8) is then.
func backlogs(t *testing.T, address string) (list []string) {
	t.Helper()
	out, err := exec.Command("ss", "-lxtnH").CombinedOutput()
	if err != nil {
		t.Fatalf("this test needs ss (apt-get install iproute2): %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		// Netid State Recv-Q Send-Q Address: for unix sockets the inode follows the path.
		if f := strings.Fields(line); len(f) > 4 && (f[4] == address || !strings.HasPrefix(address, "/") && strings.HasSuffix(f[4], address)) {
			list = append(list, f[3]+" "+strings.TrimSuffix(f[4], address))
		}
	}
	return list
}

// TestFPMListens compares the forms of listen: who can connect, and how many may wait.
func TestFPMListens(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{
		"DIR/www.sock", "127.0.0.1:PORT", "[::1]:PORT", "[::]:PORT", "0.0.0.0:PORT", "PORT", "localhost:PORT",
	} {
		for _, backlog := range []string{"", "listen.backlog = 7", "listen.backlog = -1", "listen.backlog = 100000"} {
			if backlog != "" && strings.Contains("[::]:PORT 0.0.0.0:PORT localhost:PORT", listen) {
				continue // the same code
			}
			t.Run(listen+" "+backlog, func(t *testing.T) {
				t.Parallel()
				config := strings.Replace(poolWith(backlog), "listen = DIR/www.sock", "listen = "+listen, 1)
				var seen [2]string
				for i, name := range []string{"php-fpm", "phpserve"} {
					port := strconv.Itoa(patient.Port(t))
					s := newSide(t, name, strings.ReplaceAll(config, "PORT", port), map[string]string{"s.php": `<?php echo "served";`})
					seen[i] = s.reachable(port)
				}
				if seen[0] != seen[1] {
					t.Errorf("php-fpm:  %q\nphpserve: %q", seen[0], seen[1])
				}
			})
		}
	}
}

// reachable starts the side and tells who can connect to it; or, that it does not start.
func (s *side) reachable(port string) string {
	s.t.Helper()
	if s.run("-t", "-y", s.conf) != 0 {
		return "refused: " + strings.ReplaceAll(s.neutral(s.out.String()), port, "PORT")
	}
	s.start()
	defer s.stop(syscall.SIGTERM)
	var b strings.Builder
	for _, address := range []string{"www.sock", "127.0.0.1:" + port, "[::1]:" + port} {
		network, addr := "tcp", address
		if address == "www.sock" {
			network, addr = "unix", filepath.Join(s.dir, address)
		}
		nc, err := net.Dial(network, addr)
		if err != nil {
			continue
		}
		nc.Close()
		if answer := s.ask(address, nil, ""); !strings.Contains(answer, "served\n") {
			s.t.Errorf("%s at %s: %s", s.name, address, answer)
		}
		fmt.Fprintf(&b, "%s is there. ", strings.ReplaceAll(address, port, "PORT"))
	}
	fmt.Fprint(&b, backlogs(s.t, ":"+port), backlogs(s.t, filepath.Join(s.dir, "www.sock")))
	return b.String()
}
