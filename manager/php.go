package manager

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PHP is one php-cgi binary and what it said about itself.
type PHP struct {
	Path    string // absolute path of the binary
	Version string // such as 8.2.36
	facts   phpFacts
	startup []string // what it writes to standard error before a script runs
	ini     *compiledINI
	probes  *probes // shared by copies; nil: nothing is kept
	swept   *swept  // likewise
}

// ErrNoPHP is returned by [FindPHP] when no php-cgi matches.
var ErrNoPHP = errors.New("no php-cgi found")

// phpPlaces are folders outside PATH where distributions and package managers put php-cgi.
var phpPlaces = []string{
	"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/homebrew/opt/php*/bin", "/usr/local/opt/php*/bin",
	"/opt/remi/php*/root/usr/bin", "/opt/local/bin", "/opt/php*/bin",
}

// phpName matches php-cgi, php-cgi8.2, php-cgi82, php83-cgi and php-cgi.exe, but no php-cgi.default or php-cgi.bak.
var phpName = regexp.MustCompile(`^php[0-9.]*-cgi[0-9.]*(\.exe)?$`)

// FindPHP returns the php-cgi to use. want is a path, a version prefix such as "8.2", or empty: then the first
// .php-version file from siteDir upward decides, and without one the newest version found is taken. why tells the
// operator which of these it was.
func FindPHP(ctx context.Context, want, siteDir string) (php *PHP, why string, err error) {
	if strings.ContainsRune(want, filepath.Separator) || strings.Contains(want, "/") {
		php, err = inspectPHP(ctx, want)
		return php, "as asked for", err
	}
	why = "as asked for"
	if want == "" {
		if want, why, err = phpVersionFile(siteDir); err != nil {
			return nil, "", err
		}
		if want == "" {
			why = "the newest found"
		}
	}
	var best *PHP
	var versions []string
	for _, path := range phpBinaries() {
		p, err := inspectPHP(ctx, path)
		if err != nil {
			continue // a broken binary beside a working one is no reason to stop
		}
		versions = append(versions, p.Version)
		if versionMatches(p.Version, want) && (best == nil || compareVersions(p.Version, best.Version) > 0) {
			best = p
		}
	}
	switch {
	case best != nil:
		return best, why, nil
	case len(versions) > 0:
		return nil, "", fmt.Errorf("%w of version %s (%s); found: %s", ErrNoPHP, want, why, strings.Join(versions, ", "))
	}
	return nil, "", ErrNoPHP
}

// phpVersionFile reads the nearest .php-version from dir upward.
func phpVersionFile(dir string) (version, why string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	for {
		file := filepath.Join(dir, ".php-version")
		if text, ok := beginning(file); ok && strings.TrimSpace(text) != "" {
			m := phpVersionText.FindStringSubmatch(text)
			if m == nil {
				return "", "", fmt.Errorf("cannot use %s: it must hold a version such as 8.2", file)
			}
			return m[1], "by " + file, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", "", nil
		}
		dir = parent
	}
}

// phpVersionText is what a .php-version says, by the tools that write it.
var phpVersionText = regexp.MustCompile(`^\s*(?:php-)?(\d+(?:\.\d+)*)\s*$`)

// beginning is what a small regular file holds. Anything else of that name may be a trap for root: a pipe, a device, a link to
// what only root may read, for which reason errors do not repeat it.
func beginning(file string) (text string, ok bool) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	return string(b), err == nil
}

// phpBinaries lists every php-cgi once, by real path.
func phpBinaries() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, place := range phpPlaces {
		matches, _ := filepath.Glob(place) // the only error is a bad pattern, and these are constant
		dirs = append(dirs, matches...)
	}
	var found, seen []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !phpName.MatchString(e.Name()) {
				continue
			}
			path := filepath.Join(dir, e.Name())
			real, err := filepath.EvalSymlinks(path)
			if err != nil || slices.Contains(seen, real) {
				continue
			}
			seen = append(seen, real)
			found = append(found, path)
		}
	}
	return found
}

var versionLine = regexp.MustCompile(`^PHP (\d+\.\d+\.\d+)\S* \(([a-z-]+)\)`)

// askTimeout is how long a php-cgi may take to tell something of itself, of time of its own.
const askTimeout = 15 * time.Second

// inspectPHP asks a binary for its version.
func inspectPHP(ctx context.Context, path string) (*PHP, error) {
	resolved, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("cannot use PHP %q: %v", path, err)
	}
	if resolved, err = filepath.Abs(resolved); err != nil {
		return nil, fmt.Errorf("cannot use PHP %q: %v", path, err)
	}
	cmd := exec.CommandContext(ctx, resolved, "-n", "-v")
	cmd.Env = bareEnv()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = runPatiently(cmd, askTimeout)
	out := said.String()
	m := versionLine.FindStringSubmatch(out)
	switch {
	case m == nil && err != nil:
		return nil, fmt.Errorf("cannot use PHP %q: %v: %s", path, err, firstLine(out))
	case m == nil:
		return nil, fmt.Errorf("cannot use PHP %q: it does not say its version: %s", path, firstLine(out))
	case m[2] != "cgi-fcgi":
		return nil, fmt.Errorf("cannot use PHP %q: it is the %s binary, phpserve needs php-cgi", path, m[2])
	}
	return &PHP{Path: resolved, Version: m[1], ini: &compiledINI{}, probes: &probes{}, swept: &swept{}}, nil
}

// bareEnv is the environment for asking php-cgi something: nothing that would make it think it runs under a web server.
func bareEnv() []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	if runtime.GOOS == "windows" {
		env = append(env, "SystemRoot="+os.Getenv("SystemRoot"))
	}
	return env
}

// versionMatches says whether version is want or starts with want and a dot.
func versionMatches(version, want string) bool {
	return want == "" || version == want || strings.HasPrefix(version, want+".")
}

func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i]) // versionLine lets only digits through
		y, _ := strconv.Atoi(bs[i])
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
