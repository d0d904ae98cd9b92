package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/manager"
)

// maxVariants is how many different sets of PHP_VALUE and PHP_ADMIN_VALUE a pool with as many workers keeps a PHP for. Web servers send
// those of their configuration, so there are few.
const maxVariants = 16

// minVariants is how many there may be in a pool with fewer workers: a start of PHP for each request of web servers that send two sets or
// three would be slow.
const minVariants = 4

// variantPatience is how often a request that waits for its set looks whether one has become free, of which nobody told.
const variantPatience = time.Second

// errVariant is a request with PHP_VALUE or PHP_ADMIN_VALUE for which no workers could be had.
var errVariant = errors.New("cannot give the request workers with its PHP_VALUE and PHP_ADMIN_VALUE")

// poolVariants are pools like one that runs, each with the php.ini settings that a web server sends with its requests. php-cgi
// can take settings at its start only; this way they are set as php-fpm would set them, of any kind, and unlike there
// (fpm_main.c:fastcgi_ini_parser) no other request sees them. All share pm.max_children ([manager.Pool.ShareChildren]).
type poolVariants struct {
	s    *Server
	base *manager.Pool

	mu      sync.Mutex
	closed  bool
	byText  map[string]*variant
	waiters []*variantWaiter // those that came first are first
}

// variant is one of them. Its start is nobody else's to wait for than of the requests that need it.
type variant struct {
	start sync.Once
	use   *poolInUse // after start, or with poolVariants.mu; nil: none yet
	err   error      // after start

	used    time.Time // guarded by poolVariants.mu
	users   int       // requests that are in it or on their way; guarded by poolVariants.mu
	leaving bool      // takes no more requests, to make room for another; guarded by poolVariants.mu
}

// variantWaiter is a request that waits for a place for its set.
type variantWaiter struct {
	key   string
	ready chan *variant // capacity 1; nil tells that the pool is closed
}

// acquire takes a worker with the two parameters' texts; its pool is started when they are new. Without an error, leave is to be called when
// the request is done.
func (v *poolVariants) acquire(ctx context.Context, client netip.Addr, values, adminValues string) (w *manager.Worker, use *poolInUse, err error) {
	key := values + "\x00" + adminValues
	found, err := v.enter(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	found.start.Do(func() {
		use, err := v.make(values, adminValues)
		v.mu.Lock()
		found.use, found.err = use, err
		v.mu.Unlock()
		if use != nil {
			use.leave = func() { v.leave(found) }
		}
	})
	if found.err != nil {
		v.forget(key, found) // the next request tries again
		v.leave(found)
		return nil, nil, found.err
	}
	if w, err = found.use.AcquireFor(ctx, client); err != nil {
		v.leave(found)
		return nil, nil, err
	}
	return w, found.use, nil
}

// enter finds the set of a request, or room for it, for which the request waits in turn if need be.
func (v *poolVariants) enter(ctx context.Context, key string) (*variant, error) {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil, manager.ErrPoolClosed
	}
	if x := v.admit(key, len(v.waiters) > 0); x != nil {
		v.mu.Unlock()
		return x, nil
	}
	cfg := v.base.Config()
	if len(v.waiters) >= cfg.QueueSize {
		v.mu.Unlock()
		return nil, manager.ErrQueueFull
	}
	wt := &variantWaiter{key: key, ready: make(chan *variant, 1)}
	v.waiters = append(v.waiters, wt)
	v.serveWaiters()
	v.mu.Unlock()
	return v.wait(ctx, wt, cfg.QueueTimeout)
}

// wait waits for a place.
func (v *poolVariants) wait(ctx context.Context, wt *variantWaiter, patience time.Duration) (*variant, error) {
	deadline, look := time.NewTimer(patience), time.NewTicker(variantPatience)
	defer deadline.Stop()
	defer look.Stop()
	var err error
	for err == nil {
		select {
		case x := <-wt.ready:
			if x == nil {
				return nil, manager.ErrPoolClosed
			}
			return x, nil
		case <-look.C: // a script whose client left has ended, for example
			v.mu.Lock()
			v.serveWaiters()
			v.mu.Unlock()
		case <-deadline.C:
			err = manager.ErrQueueTimeout
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	v.mu.Lock()
	v.waiters = slices.DeleteFunc(v.waiters, func(o *variantWaiter) bool { return o == wt })
	v.mu.Unlock()
	select {
	case x := <-wt.ready: // at the same moment
		if x != nil {
			v.leave(x)
		}
	default:
	}
	return nil, err
}

// admit counts a request into its set, if that is there or has room. Others that wait for a place get it first. v.mu must be held.
func (v *poolVariants) admit(key string, othersWait bool) *variant {
	x := v.byText[key]
	if x == nil && (othersWait || !v.makeRoom()) || x != nil && x.leaving {
		return nil
	}
	if x == nil {
		x = &variant{}
		v.byText[key] = x
	}
	x.used = time.Now()
	x.users++
	return x
}

// serveWaiters gives places to those that wait, in turn. For the first that there is none for, the set that has been there for longest
// without it takes no more requests. v.mu must be held.
func (v *poolVariants) serveWaiters() {
	for len(v.waiters) > 0 {
		wt := v.waiters[0]
		if x := v.byText[wt.key]; x != nil && x.leaving && x.idle() {
			x.leaving = false // it is its own turn again
		}
		x := v.admit(wt.key, false)
		if x == nil {
			v.chooseLeaving(wt.key)
			return
		}
		v.waiters = v.waiters[1:]
		wt.ready <- x
	}
}

// chooseLeaving has one set take no more requests, unless one does so already. v.mu must be held.
func (v *poolVariants) chooseLeaving(but string) {
	var oldest *variant
	for key, x := range v.byText {
		if x.leaving {
			return
		}
		if key != but && (oldest == nil || x.used.Before(oldest.used)) {
			oldest = x
		}
	}
	if oldest != nil {
		oldest.leaving = true
	}
}

// leave is for a request that has done with its set.
func (v *poolVariants) leave(x *variant) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x.users--
	v.serveWaiters()
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
	pool, err := v.s.newPool(v.s.running, cfg, v.base.PHP())
	if err == nil {
		pool.ShareChildren(v.base)
		err = pool.Start(v.s.running)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errVariant, err)
	}
	return newPoolInUse(pool), nil
}

// makeRoom ends pools that nothing uses, those first that were not used for the longest time, until there is room for another. False: all
// are in use. v.mu must be held.
func (v *poolVariants) makeRoom() bool {
	cfg := v.base.Config()
	for len(v.byText) >= min(maxVariants, max(minVariants, cfg.MaxChildren)) {
		oldest := ""
		for key, x := range v.byText {
			if x.idle() && (oldest == "" || x.used.Before(v.byText[oldest].used)) {
				oldest = key
			}
		}
		if oldest == "" {
			return false
		}
		if gone := v.byText[oldest]; gone.use != nil {
			v.base.Inherit(gone.use.Pool)
		}
		v.s.retire(v.s.cfg.ProcessControlTimeout, v.byText[oldest].stop)
		delete(v.byText, oldest)
	}
	return true
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

// idle says whether no request is in the pool or on its way to it, nor a script whose client left. poolVariants.mu must be held.
func (x *variant) idle() bool {
	return x.users == 0 && (x.use == nil || x.use.Status(false).Active == 0)
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
	for _, wt := range v.waiters {
		wt.ready <- nil
	}
	v.waiters = nil
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
