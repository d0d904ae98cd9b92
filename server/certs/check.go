package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Warnings says what visitors of the sites would be warned of by their browsers: a host that no certificate covers, and
// certificates that are not valid now or cannot be followed to their authority. What makes a certificate unusable, such as another
// key, is an error of [Config.Validate] and not here. Nil: they would be warned of nothing, or there is no HTTPS.
func (t *Config) Warnings(w *Served) (warnings []string) {
	if len(w.HTTPS) == 0 {
		return nil
	}
	var leaves []*x509.Certificate
	for _, f := range t.Certificates {
		cert, err := f.load()
		if err != nil {
			continue
		}
		leaves = append(leaves, cert.Leaf)
		for _, text := range certificateTroubles(cert, time.Now()) {
			warnings = append(warnings, fmt.Sprintf("tls.certificates: %q %s", f.Cert, text))
		}
	}
	if len(leaves) == 0 {
		return warnings
	}
	var names []string
	for _, leaf := range leaves {
		names = append(names, namesOf(leaf)...)
	}
	_, rest := t.automatic(w.hosts(), leaves)
	for _, host := range rest {
		warnings = append(warnings, fmt.Sprintf("tls.certificates: no certificate covers %q of hosts, and none is to be had automatically: browsers will warn; "+
			"the files cover %s", host, strings.Join(names, ", ")))
	}
	return warnings
}

// namesOf are the names that a certificate is for, RFC 6125.
func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// noLongerCovered says which hosts a new certificate leaves out.
func noLongerCovered(before, now *x509.Certificate, hosts []string) (texts []string) {
	for _, h := range hosts {
		h = strings.ToLower(h)
		if before.VerifyHostname(h) == nil && now.VerifyHostname(h) != nil {
			texts = append(texts, fmt.Sprintf("does not cover %q any more: it is for %s", h, strings.Join(namesOf(now), ", ")))
		}
	}
	return texts
}

// certificateTroubles says why browsers would refuse a certificate, whatever the host.
func certificateTroubles(cert *tls.Certificate, now time.Time) (texts []string) {
	say := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	leaf := cert.Leaf
	switch {
	case now.After(leaf.NotAfter):
		say("has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		say("is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if len(namesOf(leaf)) == 0 {
		say("names no host (subjectAltName); browsers do not look at its subject %q", leaf.Subject.CommonName)
	}
	if text := weakness(leaf); text != "" {
		say("%s", text)
	}
	if leaf.IsCA && len(cert.Certificate) > 1 {
		say("begins with the certificate of an authority: the site's own must be the first one")
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		say("is not for servers (extendedKeyUsage)")
	}
	return append(texts, chainTroubles(cert, now)...)
}

// weakness says that a certificate can be forged.
func weakness(leaf *x509.Certificate) string {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			return fmt.Sprintf("has an RSA key of %d bits: less than 2048 is refused", bits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Sprintf("has an elliptic key of %d bits: less than 256 is refused", bits)
		}
	}
	switch leaf.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return fmt.Sprintf("is signed with %s, which is refused", leaf.SignatureAlgorithm)
	}
	return ""
}

// chainTroubles says why a chain does not lead to an authority. One that this system does not know may be a private one, whose
// visitors do, but then the certificate that it signed with must be there.
func chainTroubles(cert *tls.Certificate, now time.Time) (texts []string) {
	chain := []*x509.Certificate{cert.Leaf}
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return append(texts, fmt.Sprintf("holds a certificate that cannot be read: %v", err))
		}
		chain = append(chain, c)
	}
	for i, c := range chain[1:] {
		if now.After(c.NotAfter) {
			texts = append(texts, fmt.Sprintf("has a certificate number %d in its chain, %q, that has expired at %s", i+2, c.Subject.CommonName,
				c.NotAfter.UTC().Format(time.RFC3339)))
		}
		if err := chain[i].CheckSignatureFrom(c); err != nil {
			return append(texts, fmt.Sprintf("is not in order: certificate number %d, %q, did not sign number %d, %q", i+2, c.Subject.CommonName,
				i+1, chain[i].Subject.CommonName))
		}
	}
	last := chain[len(chain)-1]
	if string(last.RawIssuer) == string(last.RawSubject) { // it is signed by itself, or by an authority that is at the end
		return texts
	}
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	_, err := cert.Leaf.Verify(x509.VerifyOptions{Intermediates: inter, CurrentTime: cert.Leaf.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok && unknown.Cert != nil {
		texts = append(texts, fmt.Sprintf("does not lead to an authority that this system knows: the certificate of %q is missing behind it, "+
			"unless that is a private authority", last.Issuer.CommonName))
	}
	return texts
}
