package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/internal/spelling"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
	"github.com/phpserve/phpserve/server/site"
)

// plannedPool is what is known of a pool beside its configuration.
type plannedPool struct {
	wants   string // the PHP that is asked for, see wantedPHP
	php     *manager.PHP
	phpWhy  string
	userWhy string
}

// makePools makes the pools that sites and FastCGI addresses need: those of the settings, or of fpm_config.
func (p *plan) makePools(s *settings, l *loader) error {
	if s.FPM != "" && len(s.Pools) > 0 {
		return &configError{fmt.Errorf("%s: pools and fpm_config cannot be used together: the pools are either here or there", l.where("", "pools"))}
	}
	if s.FPM != "" {
		return p.fpmPools(s, l)
	}
	all, err := l.namedPools(s)
	if err != nil {
		return &configError{err}
	}
	l.pools = all
	for i := range p.config.Sites {
		if p.config.Sites[i].Pool == "" {
			p.config.Sites[i].Pool = site.DefaultConfig().Pool
		}
	}
	var names []string
	for _, pool := range all {
		names = append(names, pool.name)
	}
	if err := p.knownPools(names, l); err != nil {
		return &configError{err}
	}
	for _, pool := range all {
		m := madePool{settings: pool, used: slices.ContainsFunc(p.config.Sites, func(s site.Config) bool { return s.Pool == pool.name })}
		needed := m.used || pool.Listen != "" || pool.StatusListen != ""
		if !needed && !l.isPool(pool.name) {
			continue // the keys at the top are for the others
		}
		p.wrong = append(p.wrong, l.locate(p.makePool(&m)))
		p.warnings = append(p.warnings, m.warnings...)
		if needed {
			p.take(&m)
		} else {
			p.wrong = append(p.wrong, l.locate(m.config.Validate()))
			p.warnings = append(p.warnings, fmt.Sprintf("pool %s is not started: no site has pool: %s, and it has no listen", pool.name, pool.name))
		}
	}
	return nil
}

// madePool is a pool as it was made of the settings.
type madePool struct {
	settings   *namedPool
	used       bool // by a site
	config     manager.PoolConfig
	planned    plannedPool
	responders []server.ResponderConfig
	warnings   []string
}

// take has a pool be one of those that are started.
func (p *plan) take(m *madePool) {
	p.config.Pools, p.pools = append(p.config.Pools, m.config), append(p.pools, m.planned)
	p.config.Responders = append(p.config.Responders, m.responders...)
	p.output[m.config.Name] = workerOutput{caught: m.settings.CatchOutput, decorated: m.settings.DecorateOutput}
}

// knownPools says which sites name a pool that there is not.
func (p *plan) knownPools(names []string, l *loader) error {
	var errs []error
	for i, site := range p.config.Sites {
		if slices.Contains(names, site.Pool) {
			continue
		}
		prefix := ""
		if i > 0 {
			prefix = fmt.Sprintf("sites[%d].", i-1)
			if entry, _ := l.v.Get("sites").([]any)[i-1].(map[string]any); entry["pool"] == nil {
				continue // the first site's, which has been told
			}
		}
		guess := ""
		if near := nearest(site.Pool, names); near != "" {
			guess = fmt.Sprintf(", did you mean %q?", near)
		}
		errs = append(errs, fmt.Errorf("%s: %spool: there is no pool %q%s", l.where(prefix, "pool"), prefix, site.Pool, guess))
	}
	if len(errs) == 0 {
		return nil
	}
	return &hintError{errors.Join(errs...), "the pools are: " + spelling.Some(names)}
}

// makePool makes a pool and its FastCGI addresses, and holds them to php-fpm's rules. What the pool itself checks is not said.
func (p *plan) makePool(m *madePool) error {
	s := m.settings
	var wrongFlags error
	m.config, wrongFlags = s.config()
	m.planned.wants = s.PHP
	if err := p.chooseUser(m); err != nil {
		return err
	}
	checked, err := fpmconf.Check(s.fpm(), fpmconf.Options{
		Root: os.Geteuid() == 0, AllowRoot: s.AllowRoot, CheckAccessFormat: checkAccessFormat,
		SlowlogOptional: p.config.Admin != "", // the dashboard shows the stacks
		Message: func(level fpmconf.Level, text string) {
			if level == fpmconf.LevelWarning {
				m.warnings = append(m.warnings, text)
			}
		},
	})
	if wrong, ok := errors.AsType[*fpmconf.Error](err); ok {
		text := wrong.Text
		if !strings.HasPrefix(text, "[pool ") {
			text = "[pool " + s.name + "] " + text
		}
		return errors.Join(wrongFlags, errors.New(text))
	}
	m.warnings = append(m.warnings, withoutEffect(&fpmconf.Config{Pools: checked})...)
	if s.Listen == "" {
		checked = checked[1:] // what is left is that of pm.status_listen
	}
	errs := []error{wrongFlags}
	for _, fpm := range checked {
		responder, err := fpmResponder(&fpmconf.Config{}, fpm)
		errs = append(errs, err, p.freeListen(&responder))
		if responder.Pool = s.name; fpm.StatusOf != nil {
			responder.Status.Only = true
		}
		m.responders = append(m.responders, responder)
	}
	return errors.Join(append(errs, p.checkSites(m)...)...)
}

// freeListen says whether another pool has the same FastCGI address.
func (p *plan) freeListen(r *server.ResponderConfig) error {
	for _, other := range p.config.Responders {
		if other.Listen == r.Listen {
			return fmt.Errorf("[pool %s] unable to set listen address as it's already used in another pool '%s'", r.Pool, other.Pool)
		}
	}
	return nil
}

// checkSites says which sites the pool cannot run.
func (p *plan) checkSites(m *madePool) (errs []error) {
	for _, site := range p.config.Sites {
		if site.Pool != m.config.Name {
			continue
		}
		if m.config.Chroot != "" {
			return []error{noChroot(m.config.Name, m.config.Chroot)}
		}
		for _, ext := range site.ScriptExtensions {
			if slices.Contains(m.settings.set, "security.limit_extensions") && !slices.Contains(m.settings.Extensions, ext) {
				errs = append(errs, fmt.Errorf("[pool %s] security.limit_extensions lacks %q, which the site in %s has in script_extensions",
					m.config.Name, ext, site.Root))
			}
		}
	}
	return errs
}

func noChroot(pool, chroot string) error {
	return fmt.Errorf("[pool %s] chroot %q: HTTP sites cannot be run in a chroot, only what comes by FastCGI", pool, chroot)
}

// fpmPools takes the pools of fpm_config that sites name, the first of them for sites that name none.
func (p *plan) fpmPools(s *settings, l *loader) error {
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
	p.config.ProcessMax = config.ProcessMax
	p.config.EmergencyRestartThreshold, p.config.EmergencyRestartInterval = config.EmergencyRestartThreshold, config.EmergencyRestartInterval
	var names []string
	for _, pool := range config.Pools {
		names = append(names, pool.Name)
	}
	for i := range p.config.Sites {
		site := &p.config.Sites[i]
		if site.Pool == "" {
			site.Pool = names[0]
		}
		for _, name := range names {
			if strings.EqualFold(name, site.Pool) {
				site.Pool = name
			}
		}
	}
	if err := p.knownPools(names, l); err != nil {
		return &configError{err}
	}
	version := ""
	if m := fpmVersion.FindStringSubmatch(absolute(p.fpm)); m != nil {
		version = m[1]
	}
	for _, pool := range config.Pools {
		if !slices.ContainsFunc(p.config.Sites, func(s site.Config) bool { return s.Pool == pool.Name }) {
			continue // it would have nothing to do
		}
		if pool.Chroot != "" {
			return &configError{noChroot(pool.Name, pool.Chroot)}
		}
		p.output[pool.Name] = workerOutput{caught: true, decorated: true}
		p.config.Pools = append(p.config.Pools, pool)
		p.pools = append(p.pools, plannedPool{wants: cmp.Or(wantedPHP(s.Pool.PHP, "php", l), version)})
	}
	return nil
}

// poolOf is the pool of a site.
func (p *plan) poolOf(of *site.Config) *manager.PoolConfig {
	i := slices.IndexFunc(p.config.Pools, func(pool manager.PoolConfig) bool { return pool.Name == of.Pool })
	return &p.config.Pools[i]
}

// rootOf is the document root of the first site of a pool; that of the first site of all, if it has none.
func (p *plan) rootOf(pool string) (root string, own bool) {
	for _, site := range p.config.Sites {
		if site.Pool == pool {
			return site.Root, true
		}
	}
	return p.config.Sites[0].Root, false
}

// findPHPs finds the PHP of each pool.
func (p *plan) findPHPs(ctx context.Context, l *loader, findPHP phpFinder) error {
	type question struct{ want, dir string }
	type answer struct {
		php *manager.PHP
		why string
	}
	known := map[question]answer{}
	for i := range p.pools {
		pool := &p.pools[i]
		root, _ := p.rootOf(p.config.Pools[i].Name)
		q := question{want: pool.wants, dir: root}
		if _, ok := known[q]; !ok {
			php, why, err := findPHP(ctx, q.want, q.dir)
			if err != nil && l.isPool(p.config.Pools[i].Name) {
				return l.locatePool(p.config.Pools[i].Name, fmt.Errorf("[pool %s] php: %w", p.config.Pools[i].Name, err))
			}
			if err != nil {
				return err
			}
			known[q] = answer{php, why}
		}
		pool.php, pool.phpWhy = known[q].php, known[q].why
	}
	return nil
}

// phps is the PHP of each pool by the pool's name.
func (p *plan) phps() map[string]*manager.PHP {
	phps := map[string]*manager.PHP{}
	for i, pool := range p.pools {
		phps[p.config.Pools[i].Name] = pool.php
	}
	return phps
}

// chooseUser finds whom PHP runs as when root starts phpserve and names nobody: the owner of the document root, else the
// system's user for web servers. PHP itself never becomes root by default.
func (p *plan) chooseUser(m *madePool) error {
	if os.Geteuid() != 0 || m.config.User != "" || m.config.AllowRoot {
		return nil
	}
	if root, own := p.rootOf(m.config.Name); own {
		owner, err := ownerOf(root)
		if err != nil {
			return err
		}
		if owner != "" {
			m.config.User, m.planned.userWhy = owner, "the owner of the document root"
			return nil
		}
	}
	for _, name := range []string{"www-data", "apache", "nginx", "www", "nobody"} {
		_, err := user.Lookup(name)
		var unknown user.UnknownUserError
		switch {
		case err == nil:
			m.config.User, m.planned.userWhy = name, "PHP does not run as root"
			return nil
		case !errors.As(err, &unknown) && !errors.Is(err, fs.ErrNotExist): // the next name must not be taken because descriptors are short
			return fmt.Errorf("cannot look up user %q: %w", name, err)
		}
	}
	return nil
}
