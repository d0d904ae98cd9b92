package site

import (
	"fmt"
	"strings"

	"github.com/phpserve/phpserve/internal/spelling"
	"github.com/phpserve/phpserve/server/files"
)

// How a URL may continue behind a script's name (Config.PathInfo).
const (
	PathInfoAuto     = "auto"     // /script.php/more runs script.php with PATH_INFO=/more
	PathInfoOff      = "off"      // /script.php/more is no script
	PathInfoRequired = "required" // as auto, and the front controller gets the whole URL path as its PATH_INFO
)

// Which variables a script gets (Config.CGI).
const (
	CGIPHP     = "php"     // what PHP applications expect
	CGIRFC3875 = "rfc3875" // those of RFC 3875 with its meaning, and the few that php-cgi needs
)

// Config is one site: some host names and the folder that is served for them.
type Config struct {
	// Hosts are the site's host names, without port; *.example.com stands for one more label. None: any host.
	Hosts []string
	// Root is the document root.
	Root string
	// FrontController is the script, relative to Root, for URLs that name no file. Empty: none.
	FrontController string
	// MissingFiles are the endings of URLs that look like files: where there is no such file they get 404, and the front
	// controller is not asked. Empty: it is asked for every URL.
	MissingFiles []string
	// Index are the file names tried for a folder, in order.
	Index []string
	// PathInfo is "auto", "off" or "required".
	PathInfo string
	// ScriptExtensions are the endings of scripts that are run (security.limit_extensions of php-fpm), exact in case.
	ScriptExtensions []string
	// CGI is "php" or "rfc3875".
	CGI string
	// ResolveSymlinks gives PHP the real paths, so that a switched release link never runs old code.
	ResolveSymlinks bool
	// FollowSymlinks is "owner", "yes" or "no": whether symbolic links that lead out of Root are followed.
	FollowSymlinks string
	// Deny are entries of what is never served: patterns of names, DenyDefault, and "!" with an entry to take off.
	Deny []string
	// Charset is the character encoding that text files are labelled with, such as utf-8. Empty: none, the browser decides.
	Charset string
	// Types are media types by extension, such as .odg=application/vnd.oasis.opendocument.graphics, which outrank the
	// table of mime-db.
	Types []string
	// MaxBodySize limits a request's body in bytes; a longer one gets 413. Zero: no limit.
	MaxBodySize int64
	// Env is NAME=VALUE given to every script as a CGI variable.
	Env []string
	// Pool is the name of the pool that runs the site's scripts.
	Pool string
}

// DefaultConfig returns a site without its root.
func DefaultConfig() Config {
	return Config{
		Index:    []string{"index.php", "index.html"},
		PathInfo: PathInfoAuto, CGI: CGIPHP, FollowSymlinks: files.FollowOwner,
		ScriptExtensions: []string{".php"},
		Deny:             []string{files.DenyDefault},
		MaxBodySize:      128 << 20,
		Pool:             "www",
	}
}

// Validate reports every value that cannot work. spoolBodies is what all request bodies may take together, 0 for no limit; hasPool
// knows the names of the pools.
func (s *Config) Validate(spoolBodies int64, hasPool func(string) bool) (errs []error) {
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("[site %s] "+format, append([]any{s.Name()}, args...)...))
	}
	oneOf := func(key, value string, allowed ...string) {
		var wrong []error
		spelling.OneOf(&wrong, key, value, allowed...)
		for _, err := range wrong {
			bad("%w", err)
		}
	}
	if s.Root == "" {
		bad("root is not set")
	}
	oneOf("path_info", s.PathInfo, PathInfoAuto, PathInfoOff, PathInfoRequired)
	oneOf("follow_symlinks", s.FollowSymlinks, files.FollowOwner, files.FollowYes, files.FollowNo)
	oneOf("cgi", s.CGI, CGIPHP, CGIRFC3875)
	if s.MaxBodySize < 0 {
		bad("max_body_size must be 0 (no limit) or greater, not %d", s.MaxBodySize)
	}
	if spoolBodies > 0 && s.MaxBodySize > spoolBodies {
		bad("spool.bodies, which is %d for all bodies together, must be 0 (no limit) or at least max_body_size, %d",
			spoolBodies, s.MaxBodySize)
	}
	if err := files.ValidCharset(s.Charset); err != nil {
		bad("%v", err)
	}
	for _, entry := range s.Types {
		if _, _, err := files.ParseType(entry); err != nil {
			bad("%v", err)
		}
	}
	if len(s.ScriptExtensions) == 0 {
		bad("script_extensions must name at least one, such as .php")
	}
	for _, ext := range s.MissingFiles {
		if len(ext) < 2 || ext[0] != '.' || strings.ContainsAny(ext[1:], "./\\ ") {
			bad("file_extensions: %q must be a dot and letters, such as .css", ext)
		}
	}
	for _, ext := range s.ScriptExtensions {
		if len(ext) < 2 || ext[0] != '.' || strings.ContainsAny(ext[1:], "./\\") {
			bad("script_extensions: %q must be a dot and letters, such as .php", ext)
		}
	}
	for _, kv := range s.Env {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.ContainsRune(kv, 0) {
			bad("fastcgi_param %q must be NAME=VALUE", kv)
		}
	}
	_, denyErrs := files.DenyRules(s.Deny)
	for _, err := range denyErrs {
		bad("deny: %v", err)
	}
	for _, h := range s.Hosts {
		if !validPattern(h) {
			bad("hosts: %q must be a host name without port, or *.example.com", h)
		}
	}
	if !hasPool(s.Pool) {
		bad("there is no pool %q", s.Pool)
	}
	return errs
}

// Name is how messages call the site.
func (s *Config) Name() string {
	if len(s.Hosts) > 0 {
		return s.Hosts[0]
	}
	return "default"
}
