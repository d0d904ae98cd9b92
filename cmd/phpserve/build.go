package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
	"github.com/phpserve/phpserve/server/certs"
	"github.com/phpserve/phpserve/server/site"
)

// plan is everything that "run" needs and "check" checks.
type plan struct {
	config  server.Config
	pools   []plannedPool // in the order of config.Pools
	rootWhy string
	file    string
	output  map[string]workerOutput // by pool

	fpm      string   // the configuration of php-fpm that the pools are from; empty: none
	warnings []string // about the pools
	wrong    []error  // about the pools, and located
}

// phpFinder is [manager.FindPHP] or a test's.
type phpFinder func(ctx context.Context, want, siteDir string) (php *manager.PHP, why string, err error)

// rootConfigured says of a document root that it is a setting.
const rootConfigured = "by configuration"

// makePlan turns settings into a server's configuration; dir is the argument of the command, empty if none.
func makePlan(ctx context.Context, s settings, l *loader, dir string, findPHP phpFinder) (*plan, error) {
	p := &plan{config: server.DefaultConfig(), file: l.file, output: map[string]workerOutput{}}
	if err := p.serverConfig(&s, l); err != nil {
		return nil, &configError{err}
	}
	first := s.Site
	if dir != "" {
		first.Root, p.rootWhy = named(dir), "as asked for"
	} else if first.Root != "" {
		first.Root, p.rootWhy = named(l.relative("root", first.Root)), rootConfigured
	} else {
		root, why, err := guessRoot(".", first.Index)
		if err != nil {
			return nil, &configError{err}
		}
		first.Root, p.rootWhy = named(root), why
	}
	if err := p.addSites(&s, first, l); err != nil {
		return nil, &configError{err}
	}
	if err := p.makePools(&s, l); err != nil {
		return nil, err
	}
	if err := errors.Join(append(p.wrong, l.locate(p.config.Validate()))...); err != nil {
		return nil, &configError{err}
	}
	p.warnings = append(p.warnings, p.config.CertificateWarnings()...)
	if err := p.canEnter(l); err != nil {
		return nil, err
	}
	if err := p.findPHPs(ctx, l, findPHP); err != nil {
		return nil, err
	}
	return p, nil
}

// named is a folder with a name that tells which it is: of "." or "../.." a message would say nothing.
func named(dir string) string {
	if clean := filepath.Clean(dir); clean == "." || clean == ".." || strings.HasPrefix(clean, ".."+string(filepath.Separator)) {
		return absolute(dir)
	}
	return dir
}

// warn logs what is odd about the pools.
func (p *plan) warn(logger *slog.Logger) {
	for _, text := range p.warnings {
		logger.Warn(text) //nolint:sloglint // php-fpm's words
	}
}

// canEnter says whether the users of the pools can read what they have to.
func (p *plan) canEnter(l *loader) error {
	for i := range p.config.Pools {
		// Everybody can read the root folder: it is the user that is wrong.
		if err := p.config.Pools[i].CanEnter(string(filepath.Separator)); err != nil {
			return &configError{l.locate(err)}
		}
	}
	for i := range p.config.Sites {
		site := &p.config.Sites[i]
		pool := p.poolOf(site)
		if err := pool.CanEnter(site.Root); err != nil {
			err = fmt.Errorf("cannot serve %s: %w", site.Root, err)
			if where := p.whereRoot(i, l); where != "" {
				err = fmt.Errorf("%s: %w", where, err)
			}
			return &configError{&hintError{
				err, "make that folder one that this user can enter (chmod, chgrp), name another user with --user, or insist on root with --allow-root",
			}}
		}
		p.warnings = append(p.warnings, unreadable(site, pool)...)
	}
	return nil
}

// whereRoot says which source the document root of a site came from; empty if it was guessed or is the argument of the command.
func (p *plan) whereRoot(i int, l *loader) string {
	switch {
	case i > 0:
		return l.where(fmt.Sprintf("sites[%d].", i-1), "root")
	case p.rootWhy == rootConfigured:
		return l.where("", "root")
	}
	return ""
}

// unreadable says which of a site's index files and its front controller PHP's user cannot read: they get 403.
func unreadable(s *site.Config, pool *manager.PoolConfig) (warnings []string) {
	names := append([]string{s.FrontController}, s.Index...)
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		if err := pool.CanRead(filepath.Join(s.Root, name)); err != nil {
			warnings = append(warnings, fmt.Sprintf("%s gets 403: %v", name, err))
		}
	}
	return warnings
}

// wantedPHP is what the setting php, set by key, says: a version, a path, or a name to be found on PATH.
func wantedPHP(php, key string, l *loader) string {
	if strings.ContainsAny(php, `/\`) {
		if path := l.relative(key, php); strings.ContainsAny(path, `/\`) {
			return path
		}
		return "./" + filepath.Base(php) // not a name to look for
	}
	if php != "" && strings.Trim(php, "0123456789.") != "" {
		if path, err := exec.LookPath(php); err == nil {
			return path
		}
	}
	return php
}

// serverConfig takes over the keys of the server itself.
func (p *plan) serverConfig(s *settings, l *loader) error {
	c := &p.config
	c.Listen, c.RequestIDHeader, c.ErrorPages = s.Listen, s.RequestIDHeader, s.ErrorPages
	c.Admin, c.AdminToken = s.Admin, s.AdminToken
	c.HeaderTimeout, c.BodyTimeout = time.Duration(s.HeaderTimeout), time.Duration(s.BodyTimeout)
	c.WriteTimeout, c.IdleTimeout = time.Duration(s.WriteTimeout), time.Duration(s.IdleTimeout)
	c.MaxConnections = s.MaxConnections
	c.MaxHeaderBytes, c.ProcessControlTimeout = int(s.MaxHeaderSize), time.Duration(s.ProcessControl)
	c.ProcessMax, c.EmergencyRestartThreshold, c.EmergencyRestartInterval = s.ProcessMax, s.CrashThreshold, time.Duration(s.CrashInterval)
	c.SpoolMemory, c.SpoolMemoryTotal = int64(s.SpoolMemory), int64(s.SpoolTotal)
	c.SpoolDisk, c.SpoolResponses, c.SpoolBodies = int64(s.SpoolDisk), int64(s.SpoolResponses), int64(s.SpoolBodies)
	c.SpoolDir = l.relative("spool.dir", s.SpoolDir)
	c.AccessLog, c.AccessFormat = s.AccessLog, s.AccessFormat
	if c.AccessLog != "-" && c.AccessLog != "off" {
		c.AccessLog = l.relative("access.log", c.AccessLog)
	}
	c.TLS.Auto, c.TLS.Email, c.TLS.CA, c.TLS.Redirect = s.TLS.Auto, s.TLS.Email, s.TLS.CA, s.TLS.Redirect
	c.TLS.CARoot, c.TLS.Storage = l.relative("tls::ca_root", s.TLS.CARoot), l.relative("tls::storage", s.TLS.Storage)
	c.TLS.RedirectPort, c.TLS.Challenges = s.TLS.RedirectPort, s.TLS.Challenges
	for _, cert := range s.TLS.Certificates {
		c.TLS.Certificates = append(c.TLS.Certificates, certs.File{
			Cert: l.relative("tls::certificates", cert.Cert), Key: l.relative("tls::certificates", cert.Key),
		})
	}
	var errs []error
	for _, text := range s.Proxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: trusted_proxies: %q must be an address or a network such as 10.0.0.0/8", l.where("", "trusted_proxies"), text))
			continue
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix.Masked())
	}
	return errors.Join(errs...)
}

// addSites adds the first site and those of the list, which inherit the keys that they lack.
func (p *plan) addSites(s *settings, first siteSettings, l *loader) error {
	all := []siteSettings{first}
	for i, entry := range s.Sites {
		values, ok := entry.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: sites[%d] is not a mapping", l.where("", "sites"), i)
		}
		site := first
		site.Root, site.Hosts = "", nil
		if err := l.decode(values, &site, fmt.Sprintf("sites[%d].", i)); err != nil {
			return err
		}
		if site.Root == "" || len(site.Hosts) == 0 {
			return fmt.Errorf("%s: sites[%d] needs root and hosts", l.where("", "sites"), i)
		}
		site.Root = named(l.relative("sites", site.Root))
		all = append(all, site)
	}
	for i, site := range all {
		where := p.whereRoot(i, l)
		if err := checkRoot(&site); err != nil && where != "" {
			hint := hintFor(err)
			if !exists(site.Root) {
				hint = "root is the folder that holds index.php"
			}
			return &hintError{fmt.Errorf("%s: %w", where, err), hint}
		}
		c, err := siteConfig(&site)
		if err != nil {
			return l.locate(err)
		}
		if odd, hint, grave := oddRoot(&site); grave && where == "" {
			return &hintError{fmt.Errorf("cannot serve %s: %s", site.Root, odd), hint}
		} else if grave {
			p.warnings = append(p.warnings, fmt.Sprintf("%s: odd document root %s: %s", where, site.Root, odd))
		} else if odd != "" {
			p.warnings = append(p.warnings, odd)
		}
		p.warnings = append(p.warnings, c.LinkWarnings()...)
		p.config.Sites = append(p.config.Sites, c)
	}
	return nil
}

// siteConfig checks a site's folder and resolves its front controller.
func siteConfig(s *siteSettings) (site.Config, error) {
	c := site.Config{
		Hosts: s.Hosts, Index: s.Index, PathInfo: s.PathInfo, ScriptExtensions: s.ScriptExtensions, CGI: s.CGI,
		ResolveSymlinks: s.ResolveSymlinks, FollowSymlinks: string(s.FollowSymlinks), Deny: s.Deny,
		Charset: s.Charset, Types: s.Types, MaxBodySize: int64(s.MaxBodySize), Env: s.FastCGIParam, Pool: strings.ToLower(s.Pool),
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("[site %s] "+format, append([]any{c.Name()}, args...)...)
	}
	if err := checkRoot(s); err != nil {
		return c, err
	}
	root, err := filepath.Abs(s.Root)
	if err != nil {
		return c, fmt.Errorf("cannot serve %s: %v", s.Root, err)
	}
	c.Root = root
	switch s.FrontController {
	case frontOff, "":
	case frontAuto:
		if exists(filepath.Join(root, "index.php")) {
			c.FrontController = "index.php"
		}
	default:
		rel := s.FrontController
		if filepath.IsAbs(rel) {
			if rel, err = filepath.Rel(root, rel); err != nil {
				return c, bad("front_controller: cannot use %q: %v", s.FrontController, err)
			}
		}
		if !filepath.IsLocal(rel) || !exists(filepath.Join(root, rel)) {
			return c, &hintError{
				bad("front_controller: cannot use %q: there is no such file in %s", s.FrontController, root),
				"front_controller is a script inside the document root, auto, or off",
			}
		}
		c.FrontController = filepath.ToSlash(filepath.Clean(rel))
	}
	switch s.MissingFiles {
	case missingNotFound:
		c.MissingFiles = s.FileExtensions
	case missingAuto:
		if s.FrontController == frontAuto && frameworkOf(root) == "" {
			c.MissingFiles = s.FileExtensions
		}
	case missingFront:
	default:
		return c, bad("missing_files must be one of %s, %s, %s, not %q", missingAuto, missingFront, missingNotFound, s.MissingFiles)
	}
	return c, nil
}
