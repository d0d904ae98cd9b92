//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFPMChrootLinks: what a pool in a chroot is asked for is looked for in the chroot, as its workers see it: absolute links begin
// there, none leads out, and what the pool's user may not read is not read for it.
func TestFPMChrootLinks(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone may chroot(2)")
	}
	config := poolWith("chroot = DIR/jail", "chdir = /www")
	fpm, own := newSide(t, "php-fpm", config, nil), newSide(t, "phpserve", config, nil)
	for _, s := range []*side{fpm, own} {
		for path, text := range map[string]string{
			"outside.php": `<?php echo "outside";`, "secret": "secret of the machine", "jail/www/real.php": `<?php echo "real ", __FILE__;`,
			"jail/www/body.php": `<?php echo file_get_contents('php://input');`, "jail/body": "kept body", "jail/locked": "for root only",
			"jail/www/locked.php": `<?php echo "locked";`, "secret.php": `<?php echo "secret";`,
		} {
			writeFile(t, filepath.Join(s.dir, path), text)
		}
		for _, path := range []string{"jail/locked", "jail/www/locked.php"} {
			if err := os.Chmod(filepath.Join(s.dir, path), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Mkfifo(filepath.Join(s.dir, "jail/fifo"), 0o644); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{
			"jail/www/absolute.php": "/www/real.php", "jail/folder": "/www", "jail/www/chain.php": "/folder/absolute.php",
			"jail/www/out.php": s.dir + "/outside.php", "jail/www/out2.php": "../../outside.php", "jail/outside": s.dir,
			"jail/www/clamped.php": "../../../../../../../../www/real.php", "jail/www/secret.txt": s.dir + "/secret", "jail/body.link": "/body",
			"jail/out.link": s.dir + "/secret", "jail/etc": "/www", "jail/locked.link": "/locked", "jail/root": "/",
		} {
			if err := os.Symlink(target, filepath.Join(s.dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		s.start()
	}
	var asked []map[string]string
	for _, path := range []string{
		"/www/absolute.php", "/folder/real.php", "/www/chain.php", "/www/clamped.php", "/root/root/www/real.php", "/www/absolute.php/path/info",
		"/folder/chain.php/path", "/www/out.php", "/www/out2.php", "/outside/outside.php", "/outside/outside.php/path", "/www/out.php/path",
		"/www/../../outside.php", "/proc/self/root/outside.php", "/dev/stdin", "/fifo/x.php", "/fifo.php", "/www/real.php/..",
	} {
		asked = append(asked, map[string]string{"SCRIPT_FILENAME": path, "SCRIPT_NAME": path, "DOCUMENT_ROOT": "/www"})
	}
	for _, body := range []string{"/body", "/body.link", "/../body", "/folder/../body"} {
		asked = append(asked, map[string]string{
			"SCRIPT_FILENAME": "/www/body.php", "SCRIPT_NAME": "/body.php", "REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain",
			"CONTENT_LENGTH": "9", "REQUEST_BODY_FILE": body,
		})
	}
	for _, params := range asked {
		want, got := fpm.ask("www.sock", params, ""), own.ask("www.sock", params, "")
		if got != want {
			t.Errorf("%s %s\nphp-fpm:  %q\nphpserve: %q", params["SCRIPT_FILENAME"], params["REQUEST_BODY_FILE"], want, got)
		}
		if strings.Contains(got, "outside") && !strings.Contains(got, "stderr \"Primary script unknown") && !strings.Contains(got, "Unable to open") {
			t.Errorf("%s leads out: %q", params["SCRIPT_FILENAME"], got)
		}
	}
	// Of these php-fpm has the script see an empty body, or waits for ever; phpserve refuses them.
	for _, body := range []string{
		"/out.link", "DIR/secret", "/outside/secret", "/www/secret.txt", "/../secret", "/locked", "/locked.link", "/fifo", "/www",
		"/proc/self/root" + "DIR/secret", "/dev/zero",
	} {
		got := own.ask("www.sock", map[string]string{
			"SCRIPT_FILENAME": "/www/body.php", "SCRIPT_NAME": "/body.php", "REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain",
			"CONTENT_LENGTH": "6", "REQUEST_BODY_FILE": body,
		}, "")
		if strings.Contains(got, "secret of") || strings.Contains(got, "for ro") || !strings.Contains(got, "Status: 4") && !strings.Contains(got, "Status: 5") {
			t.Errorf("a body of %s: %q", body, got)
		}
	}
	if got := own.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "/www/locked.php"}, ""); !strings.Contains(got, "Status: 403") {
		t.Errorf("a script that only root may read: %q", got)
	}
	endBoth(t, fpm, own, syscall.SIGTERM)
}

// writeFile makes a file and its folders.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
