package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFPMPHPThatStartsAsRootWritesThroughNoLinkOfOthers: where the zygote gives root up by itself, what PHP says before that does not go
// to a file in whose place the pool's user has put a link; and scripts have their error_log.
func TestFPMPHPThatStartsAsRootWritesThroughNoLinkOfOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who has something to lose")
	}
	const tenant = 33 // www-data
	// A library that is not there is a message at PHP's start.
	const missing = "php_value[extension] = phpserve-none.so"
	for name, tt := range map[string]struct {
		directives []string
		warning    string
		late       bool // PHP still starts as root
	}{
		"php_value":           {[]string{"php_value[error_log] = DIR/his/php.log"}, "process.dumpable = no has no effect: error_log=", false},
		"a folder on the way": {[]string{"php_value[error_log] = DIR/his/no/php.log"}, "process.dumpable = no has no effect: error_log=", false},
		"php_admin_value":     {[]string{"php_admin_value[error_log] = DIR/his/php.log"}, "", true},
		"opcache":             {[]string{"php_admin_value[opcache.error_log] = DIR/his/php.log"}, "process.dumpable = no has no effect: opcache.error_log=", false},
		"chroot":              {[]string{"chroot = DIR", "php_value[error_log] = DIR/his/php.log"}, "scripts cannot change error_log in a pool with a chroot", true},
		"chroot, relative":    {[]string{"chroot = DIR/his", "php_value[error_log] = php.log"}, "scripts cannot change error_log in a pool with a chroot", true},
		"chroot, opcache": {
			[]string{"chroot = DIR", "php_value[opcache.error_log] = DIR/his/php.log"}, "opcache.error_log=DIR/his/php.log has no effect in a pool with a chroot", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", poolWith(append(tt.directives, missing)...), map[string]string{"s.php": `<?php echo 'log=', ini_get('error_log'), ';';`, "his/x": "", "his/s.php": `<?php echo 'log=', ini_get('error_log'), ';';`})
			v := newVictim(t, filepath.Join(s.dir, "victim"))
			his := filepath.Join(s.dir, "his")
			if err := os.Symlink(v.path, filepath.Join(his, "php.log")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(s.dir, filepath.Join(his, "no")); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(his, tenant, tenant); err != nil {
				t.Fatal(err)
			}
			s.start()
			params := map[string]string(nil)
			if strings.Contains(name, "chroot") {
				params = map[string]string{"SCRIPT_FILENAME": "/s.php", "DOCUMENT_ROOT": "/"}
			}
			got := s.ask("www.sock", params, "")
			_, want, isLog := strings.Cut(tt.directives[len(tt.directives)-1], "[error_log] = ")
			if isLog && !strings.Contains(got, "log="+want+";") {
				t.Errorf("scripts have %q, want %q", got, want)
			}
			if warning := strings.ReplaceAll(tt.warning, "DIR", s.dir); !strings.Contains(s.out.String(), warning) {
				t.Errorf("it does not say %q\n%s", warning, s.out)
			}
			if said := strings.Contains(s.out.String(), "dumpable = no has no effect"); said == tt.late {
				t.Errorf("PHP starts as root: %v\n%s", !said, s.out)
			}
			if code := s.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if now := v.now(t); now != v.was {
				t.Errorf("the file of root was %q and is %q", v.was, now)
			}
		})
	}
}
