//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// whoScript tells whom PHP runs as, and what it is told of that.
const whoScript = `echo json_encode([posix_getuid(), posix_geteuid(), posix_getgid(), posix_getegid(), posix_getgroups(), getenv('USER'), getenv('HOME')]);`

// TestFPMUsersByNumber: a number is a user or a group that needs no entry in passwd or group, as containers lack them.
func TestFPMUsersByNumber(t *testing.T) {
	t.Parallel()
	for _, who := range []string{
		"user = 1234\ngroup = 5678", "user = 33", "user = 33\ngroup = 5678", "user = www-data\ngroup = 5678", "user = 1234\ngroup = www-data",
		"user = www-data\ngroup = 33", "user = 1234\ngroup = 5678\nlisten.owner = 33", "user = 33\nlisten.owner = 1234\nlisten.group = 5678",
		"user = 33\nlisten.group = 5678", "user = 33\nlisten.owner = www-data", "user = 33\nlisten.owner = www-data\nlisten.group = 5678",
	} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			config := strings.Replace(poolWith(who), "USER\n", "", 1)
			fpm, own := bothSides(t, config, []sideRequest{{name: who, script: whoScript}})
			var owners []string
			for _, s := range []*side{fpm, own, own.twin} {
				info, err := os.Stat(filepath.Join(s.dir, "www.sock"))
				if err != nil {
					t.Fatal(err)
				}
				stat := info.Sys().(*syscall.Stat_t)
				owners = append(owners, fmt.Sprint(stat.Uid, ":", stat.Gid, " ", info.Mode()))
			}
			if owners[1] != owners[0] || owners[2] != owners[0] {
				t.Errorf("the socket is php-fpm's %s, phpserve's %s and %s", owners[0], owners[1], owners[2])
			}
			endBoth(t, fpm, own, syscall.SIGTERM)
		})
	}
}

// TestRunUserByNumber is the same for phpserve run, where a number without an entry is its own group and not root's.
func TestRunUserByNumber(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"zygote", "spawn"} {
		dir := openFolder(t, "phpserve-number-")
		if err := os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php "+whoScript), 0o644); err != nil {
			t.Fatal(err)
		}
		uid, want := os.Getuid(), ""
		if uid == 0 {
			uid, want = 4711, "[4711,4711,4711,4711,[4711],false,false]"
		}
		s := serve(t, dir, ".", "--engine", engine, "--user", fmt.Sprint(uid))
		if got := newVisitor(t, s.url).get(200, "/").body; !strings.HasPrefix(got, fmt.Sprintf("[%d,%d,", uid, uid)) || want != "" && got != want {
			t.Errorf("%s: PHP runs as %s", engine, got)
		}
	}
}

// TestFPMSaysWhyItCannotListenAsPHPFPM compares the error log of a start that fails.
func TestFPMSaysWhyItCannotListenAsPHPFPM(t *testing.T) {
	t.Parallel()
	taken := freeAddress(t, "127.0.0.1")
	first := startOwn(t, strings.Replace(poolWith(), "listen = DIR/www.sock", "listen = "+taken, 1), nil)
	everywhere := strings.TrimPrefix(freeAddress(t, "::"), "[::]:")
	second := startOwn(t, strings.Replace(poolWith(), "listen = DIR/www.sock", "listen = "+everywhere, 1), nil)
	for _, listen := range []string{
		"127.0.0.1:69002", "127.0.0.1:99999999999", "70000", taken, everywhere, "203.0.113.9:9000", "[2001:db8::1]:9000", "/nowhere/at/all.sock", "/dev/null/x.sock",
	} {
		t.Run(listen, func(t *testing.T) {
			config := strings.Replace(poolWith(), "listen = DIR/www.sock", "listen = "+listen, 1)
			var said [2]string
			for i, name := range []string{"php-fpm", "phpserve"} {
				s := newSide(t, name, config, nil)
				if code := s.run("-F", "-O", "-y", s.conf); code != exitConfig {
					t.Errorf("%s: exit code %d", name, code)
				}
				said[i] = functionNames.ReplaceAllString(s.neutral(s.out.String()), "$1")
			}
			if said[0] != said[1] {
				t.Errorf("php-fpm:  %q\nphpserve: %q", said[0], said[1])
			}
		})
	}
	first.stop(syscall.SIGTERM)
	second.stop(syscall.SIGTERM)
}

// functionNames is what php-fpm has in front of some messages, and phpserve has not.
var functionNames = regexp.MustCompile(`(?m)^(\[TIME\] ERROR: )pid \d+, \w+\(\), line \d+: `)
