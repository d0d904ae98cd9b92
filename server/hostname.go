package server

import (
	"fmt"
	"slices"

	"github.com/phpserve/phpserve/server/site"
)

// withASCIIHosts is the configuration with host names as clients send them: names of other scripts in Punycode (RFC 5891 §4.4).
func (c Config) withASCIIHosts() (Config, error) {
	c.Sites = slices.Clone(c.Sites)
	for i := range c.Sites {
		s := &c.Sites[i]
		s.Hosts = slices.Clone(s.Hosts)
		for j, host := range s.Hosts {
			ascii, err := site.ASCIIHost(host)
			if err != nil {
				return c, fmt.Errorf("[site %s] hosts: %q is not a host name: %v", s.Name(), host, err)
			}
			s.Hosts[j] = ascii
		}
	}
	return c, nil
}
