package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/site"
)

// slowlogDepth is request_slowlog_trace_depth where it is not set (fpm_conf.c:fpm_conf_process_all_pools).
const slowlogDepth = 20

// The values of slowlog.format.
const (
	slowlogOwn = "phpserve"
	slowlogFPM = "fpm"
)

// poolEntry is one entry of pools as it was read: keys with dots, whether they were written so or in levels.
type poolEntry struct {
	name   string
	values map[string]any
}

// namedPool are the keys of an entry of pools.
type namedPool struct {
	poolSettings `mapstructure:",squash"`
	Chroot       string `mapstructure:"chroot"`

	Listen         string   `mapstructure:"listen"`
	Backlog        int      `mapstructure:"listen.backlog"`
	Owner          string   `mapstructure:"listen.owner"`
	ListenGroup    string   `mapstructure:"listen.group"`
	Mode           fileMode `mapstructure:"listen.mode"`
	ACLUsers       []string `mapstructure:"listen.acl_users"`
	ACLGroups      []string `mapstructure:"listen.acl_groups"`
	AllowedClients []string `mapstructure:"listen.allowed_clients"`
	Extensions     []string `mapstructure:"security.limit_extensions"`
	StatusPath     string   `mapstructure:"pm.status_path"`
	StatusListen   string   `mapstructure:"pm.status_listen"`
	PingPath       string   `mapstructure:"ping.path"`
	PingResponse   string   `mapstructure:"ping.response"`
	AccessLog      string   `mapstructure:"access.log"`
	AccessFormat   string   `mapstructure:"access.format"`
	SuppressPath   []string `mapstructure:"access.suppress_path"`

	name  string
	entry bool     // it is an entry of pools
	set   []string // the keys that the entry has
}

// fileMode is listen.mode: octal digits in quotes, because YAML makes another number of them.
type fileMode string

// defaultNamedPool is an entry of pools that sets nothing.
func defaultNamedPool(name string, top poolSettings) namedPool {
	return namedPool{
		poolSettings: top, name: name,
		Backlog: -1, Mode: "0660", ACLUsers: []string{}, ACLGroups: []string{}, AllowedClients: []string{},
		Extensions: []string{".php", ".phar"}, PingResponse: "pong", SuppressPath: []string{},
		AccessFormat: `%R - %u %t "%m %r" %s`,
	}
}

// needListen are the beginnings of keys that are about a pool's FastCGI address alone.
var needListen = [...]string{"listen.", "access.", "ping.", "pm.status_path"}

// absolute makes a path one that does not depend on the working folder.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil { // else the working folder is gone
		return abs
	}
	return path
}

// poolEntries takes the entries of pools as a file has them.
func (l *loader) poolEntries(pools any) ([]poolEntry, error) {
	byName, ok := pools.(map[string]any)
	if !ok && pools != nil {
		return nil, fmt.Errorf("%s: pools is not a mapping of names to the keys of pools", l.where("", "pools"))
	}
	entries := []poolEntry{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		e := poolEntry{name, map[string]any{}}
		values, ok := byName[name].(map[string]any)
		prefix := "pools." + name + "."
		switch {
		case !ok && byName[name] != nil:
			return nil, fmt.Errorf("%s: pools.%s is not a mapping", l.where(prefix, ""), name)
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "":
			return nil, fmt.Errorf("%s: pools: %q is not a name: write letters, digits, dots, - and _", l.where(prefix, ""), name)
		}
		if twice := flatten(values, "", e.values); twice != "" {
			return nil, fmt.Errorf("%s: %s%s is set twice", l.where(prefix, twice), prefix, twice)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// flatten gathers values by their key with dots; twice is a key that is there in both spellings.
func flatten(values map[string]any, prefix string, into map[string]any) (twice string) {
	for key, value := range values {
		if deeper, ok := value.(map[string]any); ok {
			twice = cmp.Or(twice, flatten(deeper, prefix+key+".", into))
			continue
		}
		if _, ok := into[prefix+key]; ok {
			twice = prefix + key
		}
		into[prefix+key] = value
	}
	return twice
}

// namedPools are the pools of the settings by name, with the one that the keys at the top describe.
func (l *loader) namedPools(s *settings) ([]*namedPool, error) {
	top := s.Pool
	top.Chdir, top.Slowlog = absolute(l.relative("chdir", top.Chdir)), absolute(l.relative("slowlog", top.Slowlog))
	top.PHP = wantedPHP(top.PHP, "php", l)
	implicit := defaultNamedPool(site.DefaultConfig().Pool, top)
	pools := []*namedPool{&implicit}
	for _, e := range s.Pools {
		pool := defaultNamedPool(e.name, top)
		if err := l.decodePool(e, &pool); err != nil {
			return nil, err
		}
		if e.name == implicit.name {
			pools[0] = &pool
		} else {
			pools = append(pools, &pool)
		}
	}
	for _, pool := range pools {
		expandPool(reflect.ValueOf(pool).Elem(), pool.name)
	}
	slices.SortFunc(pools, func(a, b *namedPool) int { return strings.Compare(a.name, b.name) })
	return pools, nil
}

// isPool says whether the settings have an entry of pools of that name.
func (l *loader) isPool(name string) bool {
	return slices.ContainsFunc(l.pools, func(p *namedPool) bool { return p.name == name && p.entry })
}

// decodePool fills a pool from its entry. Its paths are relative to the file.
func (l *loader) decodePool(e poolEntry, pool *namedPool) error {
	prefix := "pools." + e.name + "."
	_, user := e.values["user"]
	if user {
		pool.Group = "" // the other user's
	}
	if err := l.decode(e.values, pool, prefix); err != nil {
		return err
	}
	pool.entry, pool.set = true, slices.Sorted(maps.Keys(e.values))
	if pool.Chroot != "" && !slices.Contains(pool.set, "chdir") {
		pool.Chdir = "" // a folder outside of it
	}
	for key, path := range map[string]*string{
		"chdir": &pool.Chdir, "slowlog": &pool.Slowlog, "access.log": &pool.AccessLog, "chroot": &pool.Chroot, "listen": &pool.Listen,
		"pm.status_listen": &pool.StatusListen,
	} {
		address := key == "listen" || key == "pm.status_listen"
		if slices.Contains(pool.set, key) && (key != "chdir" || pool.Chroot == "") && (!address || fpmconf.IsUnixAddress(*path)) {
			*path = absolute(l.inFolder(*path))
		}
	}
	if slices.Contains(pool.set, "php") {
		pool.PHP = wantedPHP(pool.PHP, "pools", l)
	}
	if pool.Listen == "" {
		for _, key := range pool.set {
			if slices.ContainsFunc(needListen[:], func(p string) bool { return strings.HasPrefix(key, p) }) &&
				(pool.StatusListen == "" || !strings.HasPrefix(key, "listen.") && key != "pm.status_path") {
				return &hintError{
					fmt.Errorf("%s: %s%s has no effect without listen", l.where(prefix, key), prefix, key),
					"it is about FastCGI requests from a web server; those of sites are in the access.log at the top",
				}
			}
		}
	}
	return nil
}

// expandPool puts the pool's name in the place of $pool, as php-fpm does in every text (fpm_conf.c:fpm_conf_expand_pool_name).
func expandPool(v reflect.Value, name string) {
	expand := func(v reflect.Value) { v.SetString(strings.ReplaceAll(v.String(), "$pool", name)) }
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case v.Type().Field(i).Tag.Get("mapstructure") == "": // no key
		case f.Kind() == reflect.Struct:
			expandPool(f, name)
		case f.Kind() == reflect.String:
			expand(f)
		case f.Type() == reflect.TypeFor[[]string]():
			f.Set(reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f)) // it may be another pool's
			for j := range f.Len() {
				expand(f.Index(j))
			}
		}
	}
}

// flagSetting is NAME=yes as php_value has it: yes would be a text there.
func flagSetting(kv string) (string, error) {
	name, text, _ := strings.Cut(kv, "=")
	on, err := fpmconf.ParseBool(strings.ToLower(strings.TrimSpace(text)))
	if err != nil || !strings.Contains(kv, "=") {
		return "", errors.New("not a flag")
	}
	if on {
		return strings.TrimSpace(name) + "=1", nil
	}
	return strings.TrimSpace(name) + "=0", nil
}

// config is the workers' side of the pool.
func (s *namedPool) config() (manager.PoolConfig, error) {
	c := manager.PoolConfig{
		Name: s.name, Engine: s.Engine, User: s.User, Group: s.Group, AllowRoot: s.AllowRoot, PM: s.PM,
		MaxChildren: s.MaxChildren, StartServers: s.StartServers, MinSpareServers: s.MinSpareServers,
		MaxSpareServers: s.MaxSpareServers, ProcessIdleTimeout: time.Duration(s.ProcessIdleTimeout), MaxRequests: s.MaxRequests,
		QueueSize: s.QueueSize, QueueTimeout: time.Duration(s.QueueTimeout),
		RequestTerminateTimeout: time.Duration(s.TerminateTimeout), RequestTerminateTimeoutTrackFinished: s.TrackFinished,
		DiscardOutput: !s.CatchOutput, ClearEnv: s.ClearEnv, Env: s.Env, Chroot: s.Chroot, Chdir: s.Chdir,
		Priority: s.Priority.nice(), RlimitFiles: s.RlimitFiles, RlimitCore: int64(s.RlimitCore),
		ObserveAll: wantsMemory.MatchString(s.AccessFormat),
		Observe:    s.StatusPath != "" || s.StatusListen != "" || wantsMemory.MatchString(s.AccessFormat),
	}
	c.RequestSlowlogTimeout, c.Slowlog, c.RequestSlowlogTraceDepth = time.Duration(s.SlowlogTimeout), s.Slowlog, s.SlowlogDepth
	c.SlowlogReport, c.SlowlogArgs = s.SlowlogFormat == slowlogOwn, s.SlowlogArgs
	if !s.Dumpable { // yes is how it comes
		c.Dumpable = &s.Dumpable
	}
	var errs []error
	if s.SlowlogFormat != slowlogOwn && s.SlowlogFormat != slowlogFPM {
		errs = append(errs, fmt.Errorf("[pool %s] slowlog.format must be %s or %s, not %q", s.name, slowlogOwn, slowlogFPM, s.SlowlogFormat))
	}
	for _, list := range []struct {
		key       string
		flags     []string
		of, value *[]string
	}{{"php_flag", s.PHPFlag, &s.PHPValue, &c.PHPValue}, {"php_admin_flag", s.PHPAdminFlag, &s.PHPAdminValue, &c.PHPAdminValue}} {
		*list.value = slices.Clone(*list.of)
		for _, kv := range list.flags {
			setting, err := flagSetting(kv)
			if err != nil {
				errs = append(errs, fmt.Errorf("[pool %s] %s %q must be NAME=yes or NAME=no", s.name, list.key, kv))
				continue
			}
			*list.value = append(*list.value, setting)
		}
	}
	return c, errors.Join(errs...)
}

// fpm is the pool as php-fpm would have it, to be checked and for its FastCGI address.
func (s *namedPool) fpm() *fpmconf.Pool {
	p := fpmconf.NewPool(s.name)
	p.User, p.Group, p.Chroot, p.Chdir, p.MaxSpawnRate = s.User, s.Group, s.Chroot, s.Chdir, s.MaxSpawnRate
	p.Listen, p.ListenBacklog, p.ListenOwner, p.ListenGroup, p.ListenMode = s.Listen, s.Backlog, s.Owner, s.ListenGroup, string(s.Mode)
	p.ListenACLUsers, p.ListenACLGroups = strings.Join(s.ACLUsers, ","), strings.Join(s.ACLGroups, ",")
	p.ListenAllowedClients, p.SecurityLimitExtensions = strings.Join(s.AllowedClients, ","), strings.Join(s.Extensions, " ")
	p.StatusPath, p.StatusListen, p.PingPath, p.PingResponse = s.StatusPath, s.StatusListen, s.PingPath, s.PingResponse
	p.AccessLog, p.AccessFormat, p.AccessSuppressPath = s.AccessLog, s.AccessFormat, s.SuppressPath
	p.Slowlog, p.RequestSlowlogTimeout = s.Slowlog, time.Duration(s.SlowlogTimeout)
	if s.Slowlog != "" || s.SlowlogDepth != slowlogDepth {
		p.RequestSlowlogTraceDepth = s.SlowlogDepth
	}
	return p
}
