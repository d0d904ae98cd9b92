package server

import (
	"encoding/hex"
	"strings"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/safefile"
)

// fpmScriptConfig is how the script of a web server's request is found, as php-fpm does (fpm_main.c:init_request_info).
type fpmScriptConfig struct {
	// FixPathinfo is cgi.fix_pathinfo: what follows the name of a script is its PATH_INFO. False: SCRIPT_FILENAME is taken as it
	// is.
	FixPathinfo bool
	// DiscardPath is cgi.discard_path: with FixPathinfo off, PATH_TRANSLATED does not name the script.
	DiscardPath bool
	// DocRoot is doc_root of php.ini, in the place of a DOCUMENT_ROOT that is not sent.
	DocRoot string
	// LimitExtensions is security.limit_extensions. Empty: any.
	LimitExtensions []string
	// Chdir is the folder for a request that names neither script nor DOCUMENT_ROOT.
	Chdir string
	// Root is the folder that the paths of requests begin in and do not leave, the pool's chroot. Nil: the root folder.
	Root *safefile.Root
	// Pool knows for which scripts php_admin_value holds by itself.
	Pool *manager.PoolConfig
	// Admin says that the pool has a php_admin_value.
	Admin bool
	// As is whom PHP runs as: what that user cannot see is not there.
	As *manager.Identity
	// Cache remembers scripts that are there. Nil: none are.
	Cache *scriptCache
}

// fpmScript is what a request runs.
type fpmScript struct {
	Filename string // as PHP has it, inside a chroot
	URI      string // SCRIPT_NAME; php-fpm's request_uri
}

// fpmRefusal is php-fpm's answer where there is no script to run.
type fpmRefusal struct {
	Status           int
	StatusText, Body string
	Stderr           string // for the web server's log
	Log              string // for our own; empty: nothing
	Error            bool   // Log is an error
	Unreadable       bool   // PHP's user may not open the script
}

const iis = "Microsoft-IIS"

// apacheSchemes are how mod_proxy_fcgi and mod_proxy_balancer begin SCRIPT_FILENAME.
var apacheSchemes = []string{"proxy:fcgi://", "proxy:balancer://"}

// fpmSearch is the search for one request's script. The fields are what fpm_main.c calls env_*, nil where it is not sent.
type fpmSearch struct {
	c      *fpmScriptConfig
	p      *fpmParams
	apache bool

	file                                   *string // SCRIPT_FILENAME
	scriptName, info, translated, redirect *string // SCRIPT_NAME, PATH_INFO, PATH_TRANSLATED, REDIRECT_URL
	uri                                    *string
}

// resolve finds the script and has the parameters be what php-fpm would show to it. Those that php-cgi would act on once more
// are hidden from it.
func (c *fpmScriptConfig) resolve(p *fpmParams) (fpmScript, *fpmRefusal) {
	s := &fpmSearch{c: c, p: p}
	s.file, s.scriptName, s.info = s.get("SCRIPT_FILENAME"), s.get("SCRIPT_NAME"), s.get("PATH_INFO")
	s.translated, s.redirect = s.get("PATH_TRANSLATED"), s.get("REDIRECT_URL")
	if s.file == nil && s.translated == nil {
		s.byDocumentRoot()
	}
	work := s.file
	if work == nil {
		work = s.translated
	}
	var script *string
	if work != nil {
		s.mendIIS()
		script = s.find(*s.mendApache(work))
	}
	found := fpmScript{}
	if s.uri != nil {
		found.URI = *s.uri
	}
	if script == nil || !validScriptPath(*script) {
		return found, &fpmRefusal{Status: 404, StatusText: "Not Found", Body: "File not found.\n", Stderr: "Primary script unknown"}
	}
	found.Filename = *script
	if r := c.refuse(*script); r != nil {
		return found, r
	}
	s.name(*script)
	return found, nil
}

// name names the script to php-cgi, and nothing else that it would look for a script with. It has cgi.fix_pathinfo as the operator says.
// Off, it takes the script as php-fpm does. On, it looks whether there is more than the script's name, which there is not, and
// then takes PATH_INFO and PATH_TRANSLATED away where it sees a REDIRECT_URL (cgi_main.c:init_request_info).
func (s *fpmSearch) name(script string) {
	by, shown := "SCRIPT_FILENAME", script
	switch {
	case s.c.FixPathinfo:
		_, info := s.p.lookup("PATH_INFO")
		if _, translated := s.p.lookup("PATH_TRANSLATED"); info || translated {
			s.p.hide("REDIRECT_URL")
		}
	case s.file == nil || !s.c.DiscardPath && s.translated != nil:
		by = "PATH_TRANSLATED"
	}
	if s.c.adminNeedsSlash(s.p, script) {
		s.p.disguise(by, "/"+script, shown)
		return
	}
	s.p.set(by, script)
}

// adminNeedsSlash says whether php_admin_value, or PHP_ADMIN_VALUE, would not hold for a script under its own name: it is in a folder
// that was made after the pool, or that has an unusual name; or the pool is in a chroot and the values came with the request.
func (c *fpmScriptConfig) adminNeedsSlash(p *fpmParams, script string) bool {
	values := p.get("PHP_VALUE") != "" || p.get("PHP_ADMIN_VALUE") != ""
	switch {
	case strings.HasPrefix(script, "//"):
		return false
	case c.Root != nil && values:
		return true // see manager.PoolConfig.ClientValue
	case !c.Admin && p.get("PHP_ADMIN_VALUE") == "":
		return false
	}
	return !c.Pool.AdminHolds(script)
}

func (s *fpmSearch) get(name string) *string {
	if value, ok := s.p.lookup(name); ok {
		return &value
	}
	return nil
}

// byDocumentRoot names the script of a web server that sends only what RFC 3875 has (§4.1).
func (s *fpmSearch) byDocumentRoot() {
	root, ok := s.p.lookup("DOCUMENT_ROOT")
	if !ok {
		root = s.c.Chdir
	}
	if s.scriptName == nil || root == "" && s.c.Root == nil {
		return
	}
	file := strings.TrimSuffix(root, "/") + "/" + strings.TrimPrefix(*s.scriptName, "/")
	s.file = &file
	s.p.set("SCRIPT_FILENAME", file)
}

// mendIIS takes SCRIPT_NAME off a PATH_INFO of Microsoft's server.
func (s *fpmSearch) mendIIS() {
	if s.scriptName == nil || s.info == nil || !strings.HasPrefix(s.p.get("SERVER_SOFTWARE"), iis) {
		return
	}
	rest, ok := strings.CutPrefix(*s.info, *s.scriptName)
	if !ok {
		return
	}
	s.p.keep("PATH_INFO", *s.info)
	if s.info = nil; rest != "" {
		s.info = &rest
	}
	s.put("PATH_INFO", s.info)
}

// mendApache takes the proxy's URL off a SCRIPT_FILENAME of mod_proxy_fcgi, and its query.
func (s *fpmSearch) mendApache(work *string) *string {
	if s.file == nil {
		return work
	}
	for _, scheme := range apacheSchemes {
		if len(*s.file) < len(scheme) || !strings.EqualFold((*s.file)[:len(scheme)], scheme) {
			continue
		}
		path := *s.file
		if slash := strings.IndexByte(path[len(scheme):], '/'); slash >= 0 {
			path, s.apache = path[len(scheme)+slash:], true
		}
		path, _, _ = strings.Cut(path, "?")
		s.file = &path
		s.p.set("SCRIPT_FILENAME", path)
		return s.file
	}
	return work
}

// find returns the script that the path work stands for; nil if there is none.
func (s *fpmSearch) find(work string) *string {
	if !s.c.FixPathinfo {
		s.uri = s.scriptName
		if s.info != nil {
			s.uri = s.info
		}
		if !s.c.DiscardPath && s.translated != nil {
			return s.translated
		}
		return &work
	}
	if _, ok := s.p.lookup("DOCUMENT_ROOT"); !ok && s.c.DocRoot != "" {
		s.p.set("DOCUMENT_ROOT", s.c.DocRoot)
	}
	named := s.scriptName
	if !s.apache && s.translated != nil && s.redirect != nil && *s.translated != work {
		work, named = *s.translated, s.redirect
	}
	if work == "" || !strings.HasSuffix(work, "/") && s.c.exists(work) {
		return s.exact(work, named)
	}
	return s.strip(work, named)
}

// exact is for a path that is there.
func (s *fpmSearch) exact(work string, named *string) *string {
	s.changeFile(work)
	if !s.apache && s.redirect != nil {
		for name, value := range map[string]*string{"PATH_INFO": s.info, "PATH_TRANSLATED": s.translated} {
			if value != nil {
				s.p.keep(name, *value)
				s.p.remove(name)
			}
		}
	}
	s.changeName(named)
	return &work
}

// strip takes components off the end of a path until a file is left, which is the script.
func (s *fpmSearch) strip(work string, named *string) *string {
	for path := work; ; {
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			cut = strings.LastIndexByte(path, '\\')
		}
		if cut < 0 {
			break
		}
		if path = path[:cut]; !s.c.isFile(path) {
			continue
		}
		named = s.takePathInfo(work[len(path):], named)
		s.changeFile(path)
		s.translate(path, named)
		if s.uri == nil {
			s.changeName(named)
		}
		return &path
	}
	if s.file != nil {
		s.p.keep("SCRIPT_FILENAME", *s.file)
	}
	s.p.remove("SCRIPT_FILENAME")
	s.changeName(named)
	return nil
}

// takePathInfo has PATH_INFO be what was taken off the path, and SCRIPT_NAME what is in front of it.
func (s *fpmSearch) takePathInfo(tail string, named *string) *string {
	var info string
	switch {
	case s.apache:
		if info = tail; s.info != nil && *s.info == info {
			return named
		}
	case s.info != nil && len(*s.info) > len(tail): // else it would begin before PATH_INFO does (CVE-2019-11043)
		info = (*s.info)[len(*s.info)-len(tail):]
	default:
		return named
	}
	switch old := s.info; {
	case old != nil:
		s.p.keep("PATH_INFO", *old)
		front := *old
		if !s.apache { // there php-fpm cuts the path, not PATH_INFO
			front = front[:len(front)-len(tail)]
		}
		if s.scriptName == nil || *s.scriptName != front {
			if s.scriptName != nil {
				s.p.keep("SCRIPT_NAME", *s.scriptName)
			}
			s.p.set("SCRIPT_NAME", front)
		}
		s.uri = &front
	case s.apache && named != nil:
		if front, ok := withoutPathInfo(*named, info); ok {
			s.p.keep("SCRIPT_NAME", *s.scriptName)
			s.p.set("SCRIPT_NAME", front)
			s.uri, named = &front, &front
		}
	}
	s.info = &info
	s.p.set("PATH_INFO", info)
	return named
}

// withoutPathInfo takes a PATH_INFO off a SCRIPT_NAME. Apache's ProxyPass sends the path of the URL as the client wrote it, percent signs
// and all, while SCRIPT_NAME is decoded.
func withoutPathInfo(name, info string) (front string, ok bool) {
	for _, tail := range []string{info, rawURLDecode(info)} {
		if front, ok := strings.CutSuffix(name, tail); ok && front != "" {
			return front, true
		}
	}
	return "", false
}

// rawURLDecode decodes percent signs that two hexadecimal digits follow, and nothing else, as PHP's rawurldecode().
func rawURLDecode(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if b, err := hex.DecodeString(text[i+1 : i+3]); err == nil {
				decoded = append(decoded, b...)
				i += 2
				continue
			}
		}
		decoded = append(decoded, text[i])
	}
	return string(decoded)
}

// translate has PATH_TRANSLATED be where PATH_INFO would be below the document root.
func (s *fpmSearch) translate(path string, named *string) {
	root, ok := s.p.lookup("DOCUMENT_ROOT")
	switch {
	case ok:
		root = strings.TrimSuffix(root, "/")
	case named != nil && strings.Contains(path, *named):
		root = path[:len(path)-len(*named)]
	default:
		return
	}
	if s.translated != nil {
		s.p.keep("PATH_TRANSLATED", *s.translated)
	}
	if s.info != nil {
		root += *s.info
	}
	s.p.set("PATH_TRANSLATED", root)
}

// changeFile has SCRIPT_FILENAME be path and remembers what it was.
func (s *fpmSearch) changeFile(path string) {
	if s.file != nil && *s.file != path {
		s.p.keep("SCRIPT_FILENAME", *s.file)
	}
	s.p.set("SCRIPT_FILENAME", path)
}

// changeName has SCRIPT_NAME be name and remembers what it was.
func (s *fpmSearch) changeName(name *string) {
	s.uri = name
	if name == nil || s.scriptName != nil && *s.scriptName == *name {
		return
	}
	if s.scriptName != nil {
		s.p.keep("SCRIPT_NAME", *s.scriptName)
	}
	s.p.set("SCRIPT_NAME", *name)
}

func (s *fpmSearch) put(name string, value *string) {
	if value == nil {
		s.p.remove(name)
	} else {
		s.p.set(name, *value)
	}
}
