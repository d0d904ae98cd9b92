package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Scripts can reach their pool's socket. Were the settings of such a request read by the zygote of root, PHP would load an extension
// of theirs as root, or append to any file.
func TestFPMValuesOfRequestsAreNeverReadByRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, which is what nobody may become")
	}
	const script = `<?php echo "precision ", ini_get('precision'), ", limit ", ini_get('memory_limit'), " ", var_export(@ini_set('memory_limit', '12M'), true),
		", hidden ", ini_get('error_prepend_string'), ", path ", $_SERVER['SCRIPT_FILENAME'];`
	for name, in := range map[string]struct{ config, script string }{
		"plain":  {poolWith("php_admin_value[error_prepend_string] = of the pool"), "DIR/www/s.php"},
		"chroot": {poolWith("php_admin_value[error_prepend_string] = of the pool", "chroot = DIR"), "/www/s.php"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", in.config, map[string]string{"www/s.php": script})
			s.start()
			file := strings.ReplaceAll(in.script, "DIR", s.dir)
			answer := s.ask("www.sock", map[string]string{
				"SCRIPT_FILENAME": file, "SCRIPT_NAME": "/s.php",
				"PHP_VALUE": "extension = not there\nerror_log = " + s.dir + "/by-php\nprecision = 7\nlog_errors = 1\ndisplay_startup_errors = 1\n" +
					"error_prepend_string = of the request",
				"PHP_ADMIN_VALUE": "memory_limit = 88M\nextension = nor there",
			}, "")
			if want := "precision 7, limit 88M false, hidden of the pool, path " + s.neutral(file); !strings.Contains(answer, want) {
				t.Errorf("not %q but\n%s", want, answer)
			}
			info, err := os.Stat(filepath.Join(s.dir, "by-php"))
			switch {
			case err == nil && info.Sys().(*syscall.Stat_t).Uid == 0:
				t.Error("PHP of root wrote the log that the request names")
			case err != nil && name == "plain":
				t.Errorf("PHP says nothing of an extension that is not there: %v", err)
			}
			if name == "chroot" && !strings.Contains(s.out.String(), "unable to set 'extension' in a chroot") {
				t.Errorf("it does not say that extensions are refused\n%s", s.out)
			}
			if code := s.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
