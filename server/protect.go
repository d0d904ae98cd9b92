package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// wellKnown is the only folder with a leading dot that is served: RFC 8615,
// and where ACME's HTTP-01 challenge lives (RFC 8555 section 8.3).
const wellKnown = ".well-known"

// DefaultDeny returns the patterns of files that are never served unless the
// configuration says otherwise: what editors, Composer, version control and
// backups leave behind in a document root.
//
// A pattern is compared, without regard to ASCII case, with each segment of a
// path; * stands for any characters and ? for one. A pattern that starts with
// a slash is compared with the first segment only; a trailing slash only says
// to the reader that a folder is meant.
//
// Three rules hold without a pattern and cannot be configured away: a segment
// that starts with a dot is never served, except /.well-known/; neither is the
// source of anything that looks like PHP (.inc, .phar, .phtml, .PHP, ...) and
// is not one of the site's script extensions, or a copy of one: x.php.gz,
// x.php.new and x.inc.1 have such an extension before their last. Pages and
// their parts are none (Foo.php.html, as documentation and coverage have it).
//
// /vendor/ is here for Composer's folder. An application that publishes assets
// under the same name inside its document root (Laravel's public/vendor) needs
// a list without it.
func DefaultDeny() []string {
	return []string{
		// Editors, diff and patch.
		"*~", "*.swp", "*.swo", "*.swn", "*.bak", "*.bak?", "*.backup", "*.old", "*.orig", "*.rej", "*.save", "*.tmp", "#*#",
		// Copies of scripts that would be sent as text and whose only extension is none of a script.
		"*.php-old", "*.php-bak", "*.php_old", "*.php_bak",
		// Data and logs.
		"*.sql", "*.sql.*", "*.sqlite", "*.sqlite3", "*.db", "*.db-wal", "*.db-journal", "*.log", "error_log", "*.dist",
		// Composer, build files, configuration.
		"/vendor/", "composer.json", "composer.lock", "auth.json", "symfony.lock", "phpunit.xml", "phpstan.neon",
		"php.ini", "phpserve.yaml", "phpserve.yml", "phpserve.toml", "phpserve.json", "web.config",
		"dockerfile", "docker-compose.*", "compose.yaml", "makefile", "vagrantfile", "taskfile.yml",
		// Version control without a leading dot, keys.
		"cvs", "id_rsa", "id_ed25519",
	}
}

// protection decides which files of a document root are never served.
type protection struct {
	extensions map[string]string // "*.ext" patterns: ext -> pattern
	names      map[string]string // patterns without wildcards: name -> pattern
	topNames   map[string]string // the same, first segment only
	globs      []globRule
	scripts    []string        // script extensions that go to PHP, as configured
	sources    map[string]bool // lower-case extensions never sent as text
}

// globRule is a pattern that needs a real match.
type globRule struct {
	glob    string // lower case
	top     bool
	pattern string // as configured, for messages

	// What a name must have for the glob to match at all, 0 and false for
	// nothing: most names fail one of these, which spares them the match.
	first, last byte
	dot         bool
}

func newGlobRule(glob string, top bool, pattern string) globRule {
	g := globRule{glob: glob, top: top, pattern: pattern, dot: strings.Contains(glob, ".")}
	if c := glob[0]; c != '*' && c != '?' {
		g.first = c
	}
	if c := glob[len(glob)-1]; c != '*' && c != '?' {
		g.last = c
	}
	return g
}

// match reports whether the glob matches name, which is not empty; hasDot says
// that name has a dot.
func (g *globRule) match(name []byte, hasDot bool) bool {
	return (g.first == 0 || g.first == name[0]) && (g.last == 0 || g.last == name[len(name)-1]) && (hasDot || !g.dot) &&
		globMatch(g.glob, name)
}

// Names of the rules that are not patterns.
const (
	ruleDotfile = "dotfile"
	ruleSource  = "script source"
)

// newProtection compiles patterns (see DefaultDeny) that validDenyPattern has
// accepted. scriptExtensions are the extensions that PHP runs, with their dot;
// they are compared exactly, so that .PHP next to .php is neither run nor shown.
func newProtection(patterns, scriptExtensions []string) *protection {
	p := &protection{
		extensions: map[string]string{},
		names:      map[string]string{},
		topNames:   map[string]string{},
		scripts:    scriptExtensions,
		sources: map[string]bool{
			".php": true, ".php3": true, ".php4": true, ".php5": true, ".php6": true, ".php7": true, ".php8": true,
			".phps": true, ".phpt": true, ".pht": true, ".phtml": true, ".phar": true, ".inc": true,
		},
	}
	for _, ext := range scriptExtensions {
		p.sources[asciiLower(ext)] = true
	}
	for _, pattern := range patterns {
		p.add(pattern)
	}
	return p
}

// validDenyPattern says what is wrong with a pattern (see DefaultDeny): an
// administrator who writes one that can never match must hear of it.
func validDenyPattern(pattern string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(pattern, "/"), "/")
	switch {
	case name == "" || strings.Contains(name, "/"):
		return fmt.Errorf("cannot use deny pattern %q: want the pattern of one name, such as *.bak, or of a top folder, such as /vendor/", pattern)
	case strings.Trim(name, "*?") == "":
		return fmt.Errorf("cannot use deny pattern %q: it matches everything", pattern)
	}
	return nil
}

// add compiles one pattern into the cheapest of the forms.
func (p *protection) add(pattern string) {
	name, top := strings.CutPrefix(asciiLower(pattern), "/")
	name = strings.TrimSuffix(name, "/")
	wild := strings.ContainsAny(name, "*?")
	ext, isExt := strings.CutPrefix(name, "*.")
	switch {
	case !wild && top:
		p.topNames[name] = pattern
	case !wild:
		p.names[name] = pattern
	case isExt && !top && !strings.ContainsAny(ext, "*?."):
		p.extensions["."+ext] = pattern
	default:
		p.globs = append(p.globs, newGlobRule(name, top, pattern))
	}
}

// denied reports whether the file at urlPath must not be served, and by which
// rule. urlPath is a result of cleanURLPath that names a file or a script; the
// PATH_INFO behind a script is data (/wiki.php/.htaccess is a page title) and
// must be cut off first. The answer to the client is 404, as if the file did
// not exist.
//
// Full-width and other compatibility forms of letters (GHSA-v4h7-cj44-8fc8)
// are different letters here and on every file system: shell.．php is no
// script, and a plain file only if one of that very name exists. The two
// letters outside ASCII that case-insensitive file systems do take for ASCII
// ones, the long s and the Kelvin sign, are folded.
func (p *protection) denied(urlPath string) (rule string, denied bool) {
	first := true
	for rest := urlPath; rest != ""; {
		segment, tail, more := strings.Cut(rest, "/")
		rest = tail
		if segment == "" { // in front of the first slash, or repeated slashes
			continue
		}
		if rule, denied := p.deniedSegment(segment, first, !more); denied {
			return rule, true
		}
		first = false
	}
	return "", false
}

// deniedTarget is denied for the real path that urlPath led to through symbolic links: a link notes.txt must not serve .env,
// nor the source of a script. Folders that lie above the document root as well are none of the link's. Some folders with a
// dot are only a way to lay files out: those that begin with two (..data of Kubernetes' volumes) and .pnpm.
func (p *protection) deniedTarget(root, real, urlPath string) (rule string, denied bool) {
	if p == nil {
		return "", false
	}
	common := 0 // up to the slash behind the last folder that both have
	for i := 0; i < len(real) && i < len(root) && real[i] == root[i]; i++ {
		if os.IsPathSeparator(real[i]) {
			common = i + 1
		}
	}
	if below(root, real) {
		common = len(root)
	}
	rest, more := filepath.ToSlash(real[common:]), true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" || more && (strings.HasPrefix(segment, "..") || segment == ".pnpm" || segment == wellKnown) {
			continue
		}
		if rule, denied := p.deniedSegment(segment, false, false); denied {
			return rule, true
		}
		if !more && !p.isScript(urlPath) && p.isSource(appendFolded(nil, segment)) {
			return ruleSource, true
		}
	}
	return "", false
}

// deniedSegment is denied for one segment of a path.
func (p *protection) deniedSegment(segment string, first, last bool) (string, bool) {
	if segment[0] == '.' && (!first || segment != wellKnown) {
		return ruleDotfile, true
	}
	var stack [256]byte // NAME_MAX is 255: only foreign file systems need more
	name := appendFolded(stack[:0], segment)
	if pattern, ok := p.names[string(name)]; ok {
		return pattern, true
	}
	if first {
		if pattern, ok := p.topNames[string(name)]; ok {
			return pattern, true
		}
	}
	dot := lastDot(name)
	if dot >= 0 {
		if pattern, ok := p.extensions[string(name[dot:])]; ok {
			return pattern, true
		}
		if last && p.isSource(name) && !p.isScript(segment) {
			return ruleSource, true
		}
	}
	for i := range p.globs {
		g := &p.globs[i]
		if (first || !g.top) && g.match(name, dot >= 0) {
			return g.pattern, true
		}
	}
	return "", false
}

// isSource reports whether any extension of name, which is folded, is one of a
// script: x.php.gz is as readable as x.php.
func (p *protection) isSource(name []byte) bool {
	dot := lastDot(name)
	if dot < 0 || slices.Contains(pageExtensions, string(name[dot:])) {
		return false
	}
	for end := len(name); dot >= 0; end, dot = dot, lastDot(name[:dot]) {
		if p.sources[string(name[dot:end])] {
			return true
		}
	}
	return false
}

// pageExtensions are those of what is made for browsers and is no copy of the
// script that it has in its name.
var pageExtensions = []string{".html", ".htm", ".css", ".js", ".mjs", ".map", ".svg", ".png"}

// isScript reports whether name ends in a script extension, exactly.
func (p *protection) isScript(name string) bool {
	for _, ext := range p.scripts {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

func lastDot(name []byte) int {
	for i, n := range slices.Backward(name) {
		if n == '.' {
			return i
		}
	}
	return -1
}

// appendFolded appends s in lower case as far as ASCII goes, with the two
// other characters whose simple case folding (Unicode CaseFolding.txt) is an
// ASCII letter: U+017F is s and U+212A is k.
func appendFolded(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c == 0xC5 && strings.HasPrefix(s[i:], "\u017f"):
			b = append(b, 's')
			i++
		case c == 0xE2 && strings.HasPrefix(s[i:], "\u212a"):
			b = append(b, 'k')
			i += 2
		default:
			b = append(b, c)
		}
	}
	return b
}

func asciiLower(s string) string { return string(appendFolded(nil, s)) }

// globMatch matches name against a pattern of literal bytes, * and ?, in time
// linear in len(glob)*len(name): only the last star is ever tried again.
func globMatch(glob string, name []byte) bool {
	g, n := 0, 0
	star, retry := -1, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, retry = g, n
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == name[n]):
			g++
			n++
		case star >= 0:
			retry++
			g, n = star+1, retry
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}
