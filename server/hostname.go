package server

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// withASCIIHosts is the configuration with host names as clients send them: names of other scripts in Punycode (RFC 5891 §4.4).
func (c Config) withASCIIHosts() (Config, error) {
	c.Sites = slices.Clone(c.Sites)
	for i := range c.Sites {
		s := &c.Sites[i]
		s.Hosts = slices.Clone(s.Hosts)
		for j, host := range s.Hosts {
			ascii, err := asciiHost(host)
			if err != nil {
				return c, fmt.Errorf("[site %s] hosts: %q is not a host name: %v", s.Name(), host, err)
			}
			s.Hosts[j] = ascii
		}
	}
	return c, nil
}

// asciiHost is a host name, or *. and one, in ASCII. What is so already stays as it is.
func asciiHost(host string) (string, error) {
	if strings.IndexFunc(host, func(r rune) bool { return r > 0x7f }) < 0 {
		return host, nil
	}
	name, wild := strings.CutPrefix(host, "*.")
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))
	ascii, err := profile.ToASCII(name)
	if wild {
		ascii = "*." + ascii
	}
	return ascii, err
}
