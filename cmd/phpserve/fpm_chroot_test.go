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
			$_SERVER['PATH_INFO'] ?? null]; var_export($r);`,
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
		want, got := fpm.ask("www.sock", params, ""), own.ask("www.sock", params, "")
		if got != want {
			t.Errorf("%s\nphp-fpm:  %q\nphpserve: %q", params["SCRIPT_FILENAME"], want, got)
		}
		if strings.Contains(params["SCRIPT_FILENAME"], "/www/info.php") && !strings.Contains(params["SCRIPT_FILENAME"], "DIR") && !strings.Contains(got, "'88M'") {
			t.Errorf("%s shows nothing: %q", params["SCRIPT_FILENAME"], got)
		}
	}
	// php_admin_value holds in folders that were not there at the start, too.
	for _, s := range []*side{fpm, own} {
		text, err := os.ReadFile(filepath.Join(s.dir, "jail/www/info.php"))
		if err != nil {
			t.Fatal(err)
		}
		for _, late := range []string{"jail/late", "jail/sp ace]"} {
			if err := os.Mkdir(filepath.Join(s.dir, late), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(s.dir, late, "info.php"), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(s.dir, "jail/info.php"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/late/info.php", "/sp ace]/info.php", "/info.php", "//www/info.php", "/late/info.php/more"} {
		want, got := fpm.ask("www.sock", at(path), ""), own.ask("www.sock", at(path), "")
		if got != want || !strings.Contains(got, "'88M'") {
			t.Errorf("%s\nphp-fpm:  %q\nphpserve: %q", path, want, got)
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
	if err != nil || len(left) != 4 {
		t.Errorf("left in the chroot: %v %v", left, err)
	}
}

// TestFPMChrootNeedsWhatForksWorkers: php-cgi cannot be started where there is no PHP.
func TestFPMChrootNeedsWhatForksWorkers(t *testing.T) {
	t.Parallel()
	for directive, flags := range map[string][]string{"php_admin_value[disable_functions] = pcntl_fork": nil, "": {"--engine", "spawn"}} {
		s := newSide(t, "phpserve", poolWith("chroot = DIR", directive), nil)
		if code := s.run(append([]string{"-F", "-O", "-y", s.conf}, flags...)...); os.Geteuid() == 0 &&
			(code != exitConfig || !strings.Contains(s.out.String(), "[pool www] chroot needs the zygote engine")) {
			t.Errorf("exit code %d\n%s", code, s.out)
		}
	}
}

// What else the spawn engine cannot do is said.
func TestFPMSpawnEngineSaysWhatItCannot(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", poolWith("process.dumpable = no"), nil)
	s.engine = "spawn"
	s.start()
	if said := "WARNING: [pool www] process.dumpable = no has no effect: the spawn engine starts php-cgi as the pool's user\n"; os.Geteuid() == 0 && !strings.Contains(s.out.String(), said) {
		t.Errorf("it does not say %q\n%s", said, s.out)
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestFPMChrootWithoutTimeZonesIsSaid: the PHP of Debian crashes in date() where it finds no file of the zone.
func TestFPMChrootWithoutTimeZonesIsSaid(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone may chroot(2)")
	}
	utc, err := os.ReadFile("/usr/share/zoneinfo/UTC")
	if err != nil {
		t.Fatalf("this test needs files of time zones (apt-get install tzdata): %v", err)
	}
	for name, c := range map[string]struct{ directive, file, missing string }{
		"none":         {"", "", "/usr/share/zoneinfo/UTC"},
		"UTC":          {"", "jail/usr/share/zoneinfo/UTC", ""},
		"another zone": {"php_value[date.timezone] = Asia/Tokyo", "jail/usr/share/zoneinfo/UTC", "/usr/share/zoneinfo/Asia/Tokyo"},
		"its zone":     {"php_admin_value[date.timezone] = Asia/Tokyo", "jail/usr/share/zoneinfo/Asia/Tokyo", ""},
	} {
		files := map[string]string{"jail/s.php": `<?php echo 'it is ', date('c');`}
		if c.file != "" {
			files[c.file] = string(utc)
		}
		s := newSide(t, "phpserve", poolWith("chroot = DIR/jail", c.directive), files)
		s.start()
		got := s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "/s.php"}, "")
		warning := "WARNING: [pool www] the chroot " + s.dir + "/jail has no " + c.missing + ":"
		if works, said := strings.Contains(got, "it is 2"), strings.Contains(s.out.String(), warning); works != (c.missing == "") || said == works {
			t.Errorf("%s: date() works: %v, warning: %v\n%s\n%s", name, works, said, got, s.out)
		}
		s.end()
	}
}
