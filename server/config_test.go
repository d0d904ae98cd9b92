package server

import (
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/site"
)

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"one host of two sites": {func(c *Config) { c.Sites[1].Hosts = []string{"A.test"} }, `hosts: "a.test" is a host of the site in /srv/a already`},
		"one host with a dot":   {func(c *Config) { c.Sites[1].Hosts = []string{"a.test."} }, `hosts: "a.test." is a host of the site in /srv/a already`},
		"one host in two scripts": {
			func(c *Config) {
				c.Sites[0].Hosts, c.Sites[1].Hosts = []string{"xn--bcher-kva.test"}, []string{"BÜCHER.test"}
			},
			`hosts: "bücher.test" is a host of the site in /srv/a already`,
		},
		"a spool folder too few":   {func(c *Config) { c.SpoolDir = "/nonexistent" }, `spool.dir: there is no folder "/nonexistent"`},
		"no room for one body":     {func(c *Config) { c.SpoolBodies = 1 << 20 }, `[site a.test] spool.bodies, which is 1048576 for all bodies together, must be`},
		"admin that is no address": {func(c *Config) { c.Admin = "http://x:1" }, `admin: "http://x:1" must be HOST:PORT, or PORT on localhost`},
		"admin for everybody":      {func(c *Config) { c.Admin = "0.0.0.0:9100" }, `admin: "0.0.0.0:9100" is not a loopback address, so admin_token must be set`},
		"admin on all addresses":   {func(c *Config) { c.Admin = ":9100" }, `admin: ":9100" is not a loopback address, so admin_token must be set`},
		"admin with a weak token":  {func(c *Config) { c.Admin, c.AdminToken = ":9100", "secret" }, `admin_token must be at least 16 visible ASCII characters`},
		"a pool that is not there": {func(c *Config) { c.Sites[0].Pool = "other" }, `there is no pool "other"`},
	} {
		c := DefaultConfig()
		a, b := site.DefaultConfig(), site.DefaultConfig()
		a.Root, a.Hosts, b.Root, b.Hosts = "/srv/a", []string{"a.test"}, "/srv/b", []string{"b.test"}
		c.Sites, c.Pools = []site.Config{a, b}, []manager.PoolConfig{manager.DefaultPoolConfig(1)}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		test.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestConfigRefusesHostsThatNoRequestCanHave(t *testing.T) {
	t.Parallel()
	for host, fine := range map[string]bool{
		"a.test": true, "*.a.test": true, "a_b.test": true, "127.0.0.1": true, "a.test.": true, "BÜCHER.test": true, "*.bücher.test": true,
		"": false, "*": false, "*.": false, "*.*.test": false, "a.*.test": false, "a..b": false, ".a": false, "-a.test": false, "a-.test": false,
		"a.test:80": false, "[::1]": false, "a b": false, "a/b": false, "http://a.test": false, "bücher..test": false, "-bücher.test": false, "b\xfccher.test": false,
		strings.Repeat("a", 64) + ".test": false, strings.Repeat("ü", 60) + ".test": false,
	} {
		c := DefaultConfig()
		s := site.DefaultConfig()
		s.Root, s.Hosts = "/srv/a", []string{host}
		c.Sites, c.Pools = []site.Config{s}, []manager.PoolConfig{manager.DefaultPoolConfig(1)}
		err := c.Validate()
		if fine != (err == nil) || err != nil && !strings.Contains(err.Error(), "must be a host name without port, or *.example.com") {
			t.Errorf("%q: %v", host, err)
		}
	}
}
