//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// otherVersion is the PHP version of [otherPHP].
const otherVersion = "8.4"

// otherPHP is a php-cgi of another version than the system's, which "task other-php" unpacks: for root where PHP's user can read it.
func otherPHP(t *testing.T) (path string) {
	t.Helper()
	caches := []string{"/var/cache"}
	if os.Geteuid() != 0 {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		caches = append(caches, cache)
	}
	for _, cache := range caches {
		path = filepath.Join(cache, "phpserve-test", "php"+otherVersion, "usr", "bin", "php-cgi"+otherVersion)
		if exists(path) {
			return path
		}
	}
	t.Fatal("this test needs a second PHP: go tool task other-php")
	return ""
}

// TestTwoPHPVersionsAtOnce serves one folder with two versions, each with its own opcache.
func TestTwoPHPVersionsAtOnce(t *testing.T) {
	t.Parallel()
	other := otherPHP(t)
	for _, engine := range []string{"zygote", "spawn"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := openFolder(t, "phpserve-versions-")
			script := `<?php echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION, ' ', PHP_SAPI, ' ', function_exists('array_find') ? 'new' : 'old', ' ',
				opcache_get_status(false)['opcache_enabled'] ? 'cached' : 'not cached';
				fastcgi_finish_request(); echo "dropped";`
			if err := os.WriteFile(filepath.Join(dir, "index.php"), []byte(script), 0o644); err != nil {
				t.Fatal(err)
			}
			old := newVisitor(t, serve(t, dir, ".", "--engine", engine, "--php", "8.2").url)
			newer := newVisitor(t, serve(t, dir, ".", "--engine", engine, "--php", other).url)
			for range 20 {
				if got := old.get(200, "/").body; got != "8.2 cgi-fcgi old cached" {
					t.Errorf("the system's: %s", got)
				}
				if got := newer.get(200, "/").body; got != otherVersion+" cgi-fcgi new cached" {
					t.Errorf("the other: %s", got)
				}
			}
		})
	}
}

// TestFPMTakesThePHPOfItsConfiguration: the path of a configuration names the version.
func TestFPMTakesThePHPOfItsConfiguration(t *testing.T) {
	t.Parallel()
	path := filepath.Dir(otherPHP(t)) + string(filepath.ListSeparator) + os.Getenv("PATH")
	for _, version := range []string{"8.2", otherVersion} {
		s := newSide(t, "phpserve", "", map[string]string{
			"etc/php/" + version + "/fpm/php-fpm.conf": poolWith(), "s.php": `<?php echo "PHP ", PHP_VERSION;`,
		})
		s.conf, s.env = filepath.Join(s.dir, "etc/php", version, "fpm/php-fpm.conf"), []string{"PATH=" + path}
		text := s.file("etc/php/" + version + "/fpm/php-fpm.conf")
		user := ""
		if os.Geteuid() == 0 {
			user = "user = www-data\n"
		}
		if err := os.WriteFile(s.conf, []byte(strings.NewReplacer("USER\n", user, "DIR", s.dir).Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
		s.start()
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, fmt.Sprintf("PHP %s.", version)) {
			t.Errorf("%s: %s", version, answer)
		}
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, s.out)
		}
	}
}
