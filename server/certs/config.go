package certs

import (
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/phpserve/phpserve/internal/spelling"
	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/peer"
)

// Ways to prove to a certificate authority that a host name is ours (Config.Challenges).
const (
	HTTP01    = "http-01"     // RFC 8555 section 8.3: the authority asks the host's port 80
	TLSALPN01 = "tls-alpn-01" // RFC 8737: the authority asks the host's port 443
)

// Config says where the certificates of the https listeners come from. Without an https listener it has no effect.
type Config struct {
	// Auto obtains and renews certificates by ACME (RFC 8555) for every name in the sites' hosts that no certificate
	// file covers: for public host names, or with CA set to a private authority for any name. Names with a wildcard
	// need a file. Using it means to agree to the authority's terms. Default: true.
	Auto bool
	// Email is where the authority can reach the operator. Default: none.
	Email string
	// CA is the https URL of the authority's ACME directory. Empty: Let's Encrypt.
	CA string
	// CARoot is a PEM file with the only roots to trust for the authority's own HTTPS. Empty: those of the system.
	CARoot string
	// Challenges are the ways to prove that a name is ours: "http-01" needs a plain listener that the authority reaches
	// on port 80, "tls-alpn-01" an https listener that it reaches on port 443. Only our own listeners answer, none is
	// opened for it. Empty: what the listeners allow.
	Challenges []string
	// Storage is the folder for obtained keys and certificates. Empty: certmagic in $XDG_DATA_HOME, or in
	// ~/.local/share; a service without a home needs a folder here. Servers that share it share their certificates.
	Storage string
	// Certificates are files that the operator provides. Changed files are read again within a second of their next use.
	Certificates []File
	// Redirect sends plain HTTP requests on to HTTPS when there is a certificate for their host: with 301 for GET and
	// HEAD, with 308 for other methods. Default: true.
	Redirect bool
	// RedirectPort is the port that clients reach https on, where it is not the https listener's (a published port of a
	// container). Zero: the https listener's, 443 if there is one.
	RedirectPort int
}

// File is a certificate with its chain, and its private key, both in PEM.
type File struct {
	Cert string // the path of the certificate, with what leads to its authority behind it
	Key  string // the path of the key
}

// DefaultConfig returns the configuration that holds before any file, variable or flag.
func DefaultConfig() Config { return Config{Auto: true, Redirect: true} }

// Served is what certificates are for.
type Served struct {
	Plain, HTTPS []listen.Addr // the addresses that are listened on, without and with TLS
	Sites        []Site        // the first also answers for hosts that none of them claims
	Trusted      peer.Proxies  // who may say that a client speaks HTTPS with it
}

// Site is what is to be known of a site.
type Site struct {
	Hosts []string // its host names, without port; *.example.com stands for one more label; none: any host
	Root  string   // its document root; empty: there is none
}

// hosts are the host names of all sites.
func (w *Served) hosts() (hosts []string) {
	for _, site := range w.Sites {
		hosts = append(hosts, site.Hosts...)
	}
	return hosts
}

// Validate reports what cannot work for w, in the words of the settings below tls; nil: everything may.
func (t *Config) Validate(w *Served) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, name := range t.Challenges {
		spelling.OneOf(&errs, "tls.challenges", name, HTTP01, TLSALPN01)
	}
	if a, err := mail.ParseAddress(t.Email); t.Email != "" && (err != nil || a.Address != t.Email) {
		bad("tls.email: %q must be an e-mail address", t.Email)
	}
	if u, err := url.Parse(t.CA); t.CA != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		bad("tls.ca: %q must be the https:// URL of an ACME directory", t.CA)
	}
	if t.RedirectPort < 0 || t.RedirectPort > 65535 {
		bad("tls.redirect_port must be a port, or 0 for the https listener's, not %d", t.RedirectPort)
	}
	if len(w.HTTPS) == 0 {
		return errs
	}
	if _, err := t.caRoots(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, t.validateSecrets(w)...)
	var leaves []*x509.Certificate
	for _, f := range t.Certificates {
		cert, err := f.load()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		leaves = append(leaves, cert.Leaf)
	}
	auto, rest := t.automatic(w.hosts(), leaves)
	switch {
	case len(t.Certificates) == 0 && len(auto) == 0:
		errs = append(errs, t.noCertificate(rest))
	case len(auto) > 0 && len(t.usable(w)) == 0:
		bad("tls.challenges: the listen addresses allow none of %s: http-01 needs a plain one and tls-alpn-01 an https one, "+
			"with a port other than 0", strings.Join(t.allowed(), ", "))
	}
	return errs
}

// noCertificate says why there is no way to any certificate, and what to do. hosts are the sites' host names.
func (t *Config) noCertificate(hosts []string) error {
	const what = "listen has an https address, but there is no certificate: "
	switch {
	case !t.Auto:
		return fmt.Errorf(what + "set tls.certificates, or tls.auto to true")
	case len(hosts) == 0:
		return fmt.Errorf(what + "set hosts of a site for automatic ones, or tls.certificates")
	}
	for i, h := range hosts {
		hosts[i] = fmt.Sprintf("%q", h)
	}
	return fmt.Errorf(what+"none is to be had automatically for %s; set tls.certificates, or tls.ca to a private authority",
		strings.Join(hosts, ", "))
}

// validateSecrets refuses private keys where a site would serve them.
func (t *Config) validateSecrets(w *Served) (errs []error) {
	for _, site := range w.Sites {
		if isServed(site.Root, t.Storage) {
			errs = append(errs, fmt.Errorf("tls.storage: %q lies in the document root %q, where keys could be downloaded",
				t.Storage, site.Root))
		}
		for _, f := range t.Certificates {
			if isServed(site.Root, f.Key) {
				errs = append(errs, fmt.Errorf("tls.certificates: key %q lies in the document root %q, where it could be downloaded",
					f.Key, site.Root))
			}
		}
	}
	return errs
}

// isServed says whether path lies in a document root; names with a leading dot are never served.
func isServed(root, path string) bool {
	if root == "" || path == "" {
		return false
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return false
	}
	return rel == "." || !strings.Contains(string(filepath.Separator)+rel, string(filepath.Separator)+".") // ".." neither
}

// caRoots are the roots to trust for the authority's own HTTPS; nil are those of the system.
func (t *Config) caRoots() (*x509.CertPool, error) {
	if t.CARoot == "" {
		return nil, nil
	}
	text, err := os.ReadFile(t.CARoot)
	if err != nil {
		return nil, fmt.Errorf("tls.ca_root: cannot read the file: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls.ca_root: %q holds no certificate in PEM", t.CARoot)
	}
	return pool, nil
}

// automatic divides the host names that no certificate file covers, in their order: auto can be had by ACME, rest cannot.
func (t *Config) automatic(hosts []string, files []*x509.Certificate) (auto, rest []string) {
	for _, h := range hosts {
		h = strings.ToLower(h)
		covered := slices.ContainsFunc(files, func(leaf *x509.Certificate) bool { return leaf.VerifyHostname(h) == nil })
		switch {
		case covered || slices.Contains(auto, h) || slices.Contains(rest, h):
		case t.Auto && t.qualifies(h):
			auto = append(auto, h)
		default:
			rest = append(rest, h)
		}
	}
	return auto, rest
}

// qualifies says whether the authority may certify a host name after a challenge that we can answer; for a wildcard it
// would have to be one by DNS (RFC 8555 section 8.4).
func (t *Config) qualifies(host string) bool {
	if strings.Contains(host, "*") || !certmagic.SubjectQualifiesForCert(host) {
		return false
	}
	if u, err := url.Parse(t.CA); t.CA != "" && err == nil && !strings.HasSuffix(u.Hostname(), ".api.letsencrypt.org") {
		return true
	}
	top := host[strings.LastIndexByte(host, '.')+1:]
	reserved := []string{"test", "example", "invalid"} // RFC 6761 section 6; certmagic knows localhost and private ones
	return top != host && !slices.Contains(reserved, top) &&
		certmagic.SubjectQualifiesForPublicCert(host) && !certmagic.SubjectIsIP(host)
}

// allowed are the challenges that the configuration allows.
func (t *Config) allowed() []string {
	if len(t.Challenges) == 0 {
		return []string{HTTP01, TLSALPN01}
	}
	return t.Challenges
}

// usable are the allowed challenges that have a listener, each with it.
func (t *Config) usable(w *Served) map[string]listen.Addr {
	found := map[string]listen.Addr{}
	for challenge, candidates := range map[string][]listen.Addr{
		HTTP01: preferPort(w.Plain, "80"), TLSALPN01: preferPort(w.HTTPS, "443"),
	} {
		if len(candidates) > 0 && candidates[0].Port != "0" && slices.Contains(t.allowed(), challenge) {
			found[challenge] = candidates[0]
		}
	}
	return found
}

// preferPort puts the addresses with a port in front, and those with any free port at the end.
func preferPort(addrs []listen.Addr, port string) []listen.Addr {
	sorted := slices.Clone(addrs)
	slices.SortStableFunc(sorted, func(a, b listen.Addr) int { return portRank(a.Port, port) - portRank(b.Port, port) })
	return sorted
}

func portRank(port, preferred string) int {
	switch port {
	case preferred:
		return 0
	case "0":
		return 2
	}
	return 1
}
