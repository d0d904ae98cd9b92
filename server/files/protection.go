package files

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// wellKnown is the only folder with a leading dot that is served: RFC 8615,
// and where ACME's HTTP-01 challenge lives (RFC 8555 section 8.3).
const wellKnown = ".well-known"

// Protection decides which files of a document root are never served.
//
// An entry is compared, without regard to ASCII case, with each segment of a path; * stands for any characters and ? for
// one. An entry that starts with a slash is compared with the first segment only. An entry "!X" takes the entry X off that
// stands before it, and "@default" stands for the default list (denied.go). Apart from that the order means nothing: what
// any entry denies is denied.
//
// Three rules hold without an entry and cannot be configured away: a segment that starts with a dot is never served, except
// /.well-known/; neither is the source of anything that looks like PHP (.inc, .phar, .phtml, .PHP, ...) and is not one of the
// site's script extensions, or a copy of one (isSource).
type Protection struct {
	extensions map[string]denyRule // "*.ext" entries by ".ext"
	names      map[string]denyRule // entries without wildcards
	topNames   map[string]denyRule // the same, first segment only
	// The other entries, by what they are to be compared with: folders, files, and those of the files that are assets or run.
	folderGlobs, fileGlobs, sparedGlobs []globRule

	scripts       []string        // script extensions that go to PHP, as configured
	sources       map[string]bool // lower-case extensions never sent as text
	longestSource int
	copyWords     map[string]bool
	assets        map[string]bool

	// isComposers says whether /vendor/ is Composer's folder now. It is asked for URLs below that folder only. Nil: it is.
	IsComposers func() bool
}

// denyRule is an entry at work.
type denyRule struct {
	entry          string // as configured, for messages
	files, folders bool   // what it is about
	spares         bool   // it concerns neither assets nor scripts that are run
	composers      bool   // it holds only if /vendor/ is Composer's folder
}

// and is the rule that holds where both do.
func (r denyRule) and(more denyRule) denyRule {
	if r.entry == "" {
		return more
	}
	r.files, r.folders = r.files || more.files, r.folders || more.folders
	r.spares, r.composers = r.spares && more.spares, r.composers && more.composers
	return r
}

// globRule is a pattern that needs a real match.
type globRule struct {
	denyRule
	glob string // lower case
	top  bool

	// What a name must have for the glob to match at all, 0 and false for
	// nothing: most names fail one of these, which spares them the match.
	first, last byte
	dot         bool
}

func newGlobRule(glob string, top bool, rule denyRule) globRule {
	g := globRule{denyRule: rule, glob: glob, top: top, dot: strings.Contains(glob, ".")}
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

// NewProtection compiles entries that DenyRules has accepted. scriptExtensions are the extensions that PHP runs, with
// their dot; they are compared exactly, so that .PHP next to .php is neither run nor shown.
func NewProtection(entries, scriptExtensions []string) *Protection {
	p := &Protection{
		extensions: map[string]denyRule{},
		names:      map[string]denyRule{},
		topNames:   map[string]denyRule{},
		scripts:    scriptExtensions,
		sources:    setOf(strings.Fields(".php .php3 .php4 .php5 .php6 .php7 .php8 .phps .phpt .pht .phtml .phar .inc")),
		copyWords:  setOf(copyWords()),
		assets:     setOf(assetExtensions()),
	}
	for _, ext := range scriptExtensions {
		p.sources[Lower(ext)] = true
	}
	for ext := range p.sources {
		p.longestSource = max(p.longestSource, len(ext))
	}
	rules, _ := DenyRules(entries)
	for _, r := range rules {
		p.add(r)
	}
	return p
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

// DenyRules are the rules of a list of entries. The errors are about those that cannot work: an administrator who writes one
// must hear of it.
func DenyRules(entries []string) (rules []denyRule, errs []error) {
	for _, entry := range entries {
		name, off := strings.CutPrefix(entry, "!")
		switch {
		case entry == DenyDefault:
			rules = append(rules, defaultRules()...)
		case off:
			n := len(rules)
			rules = slices.DeleteFunc(rules, func(r denyRule) bool {
				return Lower(strings.TrimSuffix(r.entry, "/")) == Lower(strings.TrimSuffix(name, "/"))
			})
			if len(rules) == n {
				errs = append(errs, fmt.Errorf("cannot take %q off: no entry before it is %q; one is taken off by its own text, such as \"!*.log\"", entry, name))
			}
		default:
			if err := validDenyPattern(entry); err != nil {
				errs = append(errs, err)
				continue
			}
			rules = append(rules, denyRule{entry: entry, files: true, folders: true})
		}
	}
	return rules, errs
}

// defaultRules are those of the default list.
func defaultRules() (rules []denyRule) {
	spares := func(entry string) bool {
		return strings.ContainsAny(strings.TrimPrefix(entry, "*."), "*?")
	}
	for _, g := range defaultDenied() {
		for entry := range strings.FieldsSeq(g.files) {
			rules = append(rules, denyRule{entry: entry, files: true, spares: spares(entry)})
		}
		for entry := range strings.FieldsSeq(g.folders) {
			rules = append(rules, denyRule{entry: strings.TrimSuffix(entry, "/") + "/", folders: true, composers: entry == deniedComposer})
		}
	}
	return rules
}

// validDenyPattern says what is wrong with an entry that is a pattern.
func validDenyPattern(pattern string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(pattern, "/"), "/")
	switch {
	case strings.HasPrefix(pattern, "@"):
		return fmt.Errorf("cannot use deny pattern %q: the only list with a name is %s", pattern, DenyDefault)
	case name == "" || strings.Contains(name, "/"):
		return fmt.Errorf("cannot use deny pattern %q: want the pattern of one name, such as *.bak, or of a top folder, such as /vendor/", pattern)
	case strings.Trim(name, "*?") == "":
		return fmt.Errorf("cannot use deny pattern %q: it matches everything", pattern)
	}
	return nil
}

// add compiles one rule into the cheapest of the forms.
func (p *Protection) add(r denyRule) {
	name, top := strings.CutPrefix(Lower(r.entry), "/")
	name = strings.TrimSuffix(name, "/")
	wild := strings.ContainsAny(name, "*?")
	ext, isExt := strings.CutPrefix(name, "*.")
	switch {
	case !wild && top:
		p.topNames[name] = p.topNames[name].and(r)
	case !wild:
		p.names[name] = p.names[name].and(r)
	case isExt && !top && !strings.ContainsAny(ext, "*?."):
		p.extensions["."+ext] = p.extensions["."+ext].and(r)
	default:
		g := newGlobRule(name, top, r)
		if r.folders {
			p.folderGlobs = append(p.folderGlobs, g)
		}
		if r.files {
			p.fileGlobs = append(p.fileGlobs, g)
		}
		if r.files && !r.spares {
			p.sparedGlobs = append(p.sparedGlobs, g)
		}
	}
}

// Denied reports whether the file, or the folder, at urlPath must not be served,
// and by which rule. urlPath is a result of CleanPath that names a file or a script; the
// PATH_INFO behind a script is data (/wiki.php/.htaccess is a page title) and
// must be cut off first. The answer to the client is 404, as if the file did
// not exist.
//
// Full-width and other compatibility forms of letters (GHSA-v4h7-cj44-8fc8)
// are different letters here and on every file system: shell.．php is no
// script, and a plain file only if one of that very name exists. The two
// letters outside ASCII that case-insensitive file systems do take for ASCII
// ones, the long s and the Kelvin sign, are folded.
func (p *Protection) Denied(urlPath string, folder bool) (rule string, denied bool) {
	first := true
	for rest := urlPath; rest != ""; {
		segment, tail, more := strings.Cut(rest, "/")
		rest = tail
		if segment == "" { // in front of the first slash, or repeated slashes
			continue
		}
		if rule, denied := p.deniedSegment(segment, first, more || folder); denied {
			return rule, true
		}
		first = false
	}
	return "", false
}

// deniedTarget is denied for the real path that urlPath led to through symbolic links: a link notes.txt must not serve .env,
// nor the source of a script. Folders that lie above the document root as well are none of the link's. Some folders with a
// dot are only a way to lay files out: those that begin with two (..data of Kubernetes' volumes) and .pnpm.
func (p *Protection) deniedTarget(root, real, urlPath string, folder bool) (rule string, denied bool) {
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
		rule, denied := p.deniedSegment(segment, false, more || folder)
		if !denied && !more && !folder && !p.isScript(urlPath) && p.isSource(appendFolded(nil, segment)) {
			rule, denied = ruleSource, true // a script, which would be sent as it is
		}
		if denied && (rule != ruleSource || !p.isScript(urlPath)) {
			return rule, true
		}
	}
	return "", false
}

// deniedSegment is denied for one segment of a path.
func (p *Protection) deniedSegment(segment string, first, folder bool) (string, bool) {
	if segment[0] == '.' && (!first || segment != wellKnown) {
		return ruleDotfile, true
	}
	var stack [256]byte // NAME_MAX is 255: only foreign file systems need more
	name := bytes.TrimRight(appendFolded(stack[:0], segment), ". ")
	if len(name) == 0 {
		return "", false
	}
	if r, ok := p.names[string(name)]; ok && p.holds(r, folder) {
		return r.entry, true
	}
	if first {
		if r, ok := p.topNames[string(name)]; ok && p.holds(r, folder) {
			return r.entry, true
		}
	}
	dot := lastDot(name)
	if dot >= 0 {
		if r, ok := p.extensions[string(name[dot:])]; ok && p.holds(r, folder) {
			return r.entry, true
		}
		if !folder && p.isSource(name) && !p.isScript(segment) {
			return ruleSource, true
		}
	}
	globs := p.fileGlobs
	switch {
	case folder:
		globs = p.folderGlobs
	case dot >= 0 && (p.isScript(segment) || p.isAsset(name)):
		globs = p.sparedGlobs
	}
	for i := range globs {
		if g := &globs[i]; (first || !g.top) && g.match(name, dot >= 0) {
			return g.entry, true
		}
	}
	return "", false
}

// holds says whether a rule whose name matches concerns this file or folder.
func (p *Protection) holds(r denyRule, folder bool) bool {
	if folder && !r.folders || !folder && !r.files {
		return false
	}
	return !r.composers || p.IsComposers == nil || p.IsComposers()
}

// isScript reports whether name ends in a script extension, exactly.
func (p *Protection) isScript(name string) bool {
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

// Lower is s in lower case as far as ASCII goes, see appendFolded.
func Lower(s string) string { return string(appendFolded(nil, s)) }

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
