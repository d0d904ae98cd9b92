package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFPMSocketACL compares the access control lists of the sockets.
func TestFPMSocketACL(t *testing.T) {
	t.Parallel()
	for _, directives := range []string{
		"listen.acl_users = nobody,www-data", "listen.acl_groups = games", "listen.acl_users = nobody\nlisten.acl_groups = games,daemon\nlisten.mode = 0600",
	} {
		config := strings.Replace(poolWith(directives), "USER\n", "", 1)
		if os.Geteuid() == 0 {
			config = strings.Replace(config, "[www]\n", "[www]\nuser = www-data\n", 1)
		}
		var lists [2]string
		for i, name := range []string{"php-fpm", "phpserve"} {
			s := newSide(t, name, config, nil)
			s.start()
			acl := make([]byte, 4096)
			n, err := unix.Getxattr(filepath.Join(s.dir, "www.sock"), "system.posix_acl_access", acl)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				n = 0
			}
			info, err := os.Stat(filepath.Join(s.dir, "www.sock"))
			if err != nil {
				t.Fatal(err)
			}
			lists[i] = info.Mode().String() + " " + string(acl[:n])
			s.stop(syscall.SIGTERM)
		}
		if lists[0] != lists[1] {
			t.Errorf("%s\nphp-fpm:  %q\nphpserve: %q", directives, lists[0], lists[1])
		}
	}
}
