//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFPMChroot compares pools in a chroot, in which there is no PHP. It needs root, as chroot(2) does.
func TestFPMChroot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		s := newSide(t, "phpserve", poolWith("chroot = DIR"), nil)
		if code := s.run("-F", "-O", "-y", s.conf); code != 0 && !strings.Contains(s.out.String(), "chroot") {
			t.Errorf("exit code %d\n%s", code, s.out)
		}
		return
	}
	config := strings.Replace(poolWith("chroot = DIR/jail", "chdir = /", "php_admin_value[memory_limit] = 88M", "php_value[precision] = 7", "env[IN] = jail"),
		"pm.max_children = 1\n", "pm.max_children = 2\n", 1)
	files := map[string]string{
		"jail/www/info.php": `<?php $r = [__FILE__, getcwd(), is_dir('/etc'), @file_get_contents('/etc/passwd'), @scandir('/../../..') == scandir('/'),
			posix_getuid(), posix_geteuid(), posix_getgid(), posix_getegid(), posix_getgroups(), @posix_setuid(0), @posix_seteuid(0), @posix_setgid(0),
			getenv('IN'), getenv('USER'), ini_get('memory_limit'), @ini_set('memory_limit', '12M'), ini_get('precision'), $_SERVER['SCRIPT_FILENAME'],
			$_SERVER['PATH_INFO'] ?? null, function_exists('mb_strlen') || true, date_default_timezone_get()]; var_export($r);`,
		"jail/www/include.php": `<?php include 'part.php';`, "jail/www/part.php": `<?php echo "part of ", __FILE__;`,
		"jail/www/error.php":  `<?php ini_set('display_errors', '0'); error_log("from the jail"); undefined();`,
		"jail/www/finish.php": `<?php echo "out"; fastcgi_finish_request(); echo "dropped";`,
		"outside.php":         `<?php echo "outside";`,
	}
	at := func(path string) map[string]string {
		return map[string]string{"SCRIPT_FILENAME": path, "SCRIPT_NAME": path, "DOCUMENT_ROOT": "/www"}
	}
	fpm, own := newSide(t, "php-fpm", config, files), newSide(t, "phpserve", config, files)
	for _, s := range []*side{fpm, own} {
		s.start()
	}
	for _, params := range []map[string]string{
		at("/www/info.php"), at("/www/info.php"), at("/www/info.php"), at("/www/info.php/more/path"), at("/www/include.php"), at("/www/error.php"),
		at("/www/finish.php"), at("/www/none.php"), at("/outside.php"), at("/../outside.php"), at("DIR/outside.php"), at("DIR/jail/www/info.php"),
	} {
		if want, got := fpm.ask("www.sock", params, ""), own.ask("www.sock", params, ""); got != want {
			t.Errorf("%s\nphp-fpm:  %q\nphpserve: %q", params["SCRIPT_FILENAME"], want, got)
		}
	}
	// A worker that is killed has a successor, which is in the chroot, too.
	if err := os.WriteFile(filepath.Join(own.dir, "jail/www/die.php"), []byte(`<?php posix_kill(getmypid(), SIGKILL);`), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		own.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "/www/die.php", "REQUEST_METHOD": "POST"}, "")
	}
	if want, got := fpm.ask("www.sock", at("/www/info.php"), ""), own.ask("www.sock", at("/www/info.php"), ""); got != want {
		t.Errorf("after four dead workers\nphp-fpm:  %q\nphpserve: %q", want, got)
	}
	endBoth(t, fpm, own, syscall.SIGTERM)
	left, err := os.ReadDir(filepath.Join(own.dir, "jail"))
	if err != nil || len(left) != 1 {
		t.Errorf("left in the chroot: %v %v", left, err)
	}
}

// TestFPMChrootNeedsTheZygote: php-cgi cannot be started where there is no PHP.
func TestFPMChrootNeedsWhatForksWorkers(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", poolWith("chroot = DIR", "php_admin_value[disable_functions] = pcntl_fork"), nil)
	if code := s.run("-F", "-O", "-y", s.conf); os.Geteuid() == 0 && (code != exitConfig || !strings.Contains(s.out.String(), "chroot needs the zygote engine")) {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
}
