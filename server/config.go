package server

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/phpserve/phpserve/internal/spelling"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/accesslog"
	"github.com/phpserve/phpserve/server/certs"
	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/site"
)

// What an error answer looks like (Config.ErrorPages).
const (
	ErrorPagesAuto    = "auto"    // helpful for loopback clients of a server that listens on loopback only, else plain
	ErrorPagesHelpful = "helpful" // says what was looked for where
	ErrorPagesPlain   = "plain"   // status and request id
)

// Config is everything that a server is started with.
type Config struct {
	// Listen are the addresses to serve: HOST:PORT for HTTP, https://HOST:PORT (or any HOST:443) for HTTPS.
	Listen []string
	// Sites are what is served; the first also answers for host names that none of them claims.
	Sites []site.Config
	// Responders are where pools answer web servers that speak FastCGI.
	Responders []ResponderConfig
	// Pools are the PHP workers; every site and every responder names one of them.
	Pools []manager.PoolConfig
	// ProcessMax is process.max: the most workers of all pools together. Zero: no limit.
	ProcessMax int
	// EmergencyRestartThreshold is emergency_restart_threshold: so many workers that end by SIGSEGV or SIGBUS within
	// EmergencyRestartInterval have all pools replaced. Zero: never.
	EmergencyRestartThreshold int
	// EmergencyRestartInterval is emergency_restart_interval. Zero: never.
	EmergencyRestartInterval time.Duration
	// TLS says where certificates come from.
	TLS certs.Config

	// TrustedProxies are addresses or networks whose X-Forwarded-* headers are believed. Default: none.
	TrustedProxies []netip.Prefix
	// RequestIDHeader is the name of the header that carries the request id, in both directions. Empty: none.
	RequestIDHeader string
	// ErrorPages is "auto", "helpful" or "plain".
	ErrorPages string

	// HeaderTimeout is how long a client may take to send the head of a request.
	HeaderTimeout time.Duration
	// BodyTimeout is how long a client may pause while it sends a body. After as long, what has arrived must make up for
	// the time, one second for each KiB.
	BodyTimeout time.Duration
	// WriteTimeout is how long a client may take to accept the next part of a response.
	WriteTimeout time.Duration
	// IdleTimeout is how long a kept-alive connection may wait for its next request.
	IdleTimeout time.Duration
	// MaxConnections limits the connections of clients and web servers that are open at the same time; one client may have half of
	// them. Zero: as many as the limit on open files leaves room for.
	MaxConnections int
	// MaxHeaderBytes limits the head of a request; a longer one gets 431.
	MaxHeaderBytes int
	// ProcessControlTimeout is how long running requests may go on after the first signal to stop.
	ProcessControlTimeout time.Duration

	// SpoolMemory is how many bytes of one body or response are kept in memory; what is more goes to a file.
	SpoolMemory int64
	// SpoolMemoryTotal is how many bytes of memory all bodies and responses may take together beyond a small piece for each
	// connection; one client may have a quarter. What finds no room goes to a file. Zero: no limit.
	SpoolMemoryTotal int64
	// SpoolDisk limits the file of one response; when it is full, PHP has to wait for the client.
	SpoolDisk int64
	// SpoolResponses limits the files of all responses together; one client may have a quarter. Where there is no room, PHP has to
	// wait for the client. Zero: no limit.
	SpoolResponses int64
	// SpoolBodies limits the files of all request bodies together; one client may have a quarter, or as much as the largest body
	// that is allowed. A body that finds no room gets 503. Zero: no limit.
	SpoolBodies int64
	// SpoolDir is the folder for these files. Empty: the system's temporary folder.
	SpoolDir string

	// Admin is the address for operators, with health, metrics and dashboard: HOST:PORT, or PORT on localhost. Empty: none.
	Admin string
	// AdminToken is what whoever asks there must know. It may be empty only where Admin is a loopback address.
	AdminToken string

	// AccessLog is the access log's file, "-" for standard output, "off" for none.
	AccessLog string
	// AccessFormat is "common", "combined" or "json".
	AccessFormat string
}

// DefaultConfig returns the configuration that holds before any file, variable or flag.
func DefaultConfig() Config {
	return Config{
		Listen:          []string{"localhost:8000"},
		RequestIDHeader: "X-Request-Id",
		ErrorPages:      ErrorPagesAuto,
		HeaderTimeout:   30 * time.Second, BodyTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes:        32 << 10,
		ProcessControlTimeout: 10 * time.Second,
		SpoolMemory:           256 << 10, SpoolMemoryTotal: 256 << 20,
		SpoolDisk: 1 << 30, SpoolResponses: 4 << 30, SpoolBodies: 4 << 30,
		AccessLog: "-", AccessFormat: accesslog.Combined,
		TLS: certs.DefaultConfig(),
	}
}

// Validate reports every value that cannot work, with what is allowed.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	errs = append(errs, c.validateListen()...)
	spelling.OneOf(&errs, "error_pages", c.ErrorPages, ErrorPagesAuto, ErrorPagesHelpful, ErrorPagesPlain)
	spelling.OneOf(&errs, "access.format", c.AccessFormat, accesslog.Common, accesslog.Combined, accesslog.JSON)
	for name, d := range map[string]time.Duration{
		"timeouts.header": c.HeaderTimeout, "timeouts.body": c.BodyTimeout,
		"timeouts.write": c.WriteTimeout, "timeouts.idle": c.IdleTimeout,
	} {
		if d <= 0 {
			bad("%s must be greater than 0s, not %v", name, d)
		}
	}
	if c.ProcessControlTimeout < 0 {
		bad("process_control_timeout must be 0 (end at once) or greater, not %v", c.ProcessControlTimeout)
	}
	if c.MaxConnections < 0 {
		bad("max_connections must be 0 (as many as the limit on open files allows) or greater, not %d", c.MaxConnections)
	}
	if c.MaxHeaderBytes < 4096 {
		bad("max_header_size must be at least 4K, not %d", c.MaxHeaderBytes)
	}
	if c.SpoolMemory < 4096 || c.SpoolDisk < c.SpoolMemory {
		bad("spool.memory must be at least 4K and spool.disk not less than spool.memory")
	}
	for name, n := range map[string]int64{
		"spool.memory_total": c.SpoolMemoryTotal, "spool.responses": c.SpoolResponses, "spool.bodies": c.SpoolBodies,
	} {
		if n < 0 {
			bad("%s must be 0 (no limit) or greater, not %d", name, n)
		}
	}
	if len(c.Sites) == 0 && len(c.Responders) == 0 {
		bad("there is no site to serve")
	}
	if info, err := os.Stat(cmp.Or(c.SpoolDir, os.TempDir())); err != nil || !info.IsDir() {
		bad("spool.dir: there is no folder %q", cmp.Or(c.SpoolDir, os.TempDir()))
	}
	if info, err := os.Stat(filepath.Dir(c.AccessLog)); err != nil || !info.IsDir() {
		bad("access.log: there is no folder %q", filepath.Dir(c.AccessLog))
	}
	claimed := map[string]string{}
	for i := range c.Sites {
		s := &c.Sites[i]
		errs = append(errs, s.Validate(c.SpoolBodies, c.hasPool)...)
		for _, h := range s.Hosts {
			h = strings.ToLower(h)
			ascii, _ := site.ASCIIHost(h) // what is none has been told
			key := site.HostKey(ascii)
			if other, ok := claimed[key]; ok {
				bad("[site %s] hosts: %q is a host of the site in %s already", s.Name(), h, other)
			}
			claimed[key] = s.Root
		}
	}
	errs = append(errs, c.validatePools()...)
	errs = append(errs, c.validateAdmin()...)
	errs = append(errs, c.TLS.Validate(c.served())...)
	return errors.Join(errs...)
}

// validatePools checks the pools and what is about all of them.
func (c *Config) validatePools() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.ProcessMax < 0 {
		bad("process.max must be 0 (no limit) or greater, not %d", c.ProcessMax)
	}
	if c.EmergencyRestartThreshold < 0 || c.EmergencyRestartInterval < 0 {
		bad("emergency_restart_threshold and emergency_restart_interval must be 0 (never) or greater")
	}
	for _, r := range c.Responders {
		if !c.hasPool(r.Pool) {
			bad("there is no pool %q", r.Pool)
		}
	}
	for i := range c.Pools {
		if err := c.Pools[i].Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (c *Config) validateListen() (errs []error) {
	if len(c.Listen) == 0 && len(c.Responders) == 0 {
		errs = append(errs, errors.New("listen must name at least one address"))
	}
	seen := map[string]bool{}
	for _, l := range c.Listen {
		a, err := listen.Parse(l)
		if err != nil {
			errs = append(errs, err)
		} else if seen[a.String()] && a.Port != "0" {
			errs = append(errs, fmt.Errorf("listen: %q is there twice", l))
		}
		seen[a.String()] = true
	}
	return errs
}

// pool is the i-th pool, with the folders whose scripts it runs: the roots of its sites, or every folder where a web server names
// the script.
func (c *Config) pool(i int) manager.PoolConfig {
	p := c.Pools[i]
	p.AdminRoots = slices.Clone(p.AdminRoots)
	for _, s := range c.Sites {
		if s.Pool == p.Name {
			p.AdminRoots = append(p.AdminRoots, manager.AdminFolders(s.Root)...)
		}
	}
	if slices.ContainsFunc(c.Responders, func(r ResponderConfig) bool { return r.Pool == p.Name }) {
		p.Responder = true
		p.AdminRoots = append(p.AdminRoots, topFolders(cmp.Or(p.Chroot, "/"))...)
	}
	return p
}

// topFolders are what is in the root folder, as PHP sees it: its ini files know no section for that folder itself. What is made later is
// named to PHP in another way (fpmSearch.name).
func topFolders(root string) (names []string) {
	entries, _ := os.ReadDir(root) // without it there is nothing to run either
	for _, e := range entries {
		names = append(names, manager.AdminFolders("/"+e.Name())...)
	}
	return names
}

// user is whom a pool runs as.
func (c *Config) user(pool string) (who struct{ user, group string }) {
	for i := range c.Pools {
		if c.Pools[i].Name == pool {
			who.user, who.group = c.Pools[i].User, c.Pools[i].Group
		}
	}
	return who
}

func (c *Config) hasPool(name string) bool {
	return slices.ContainsFunc(c.Pools, func(p manager.PoolConfig) bool { return p.Name == name })
}
