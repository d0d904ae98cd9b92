package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
)

// plan is everything that "run" needs and "check" checks.
type plan struct {
	config  server.Config
	php     *manager.PHP
	phpWhy  string
	rootWhy string
	userWhy string
	file    string

	fpm      string   // the configuration of php-fpm that the pools are from; empty: none
	warnings []string // about it
}

// phpFinder is [manager.FindPHP] or a test's.
type phpFinder func(ctx context.Context, want, siteDir string) (php *manager.PHP, why string, err error)

// makePlan turns settings into a server's configuration; dir is the argument of the command, empty if none.
func makePlan(ctx context.Context, s settings, l *loader, dir string, findPHP phpFinder) (*plan, error) {
	p := &plan{config: server.DefaultConfig(), file: l.file}
	if err := p.serverConfig(&s, l); err != nil {
		return nil, &configError{err}
	}
	first := s.Site
	if dir != "" {
		first.Root, p.rootWhy = dir, "as asked for"
	} else if first.Root != "" {
		first.Root, p.rootWhy = l.relative("root", first.Root), "by configuration"
	} else {
		root, why, err := guessRoot(".")
		if err != nil {
			return nil, &configError{err}
		}
		first.Root, p.rootWhy = root, why
	}
	if err := p.addSites(&s, first, l); err != nil {
		return nil, &configError{err}
	}
	if err := p.makePools(&s, l); err != nil {
		return nil, err
	}
	if err := p.config.Validate(); err != nil {
		return nil, &configError{l.locate(err)}
	}
	pool := p.config.Pools[0]
	if err := pool.CanEnter(string(filepath.Separator)); err != nil { // everybody can read that: it is the user that is wrong
		return nil, &configError{l.locate(err)}
	}
	for _, site := range p.config.Sites {
		if err := pool.CanEnter(site.Root); err != nil {
			return nil, &hintError{
				fmt.Errorf("cannot serve %s: %w", site.Root, err),
				"make the folder readable for that user, name another with --user, or insist on root with --allow-root",
			}
		}
	}
	want := wantedPHP(s.PHP, l)
	if version := fpmVersion.FindStringSubmatch(p.fpm); want == "" && version != nil {
		want = version[1]
	}
	php, why, err := findPHP(ctx, want, p.config.Sites[0].Root)
	if err != nil {
		return nil, err
	}
	p.php, p.phpWhy = php, why
	return p, nil
}

// makePools makes the pool of the settings, or those of fpm_config, the first of which then runs the sites' scripts.
func (p *plan) makePools(s *settings, l *loader) error {
	if s.FPM == "" {
		pool := poolConfig(&s.Pool)
		pool.Chdir = l.relative("chdir", pool.Chdir)
		p.chooseUser(&pool)
		p.config.Pools = []manager.PoolConfig{pool}
		return nil
	}
	p.fpm = l.relative("fpm_config", s.FPM)
	o := fpmOptions{config: p.fpm, allowRoot: s.Pool.AllowRoot, engine: cmp.Or(s.Pool.Engine, manager.EngineAuto)}
	var wrong []error
	conf, err := o.load(p.fpm, func(level fpmconf.Level, text string) {
		if level >= fpmconf.LevelError || level == fpmconf.LevelPlain {
			wrong = append(wrong, errors.New(strings.TrimSpace(text)))
		} else {
			p.warnings = append(p.warnings, text)
		}
	})
	if err != nil {
		return &configError{fmt.Errorf("cannot use fpm_config %s:\n%w", p.fpm, errors.Join(wrong...))}
	}
	config, err := o.serverConfig(conf)
	if err != nil {
		return &configError{err}
	}
	p.warnings = append(p.warnings, withoutEffect(conf)...)
	p.config.Pools, p.config.ProcessMax = config.Pools[:1], config.ProcessMax // the others would have nothing to do
	p.config.EmergencyRestartThreshold, p.config.EmergencyRestartInterval = config.EmergencyRestartThreshold, config.EmergencyRestartInterval
	if p.config.Pools[0].Chroot != "" {
		return &configError{fmt.Errorf("[pool %s] chroot: HTTP sites cannot be run in a chroot, only behind phpserve fpm", config.Pools[0].Name)}
	}
	for i := range p.config.Sites {
		p.config.Sites[i].Pool = p.config.Pools[0].Name
	}
	return nil
}

// wantedPHP is what the setting php says: a version, a path, or a name to be found on PATH.
func wantedPHP(php string, l *loader) string {
	if strings.ContainsAny(php, `/\`) {
		if path := l.relative("php", php); strings.ContainsAny(path, `/\`) {
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
	c.HeaderTimeout, c.BodyTimeout = time.Duration(s.HeaderTimeout), time.Duration(s.BodyTimeout)
	c.WriteTimeout, c.IdleTimeout = time.Duration(s.WriteTimeout), time.Duration(s.IdleTimeout)
	c.MaxHeaderBytes, c.ProcessControlTimeout = int(s.MaxHeaderSize), time.Duration(s.ProcessControl)
	c.SpoolMemory, c.SpoolDisk, c.SpoolBodies = int64(s.SpoolMemory), int64(s.SpoolDisk), int64(s.SpoolBodies)
	c.SpoolDir = l.relative("spool.dir", s.SpoolDir)
	c.AccessLog, c.AccessFormat = s.AccessLog, s.AccessFormat
	if c.AccessLog != "-" && c.AccessLog != "off" {
		c.AccessLog = l.relative("access.log", c.AccessLog)
	}
	c.TLS.Auto, c.TLS.Email, c.TLS.CA, c.TLS.Redirect = s.TLS.Auto, s.TLS.Email, s.TLS.CA, s.TLS.Redirect
	c.TLS.CARoot, c.TLS.Storage = l.relative("tls::ca_root", s.TLS.CARoot), l.relative("tls::storage", s.TLS.Storage)
	c.TLS.RedirectPort, c.TLS.Challenges = s.TLS.RedirectPort, s.TLS.Challenges
	for _, cert := range s.TLS.Certificates {
		c.TLS.Certificates = append(c.TLS.Certificates, server.CertificateFile{
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
		site.Root = l.relative("sites", site.Root)
		all = append(all, site)
	}
	for _, site := range all {
		c, err := siteConfig(&site)
		if err != nil {
			return err
		}
		p.config.Sites = append(p.config.Sites, c)
	}
	return nil
}

// siteConfig checks a site's folder and resolves its front controller.
func siteConfig(s *siteSettings) (server.SiteConfig, error) {
	c := server.SiteConfig{
		Hosts: s.Hosts, Index: s.Index, PathInfo: s.PathInfo, ScriptExtensions: s.ScriptExtensions, CGI: s.CGI,
		ResolveSymlinks: s.ResolveSymlinks, FollowSymlinks: s.FollowSymlinks, Deny: denyPatterns(s.Deny),
		MaxBodySize: int64(s.MaxBodySize), Env: s.FastCGIParam, Pool: "www",
	}
	if err := checkRoot(s.Root); err != nil {
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
				return c, fmt.Errorf("cannot use front controller %q: %v", s.FrontController, err)
			}
		}
		if !filepath.IsLocal(rel) || !exists(filepath.Join(root, rel)) {
			return c, &hintError{
				fmt.Errorf("cannot use front controller %q: there is no such file in %s", s.FrontController, root),
				"front_controller is a script inside the document root, auto, or off",
			}
		}
		c.FrontController = filepath.ToSlash(filepath.Clean(rel))
	}
	return c, nil
}

// denyDefault stands for the default list in deny, so that a site can add to it.
const denyDefault = "@default"

func denyPatterns(list []string) []string {
	var patterns []string
	for _, p := range list {
		if p == denyDefault {
			patterns = append(patterns, server.DefaultDeny()...)
		} else {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

func poolConfig(s *poolSettings) manager.PoolConfig {
	return manager.PoolConfig{
		Name: "www", Engine: s.Engine, User: s.User, Group: s.Group, AllowRoot: s.AllowRoot, PM: s.PM,
		MaxChildren: s.MaxChildren, StartServers: s.StartServers, MinSpareServers: s.MinSpareServers,
		MaxSpareServers: s.MaxSpareServers, ProcessIdleTimeout: time.Duration(s.ProcessIdleTimeout), MaxRequests: s.MaxRequests,
		QueueSize: s.QueueSize, QueueTimeout: time.Duration(s.QueueTimeout),
		RequestTerminateTimeout: time.Duration(s.TerminateTimeout), ClearEnv: s.ClearEnv, Env: s.Env,
		PHPValue: s.PHPValue, PHPAdminValue: s.PHPAdminValue,
		Chdir: s.Chdir, Priority: s.Priority.nice(), RlimitFiles: s.RlimitFiles, RlimitCore: int64(s.RlimitCore),
	}
}

// chooseUser finds whom PHP runs as when root starts phpserve and names nobody: the owner of the document root, else the
// system's user for web servers. PHP itself never becomes root by default.
func (p *plan) chooseUser(pool *manager.PoolConfig) {
	if os.Geteuid() != 0 || pool.User != "" || pool.AllowRoot {
		return
	}
	if owner := ownerOf(p.config.Sites[0].Root); owner != "" {
		pool.User, p.userWhy = owner, "the owner of the document root"
		return
	}
	for _, name := range []string{"www-data", "apache", "nginx", "www", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			pool.User, p.userWhy = name, "PHP does not run as root"
			return
		}
	}
}

// workersText describes the pool's processes.
func (p *plan) workersText() string {
	pool := p.config.Pools[0]
	parts := []string{pool.PM}
	if p.fpm != "" {
		parts[0] = fmt.Sprintf("pool %s of %s, %s", pool.Name, p.fpm, pool.PM)
	}
	if pool.PM == manager.PMStatic {
		parts = append(parts, fmt.Sprintf("%d", pool.MaxChildren))
	} else {
		parts = append(parts, fmt.Sprintf("at most %d", pool.MaxChildren))
	}
	switch {
	case pool.User != "" && os.Geteuid() != 0:
		parts = append(parts, "as the user who started phpserve (user has an effect for root only)")
	case pool.User != "" && p.userWhy != "":
		parts = append(parts, "as user "+pool.User+" ("+p.userWhy+")")
	case pool.User != "":
		parts = append(parts, "as user "+pool.User)
	}
	return strings.Join(parts, ", ")
}
