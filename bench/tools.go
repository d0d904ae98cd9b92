package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tools are the programs the benchmark runs, found before anything starts.
type tools struct {
	phpserve, phpCGI, phpFPM, nginx, wrk string
	// versions holds what the programs say of themselves.
	versions map[string]string
	// account runs PHP and nginx's workers; nil when not started as root.
	account *account
}

// account is an unprivileged user.
type account struct {
	name, group string
	uid, gid    int
}

// findTools finds what the chosen sides need. A missing program is an error
// that names its Debian package.
func findTools(ctx context.Context, o options, dir string) (tools, error) {
	var t tools
	var err error
	if t.wrk, err = findTool(o.wrk, "wrk"); err != nil {
		return t, err
	}
	if t.phpCGI, err = findTool(orDefault(o.phpCGI, "php-cgi"), "php-cgi"); err != nil {
		return t, err
	}
	php := firstLine(ctx, t.phpCGI, "-v")
	t.versions = map[string]string{"php-cgi": php, "wrk": firstLine(ctx, t.wrk, "-v"), "kernel": kernelVersion()}
	if slices.Contains(o.sides, sideNginx) || slices.Contains(o.sides, sideNginxKeepalive) {
		if t.nginx, err = findTool(o.nginx, "nginx"); err != nil {
			return t, err
		}
		release := regexp.MustCompile(`^PHP (\d+\.\d+)`).FindStringSubmatch(php)
		if release == nil {
			return t, fmt.Errorf("cannot find the version of %q in %q", t.phpCGI, php)
		}
		if t.phpFPM, err = findTool(orDefault(o.phpFPM, "php-fpm"+release[1]), "php"+release[1]+"-fpm"); err != nil {
			return t, err
		}
		t.versions["php-fpm"] = firstLine(ctx, t.phpFPM, "-v")
		t.versions["nginx"] = firstLine(ctx, t.nginx, "-v")
	}
	if slices.Contains(o.sides, sidePhpserve) {
		if t.phpserve, err = findPhpserve(ctx, o.phpserve, dir); err != nil {
			return t, err
		}
		t.versions["phpserve"] = firstLine(ctx, t.phpserve, "version")
	}
	if os.Getuid() == 0 {
		if t.account, err = findAccount(o.user); err != nil {
			return t, err
		}
	}
	return t, nil
}

// findTool finds a program on PATH or in Debian's folders for daemons, which
// are not on the PATH of an ordinary user.
func findTool(name, debianPackage string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	if !strings.ContainsRune(name, filepath.Separator) {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("cannot find %q: install it with apt-get install %s", name, debianPackage)
}

// findPhpserve returns the given binary, or builds the one of this repository
// the way a release is built.
func findPhpserve(ctx context.Context, path, dir string) (string, error) {
	if path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("cannot use -phpserve: %v", err)
		}
		return filepath.Abs(found)
	}
	path = filepath.Join(dir, "bin", "phpserve")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/phpserve/phpserve/cmd/phpserve")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build phpserve: %v: %s", err, out)
	}
	return path, nil
}

func findAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("cannot use -user %q: %v", name, err)
	}
	group, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("cannot use -user %q: %v", name, err)
	}
	a := &account{name: name, group: group.Name}
	var uidErr, gidErr error
	a.uid, uidErr = strconv.Atoi(u.Uid)
	a.gid, gidErr = strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("cannot use -user %q: %v", name, err)
	}
	return a, nil
}

// firstLine returns the first line a program prints about itself. Some print
// it with a failure code, so only silence counts as unknown.
func firstLine(ctx context.Context, path string, args ...string) string {
	out, _ := exec.CommandContext(ctx, path, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return orDefault(strings.TrimSpace(line), "unknown")
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
