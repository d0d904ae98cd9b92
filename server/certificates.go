package server

import (
	"github.com/phpserve/phpserve/server/certs"
	"github.com/phpserve/phpserve/server/listen"
)

// served is what certificates are for. Addresses that are wrong are reported elsewhere.
func (c *Config) served() *certs.Served {
	w := &certs.Served{Trusted: c.TrustedProxies}
	for _, text := range c.Listen {
		a, err := listen.Parse(text)
		switch {
		case err != nil:
		case a.TLS:
			w.HTTPS = append(w.HTTPS, a)
		default:
			w.Plain = append(w.Plain, a)
		}
	}
	for i := range c.Sites {
		w.Sites = append(w.Sites, certs.Site{Hosts: c.Sites[i].Hosts, Root: c.Sites[i].Root})
	}
	return w
}

// CertificateWarnings says what visitors of the sites would be warned of by their browsers: a host that no certificate covers, and
// certificates that are not valid now or cannot be followed to their authority. What makes a certificate unusable, such as another
// key, is an error of Validate and not here.
func (c *Config) CertificateWarnings() []string { return c.TLS.Warnings(c.served()) }
