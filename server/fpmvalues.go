package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/manager"
)

// maxVariants is how many different sets of PHP_VALUE and PHP_ADMIN_VALUE a pool keeps workers for, unless more are in use. Web
// servers send those of their configuration, so there are few.
const maxVariants = 16

// errVariant is a request with PHP_VALUE or PHP_ADMIN_VALUE for which no workers could be had.
var errVariant = errors.New("cannot give the request workers with its PHP_VALUE and PHP_ADMIN_VALUE")

// poolVariants are pools like one that runs, each with the php.ini settings that a web server sends with its requests. php-cgi
// can take settings at its start only; this way they are set as php-fpm would set them, of any kind, and unlike there
// (fpm_main.c:fastcgi_ini_parser) no other request sees them.
type poolVariants struct {
	s    *Server
	base *manager.Pool

	mu     sync.Mutex
	closed bool
	byText map[string]*variant
}

// variant is one of them. Its start is nobody else's to wait for than of the requests that need it.
type variant struct {
	start sync.Once
	use   *poolInUse // after start, or with poolVariants.mu; nil: none yet
	err   error      // after start

	used  time.Time // guarded by poolVariants.mu
	users int       // requests that have no worker yet; guarded by poolVariants.mu
}

// acquire takes a worker with the two parameters' texts; its pool is started when they are new.
func (v *poolVariants) acquire(ctx context.Context, values, adminValues string) (*manager.Worker, *poolInUse, error) {
	key := values + "\x00" + adminValues
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil, nil, manager.ErrPoolClosed
	}
	found := v.byText[key]
	if found == nil {
		v.makeRoom()
		found = &variant{}
		v.byText[key] = found
	}
	found.used = time.Now()
	found.users++
	v.mu.Unlock()
	defer v.leave(found)
	found.start.Do(func() {
		use, err := v.make(values, adminValues)
		v.mu.Lock()
		found.use, found.err = use, err
		v.mu.Unlock()
	})
	if found.err != nil {
		v.forget(key, found) // the next request tries again
		return nil, nil, found.err
	}
	worker, err := found.use.Acquire(ctx)
	return worker, found.use, err
}

func (v *poolVariants) leave(x *variant) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x.users--
}

// forget takes out what has no pool.
func (v *poolVariants) forget(key string, found *variant) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byText[key] == found {
		delete(v.byText, key)
	}
}

// make starts a pool.
func (v *poolVariants) make(values, adminValues string) (*poolInUse, error) {
	cfg := v.base.Config()
	php, bad := parseINILines(values)
	admin, badAdmin := parseINILines(adminValues)
	if cfg.Chroot != "" { // where the zygote is root's
		php, bad = withoutStartOnly(php, bad)
		admin, badAdmin = withoutStartOnly(admin, badAdmin)
	}
	for _, text := range append(bad, badAdmin...) {
		v.s.log.Error("Passing INI directive through FastCGI: "+text, "pool", cfg.Name) //nolint:sloglint // php-fpm's words
	}
	cfg.PM, cfg.StartServers = manager.PMOndemand, 0
	cfg.ClientValue, cfg.ClientAdminValue = php, admin
	pool, err := v.s.newPool(cfg, v.base.PHP())
	if err == nil {
		err = pool.Start(v.s.running)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errVariant, err)
	}
	return newPoolInUse(pool), nil
}

// makeRoom ends pools that nothing uses, those first that were not used for the longest time, until there is room for another.
// v.mu must be held.
func (v *poolVariants) makeRoom() {
	for len(v.byText) >= maxVariants {
		oldest := ""
		for key, x := range v.byText {
			if x.idle() && (oldest == "" || x.used.Before(v.byText[oldest].used)) {
				oldest = key
			}
		}
		if oldest == "" {
			return
		}
		if gone := v.byText[oldest]; gone.use != nil {
			v.base.Inherit(gone.use.Pool)
		}
		v.s.retire(v.s.cfg.ProcessControlTimeout, v.byText[oldest].stop)
		delete(v.byText, oldest)
	}
}

// pools are those that have been started.
func (v *poolVariants) pools() (all []*manager.Pool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, x := range v.byText {
		if x.use != nil {
			all = append(all, x.use.Pool)
		}
	}
	return all
}

// idle says whether no request is in the pool or on its way to it. poolVariants.mu must be held.
func (x *variant) idle() bool {
	return x.users == 0 && (x.use == nil || x.use.Stats().Busy == 0)
}

// stop ends a pool, whose start is waited for. One that has not begun to start never will.
func (x *variant) stop(ctx context.Context) {
	x.start.Do(func() { x.err = manager.ErrPoolClosed })
	if x.use != nil {
		x.use.Stop(ctx)
	}
}

// stop ends all of them.
func (v *poolVariants) stop(ctx context.Context) {
	v.mu.Lock()
	v.closed = true
	all := slices.Collect(maps.Values(v.byText))
	v.mu.Unlock()
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() { x.stop(ctx) })
	}
	wg.Wait()
}

// parseINILines splits the lines of PHP_VALUE into settings and says what is wrong with the others.
func parseINILines(text string) (settings, bad []string) {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || line[0] == '[' || strings.HasSuffix(name, "]"):
			bad = append(bad, "only classic entries are allowed")
			continue
		case len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0]:
			value = value[1 : len(value)-1]
		case value != "" && value[0] != '"' && value[0] != '\'':
			value, _, _ = strings.Cut(value, ";")
			value = strings.TrimSpace(value)
		}
		if setting := name + "=" + value; manager.CheckINI(setting) == nil {
			settings = append(settings, setting)
		} else {
			bad = append(bad, "unable to set '"+name+"'")
		}
	}
	return settings, bad
}

// withoutStartOnly moves the settings that PHP reads at its start only to what is wrong.
func withoutStartOnly(settings, bad []string) (kept, worse []string) {
	for _, kv := range settings {
		if name, _, _ := strings.Cut(kv, "="); manager.StartOnlyINI(kv) {
			bad = append(bad, "unable to set '"+name+"' in a chroot")
		} else {
			kept = append(kept, kv)
		}
	}
	return kept, bad
}

// reopenSlowlogs opens the slowlog of the pool and of its variants anew.
func (p *poolInUse) reopenSlowlogs() error {
	errs := []error{p.ReopenSlowlog()}
	p.variants.mu.Lock()
	defer p.variants.mu.Unlock()
	for _, x := range p.variants.byText {
		if x.use != nil {
			errs = append(errs, x.use.ReopenSlowlog())
		}
	}
	return errors.Join(errs...)
}
