package manager

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// compiledINI is where a php-cgi looks for its ini files by itself. It is asked once.
type compiledINI struct {
	mu        sync.Mutex // guards the fields below; held while PHP is asked
	known     bool
	dir, scan string
}

// compiled asks php-cgi where it looks for php.ini, and for further ini files.
func (p *PHP) compiled(ctx context.Context) (dir, scan string, err error) {
	p.ini.mu.Lock()
	defer p.ini.mu.Unlock()
	if p.ini.known {
		return p.ini.dir, p.ini.scan, nil
	}
	cmd := exec.CommandContext(ctx, p.Path, "-n", "-q")
	cmd.Env, cmd.Dir = bareEnv(), string(filepath.Separator)
	cmd.Stdin = strings.NewReader(`<?php echo PHP_CONFIG_FILE_PATH, "\n", PHP_CONFIG_FILE_SCAN_DIR, "\n";`)
	var out bytes.Buffer
	cmd.Stdout = &out
	err = runPatiently(cmd, askTimeout)
	lines := strings.Split(out.String(), "\n")
	if err != nil || len(lines) < 2 {
		return "", "", fmt.Errorf("cannot ask PHP %q where its ini files are: %v: %s", p.Path, err, firstLine(out.String()))
	}
	p.ini.known, p.ini.dir, p.ini.scan = true, lines[0], lines[1]
	return p.ini.dir, p.ini.scan, nil
}

// FindINI fills in where the ini files are, with FPMINI: where php-fpm of the same PHP looks for them. Debian and its kin build each kind of
// PHP with a folder of its own, such as /etc/php/8.2/cgi and /etc/php/8.2/fpm; else both have the same.
func (c *PoolConfig) FindINI(ctx context.Context, php *PHP) error {
	if !c.FPMINI || c.NoPHPINI {
		return nil
	}
	dir, scan, err := php.compiled(ctx)
	if err != nil {
		return err
	}
	fpm := func(path string) string {
		rest, ok := strings.CutPrefix(path, dir)
		sibling := filepath.Join(filepath.Dir(dir), "fpm")
		if info, err := os.Stat(sibling); !ok || filepath.Base(dir) != "cgi" || err != nil || !info.IsDir() {
			return path
		}
		return sibling + rest
	}
	if own := fpm(dir); c.PHPINI == "" && own != dir {
		c.PHPINI = own
		if special := filepath.Join(own, "php-fpm-fcgi.ini"); isFile(special) { // comes before php.ini (main/php_ini.c:php_init_config)
			c.PHPINI = special
		}
	}
	if c.INIScanDir == "" {
		if c.INIScanDir = fpm(scan); c.INIScanDir == scan {
			c.INIScanDir = ""
		}
	}
	if more, set := os.LookupEnv("PHP_INI_SCAN_DIR"); set && c.INIScanDir != "" {
		dirs := strings.Split(more, string(filepath.ListSeparator))
		for i := range dirs {
			if dirs[i] == "" && more != "" { // stands for the folder that was compiled in
				dirs[i] = c.INIScanDir
			}
		}
		c.INIScanDir = strings.Join(dirs, string(filepath.ListSeparator))
	}
	return nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
