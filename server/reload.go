package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/internal/spelling"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/boot"
	"github.com/phpserve/phpserve/server/listen"
)

// Changes says what a reload did, with the names of pools.
type Changes struct {
	Added    []string // pools that are new
	Replaced []string // pools whose configuration, PHP or ini files changed, that cannot know whether their scripts did, or that could not serve
	Kept     []string // pools that go on as they are
	Removed  []string // pools that are gone
}

// errReloadUser is a change that needs a restart: files are opened as that user.
var errReloadUser = errors.New("another user or group for the pool of a site needs a restart")

// errStopped is a request to a server that ends.
var errStopped = errors.New("phpserve is stopping")

// Reload has the pools and FastCGI addresses be those of cfg. Pools that did not change stay, with their workers and their
// opcache. The new ones are ready before any request is given to them, and the old ones finish what they have, up to
// process_control_timeout; nobody waits for them. After an error everything is as it was.
func (s *Server) Reload(ctx context.Context, cfg Config, php map[string]*manager.PHP) (Changes, error) {
	return s.reload(ctx, cfg, php, "")
}

// ReloadPool is Reload for one pool, which is replaced whether it changed or not, as for new code that opcache does not look for.
// The others stay as they are, whatever cfg says of them.
func (s *Server) ReloadPool(ctx context.Context, cfg Config, php map[string]*manager.PHP, pool string) (Changes, error) {
	return s.reload(ctx, cfg, php, pool)
}

// reload is both; only is the name of the one pool.
func (s *Server) reload(ctx context.Context, cfg Config, php map[string]*manager.PHP, only string) (Changes, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.stopped {
		return Changes{}, errStopped
	}
	if only != "" {
		var err error
		if cfg, php, err = s.withPool(cfg, php, only); err != nil {
			return Changes{}, err
		}
	}
	cfg, err := cfg.withASCIIHosts()
	if err != nil {
		return Changes{}, err
	}
	if err := cfg.Validate(); err != nil {
		return Changes{}, err
	}
	if keys := needRestart(s.cfg, &cfg); len(keys) > 0 {
		return Changes{}, fmt.Errorf("a change of %s needs a restart; a reload changes pools and their FastCGI addresses", strings.Join(keys, ", "))
	}
	for _, site := range cfg.Sites {
		if s.now.cfg.user(site.Pool) != cfg.user(site.Pool) {
			return Changes{}, errReloadUser
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.reloads, func() { cancel(errStopped) })()
	n, err := s.prepare(ctx, &cfg, php, func(pool string) bool { return pool == only })
	if err != nil {
		return Changes{}, err
	}
	return n.take(), nil
}

// withPool is the configuration that runs, with one pool and its addresses as cfg has them.
func (s *Server) withPool(cfg Config, php map[string]*manager.PHP, name string) (Config, map[string]*manager.PHP, error) {
	now := *s.now.cfg
	if !cfg.hasPool(name) && !now.hasPool(name) {
		names := make([]string, 0, len(cfg.Pools))
		for i := range cfg.Pools {
			names = append(names, cfg.Pools[i].Name)
		}
		return Config{}, nil, fmt.Errorf("there is no pool %q; the pools are: %s", name, spelling.Some(names))
	}
	isIt := func(p manager.PoolConfig) bool { return p.Name == name }
	isOther := func(p manager.PoolConfig) bool { return p.Name != name }
	answersIt := func(r ResponderConfig) bool { return r.Pool == name }
	answersOther := func(r ResponderConfig) bool { return r.Pool != name }
	now.Pools = append(slices.DeleteFunc(slices.Clone(now.Pools), isIt), slices.DeleteFunc(slices.Clone(cfg.Pools), isOther)...)
	now.Responders = append(slices.DeleteFunc(slices.Clone(now.Responders), answersIt),
		slices.DeleteFunc(slices.Clone(cfg.Responders), answersOther)...)
	phps := maps.Clone(s.now.php)
	phps[name] = php[name]
	return now, phps, nil
}

// generation is what the pools that run were made of.
type generation struct {
	cfg *Config
	php map[string]*manager.PHP
}

// nextPools are what a reload has prepared.
type nextPools struct {
	s          *Server
	cfg        *Config
	php        map[string]*manager.PHP
	pools      map[string]*manager.Pool
	made       map[string]*manager.Pool // those of pools that are new
	responders []*responder             // in the order of cfg.Responders
	opened     []*responder
	accesses   accessLogs
}

// prepare starts what is new, beside what runs; also what did not change, where force says so.
func (s *Server) prepare(ctx context.Context, cfg *Config, php map[string]*manager.PHP, force func(pool string) bool) (*nextPools, error) {
	n := &nextPools{s: s, cfg: cfg, php: php, pools: map[string]*manager.Pool{}, made: map[string]*manager.Pool{}}
	for _, step := range []func() error{
		n.openResponders,
		func() error { return n.makePools(ctx, force) },
		func() (err error) { n.accesses, err = openAccessLogs(n.responders, cfg.Responders, s.log); return err },
		func() error { return startPools(ctx, n.made) },
	} {
		if err := step(); err != nil {
			n.accesses.release()
			closePools(canceled(), n.made)
			for _, p := range n.opened {
				p.listener.Close()
			}
			return nil, err
		}
	}
	return n, nil
}

// makePools makes the pools that are new or forced, and those that cannot serve, which a reload is to mend or to tell of.
func (n *nextPools) makePools(ctx context.Context, force func(pool string) bool) error {
	var needed []manager.PoolConfig
	for i := range n.cfg.Pools {
		p := n.cfg.pool(i)
		if old := n.s.pools[p.Name]; !force(p.Name) && old != nil && old.Unchanged(p, n.php[p.Name]) && old.Ready() {
			n.pools[p.Name] = old
		} else {
			needed = append(needed, p)
		}
	}
	return n.s.newPools(ctx, needed, n.php, func(name string, pool *manager.Pool) {
		n.pools[name], n.made[name] = pool, pool
	})
}

// openResponders opens the addresses that are new and finds those that are not.
func (n *nextPools) openResponders() error {
	for _, cfg := range n.cfg.Responders {
		i := slices.IndexFunc(n.s.responders, func(p *responder) bool { return p.target.Load().cfg.Listen == cfg.Listen })
		if i >= 0 {
			n.responders = append(n.responders, n.s.responders[i])
			continue
		}
		p, err := n.s.openResponder(cfg)
		if err != nil {
			return err
		}
		n.responders, n.opened = append(n.responders, p), append(n.opened, p)
	}
	return nil
}

// take puts what was prepared in the place of what runs.
func (n *nextPools) take() (c Changes) {
	s := n.s
	replaced := map[string]*poolInUse{}
	for name, pool := range n.pools {
		if s.slots[name] == nil {
			s.slots[name] = &poolSlot{metrics: s.metrics.Pool(name)}
		} else if replaced[name] = s.slots[name].use.Load(); replaced[name].Pool == pool {
			delete(replaced, name)
			continue
		}
		s.slots[name].put(s, pool)
	}
	gone := slices.DeleteFunc(slices.Clone(s.responders), func(p *responder) bool { return slices.Contains(n.responders, p) })
	n.aimResponders()
	old := s.pools
	s.mu.Lock()
	s.pools = n.pools
	s.mu.Unlock()
	s.responders, s.now = n.responders, generation{cfg: n.cfg, php: n.php}
	s.current.Store(n.cfg)
	s.processes.SetMax(n.cfg.ProcessMax)
	s.emergency.set(n.cfg.EmergencyRestartThreshold, n.cfg.EmergencyRestartInterval)
	for name := range old {
		if n.pools[name] == nil {
			replaced[name] = s.slots[name].use.Load()
			delete(s.slots, name)
			s.metrics.Forget(name)
			s.opcaches.Forget(name)
			c.Removed = append(c.Removed, name)
		}
	}
	for _, use := range replaced {
		s.retire(n.cfg.ProcessControlTimeout, use.stop)
	}
	for _, p := range gone {
		s.retire(n.cfg.ProcessControlTimeout, func(ctx context.Context) {
			p.stop(ctx)
			p.close()
		})
	}
	n.compare(old, &c)
	return c
}

// aimResponders has the addresses answer as the new configuration says.
func (n *nextPools) aimResponders() {
	for i, p := range n.responders {
		cfg := n.cfg.Responders[i]
		var err error
		if old := p.target.Load(); old != nil && !reflect.DeepEqual(old.cfg, cfg) {
			err = listen.ReopenFastCGI(p.listener, cfg.socket())
		}
		err = errors.Join(err, p.aim(cfg, n.accesses.take(i)))
		if err != nil {
			n.s.log.Error("cannot change a FastCGI address", "pool", cfg.Pool, "listen", cfg.Listen, "error", err)
		}
	}
	for _, p := range n.opened {
		p.start()
	}
}

// compare says what became of the pools that were there.
func (n *nextPools) compare(old map[string]*manager.Pool, c *Changes) {
	for name, pool := range n.pools {
		switch old[name] {
		case pool:
			c.Kept = append(c.Kept, name)
		case nil:
			c.Added = append(c.Added, name)
		default:
			c.Replaced = append(c.Replaced, name)
		}
	}
	for _, names := range [][]string{c.Added, c.Replaced, c.Kept, c.Removed} {
		slices.Sort(names)
	}
}

// retire stops something that a reload has replaced, without waiting for it; Stop does.
func (s *Server) retire(timeout time.Duration, stop func(context.Context)) {
	ctx, cancel := context.WithTimeout(s.running, timeout)
	s.retiring.Go(func() {
		defer cancel()
		stop(ctx)
	})
}

// newPools makes pools and takes each one. What they need to know of PHP is asked side by side before, because that takes longest.
func (s *Server) newPools(ctx context.Context, cfgs []manager.PoolConfig, php map[string]*manager.PHP, take func(name string, pool *manager.Pool)) error {
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for _, p := range cfgs {
		if php[p.Name] == nil || len(cfgs) == 1 {
			continue // newPool says so, or asks
		}
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			php[p.Name].Learn(ctx, p)
		})
	}
	wg.Wait()
	for _, p := range cfgs {
		pool, err := s.newPool(ctx, p, php[p.Name])
		if err != nil {
			return err
		}
		take(p.Name, pool)
	}
	return nil
}

// newPool makes one pool of the server.
func (s *Server) newPool(ctx context.Context, p manager.PoolConfig, php *manager.PHP) (*manager.Pool, error) {
	if php == nil {
		return nil, fmt.Errorf("[pool %s] has no PHP", p.Name)
	}
	pool, err := manager.NewPool(ctx, p, php, boot.Dialer{}, s.log)
	if err != nil {
		return nil, err
	}
	pool.Share(&s.processes, s.workerCrashed)
	return pool, nil
}

// startPools starts pools side by side, a few at a time, and returns the first error.
func startPools(ctx context.Context, pools map[string]*manager.Pool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	room := make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for _, p := range pools {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if err := p.Start(ctx); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

// closePools ends pools side by side.
func closePools(ctx context.Context, pools map[string]*manager.Pool) {
	var wg sync.WaitGroup
	for _, p := range pools {
		wg.Go(func() { p.Stop(ctx) })
	}
	wg.Wait()
}
