package site

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/files"
)

// Site is a [Config] at work.
type Site struct {
	// Config is what the site was opened with, its Root made absolute.
	Config Config
	// Root is the open document root, in which URLs are looked up; never nil.
	Root *files.Root
	// Static answers requests for its files that are no scripts; never nil.
	Static *files.Static
	// Refused are the symbolic links of the site that the log has told of. The zero value is ready.
	Refused files.RefusedLinks
	protect *files.Protection
	missing map[string]bool // Config.MissingFiles, in lower case; empty: the front controller answers for every URL
}

// Open opens the document root of a site, whose files are those that PHP's user can read.
func Open(cfg Config, as *manager.Identity) (*Site, error) {
	abs, err := filepath.Abs(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("[site %s] cannot use root %q: %v", cfg.Name(), cfg.Root, err)
	}
	cfg.Root = abs
	types, err := files.NewTypes(cfg.Types, cfg.Charset)
	if err != nil {
		return nil, fmt.Errorf("[site %s] %v", cfg.Name(), err)
	}
	protect := files.NewProtection(cfg.Deny, cfg.ScriptExtensions)
	root, err := files.OpenRoot(abs, files.Options{
		Links: files.LinksOf(cfg.FollowSymlinks), Protect: protect, ResolveSymlinks: cfg.ResolveSymlinks, As: as,
	})
	if err != nil {
		return nil, fmt.Errorf("[site %s] %v", cfg.Name(), err)
	}
	protect.IsComposers = func() bool { return isComposers(root) }
	missing := map[string]bool{}
	for _, ext := range cfg.MissingFiles {
		missing[files.Lower(ext)] = true
	}
	return &Site{
		missing: missing,
		Config:  cfg, Root: root,
		protect: protect, Static: files.NewStatic(root, types),
	}, nil
}

// isComposers says whether vendor/ in a document root is Composer's. It may become so at any time.
func isComposers(root *files.Root) bool {
	for _, sign := range []string{"/vendor/autoload.php", "/vendor/composer", "/composer.json"} {
		if _, err := root.Lookup(sign); err == nil || !isNotFound(err) {
			return true
		}
	}
	return false
}

// isScript says whether a file is run and not served.
func (s *Site) isScript(name string) bool {
	for _, ext := range s.Config.ScriptExtensions {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// Sites finds a request's site by its host name.
type Sites struct {
	exact    map[string]*Site
	wildcard map[string]*Site // by what follows the first label
	first    *Site
}

// ErrNoSites is the error of [NewSites] without any.
var ErrNoSites = errors.New("there must be at least one site")

// NewSites are the sites that a host name may mean. The first also answers for names that none of them claims, so there must be one:
// without any the error is [ErrNoSites].
func NewSites(all []*Site) (*Sites, error) {
	if len(all) == 0 {
		return nil, ErrNoSites
	}
	m := &Sites{exact: map[string]*Site{}, wildcard: map[string]*Site{}, first: all[0]}
	for _, s := range all {
		for _, h := range s.Config.Hosts {
			h = HostKey(h)
			if rest, ok := strings.CutPrefix(h, "*."); ok {
				m.wildcard[rest] = s
			} else {
				m.exact[h] = s
			}
		}
	}
	return m, nil
}

// Find returns the site for a host name without port, in any case (GHSA-x76f-jf84-rqj8).
func (m *Sites) Find(host string) *Site {
	if len(m.exact)+len(m.wildcard) == 0 {
		return m.first
	}
	host = HostKey(host)
	if s, ok := m.exact[host]; ok {
		return s
	}
	if _, rest, ok := strings.Cut(host, "."); ok {
		if s, ok := m.wildcard[rest]; ok {
			return s
		}
	}
	return m.first
}
