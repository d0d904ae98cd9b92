package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/manager"
)

// maxVariants is how many different sets of PHP_VALUE and PHP_ADMIN_VALUE a pool serves at a time. Web servers send those of
// their configuration, so there are few.
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

type variant struct {
	use  *poolInUse
	used time.Time
}

// get returns the pool for the two parameters' texts, which it starts when they are new.
func (v *poolVariants) get(ctx context.Context, values, adminValues string) (*poolInUse, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, manager.ErrPoolClosed
	}
	key := values + "\x00" + adminValues
	if found := v.byText[key]; found != nil {
		found.used = time.Now()
		return found.use, nil
	}
	cfg := v.base.Config()
	php, bad := parseINILines(values)
	admin, badAdmin := parseINILines(adminValues)
	for _, text := range append(bad, badAdmin...) {
		v.s.log.Error("Passing INI directive through FastCGI: "+text, "pool", cfg.Name) //nolint:sloglint // php-fpm's words
	}
	cfg.PM, cfg.StartServers = manager.PMOndemand, 0
	cfg.PHPValue = slices.Concat(cfg.PHPValue, php)
	cfg.PHPAdminValue = slices.Concat(cfg.PHPAdminValue, admin)
	pool, err := v.s.newPool(cfg, v.base.PHP())
	if err == nil {
		err = pool.Start(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errVariant, err)
	}
	if len(v.byText) >= maxVariants {
		v.dropOldest()
	}
	use := newPoolInUse(pool)
	v.byText[key] = &variant{use: use, used: time.Now()}
	return use, nil
}

// dropOldest ends the pool that was not used for the longest time, when its requests have.
func (v *poolVariants) dropOldest() {
	oldest := ""
	for key, candidate := range v.byText {
		if oldest == "" || candidate.used.Before(v.byText[oldest].used) {
			oldest = key
		}
	}
	v.s.retire(v.s.cfg.ProcessControlTimeout, v.byText[oldest].use.Stop)
	delete(v.byText, oldest)
}

// stop ends all of them.
func (v *poolVariants) stop(ctx context.Context) {
	v.mu.Lock()
	v.closed = true
	pools := map[string]*manager.Pool{}
	for key, found := range v.byText {
		pools[key] = found.use.Pool
	}
	v.mu.Unlock()
	closePools(ctx, pools)
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
