package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/peer"
)

// acmeProtocol is the ALPN protocol of TLS-ALPN-01 challenges (RFC 8737 section 6.2).
const acmeProtocol = "acme-tls/1"

// Store has the certificates of a server: those of files, and those that it obtains by ACME.
type Store struct {
	log      *slog.Logger
	https    bool // there is an https listener; without one nothing else is set
	redirect bool
	port     string // of https URLs, with its colon; empty for 443
	trusted  peer.Proxies

	files   []*fileCertificate
	managed map[string]*managedName // by host name
	// A client that asks for no name or for an unknown one gets the certificate of the first site, which also answers
	// for unknown hosts over HTTP. Never any other: it would tell the names of other sites to whoever asks for none
	// (CVE-2018-19148). Where the first site has no certificate, such a client is refused.
	fallback     []string // the first site's host names
	fallbackFile bool     // the first site has no host names: the first file is its certificate

	cache  *certmagic.Cache
	magic  *certmagic.Config
	issuer *certmagic.ACMEIssuer

	cancel   context.CancelFunc
	managing sync.WaitGroup
	stopping sync.Once
}

// managedName is a host name whose certificate is obtained and renewed.
type managedName struct {
	loaded chan struct{} // closed when the storage has been looked at
	ready  atomic.Bool   // there is a certificate
}

// New reads the certificate files of t and prepares for what is to be obtained for w, which [Store.Start] begins. The error is a file
// that cannot be used. Without HTTPS in w, the store does nothing.
func New(t *Config, w *Served, log *slog.Logger) (*Store, error) {
	if len(w.HTTPS) == 0 {
		return &Store{log: log}, nil
	}
	s := &Store{log: log, https: true, redirect: t.Redirect, trusted: w.Trusted}
	switch port := preferPort(w.HTTPS, "443")[0].Port; {
	case t.RedirectPort != 0 && t.RedirectPort != 443:
		s.port = ":" + strconv.Itoa(t.RedirectPort)
	case t.RedirectPort == 443 || port == "443":
	case port == "0":
		s.redirect = false // nobody can know where to
	default:
		s.port = ":" + port
	}
	var leaves []*x509.Certificate
	for _, f := range t.Certificates {
		file, err := openFileCertificate(f, w.hosts(), log)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, file)
		leaves = append(leaves, file.loaded.Load().Leaf)
	}
	if len(w.Sites) > 0 {
		s.fallback, s.fallbackFile = w.Sites[0].Hosts, len(w.Sites[0].Hosts) == 0
	}
	auto, rest := t.automatic(w.hosts(), leaves)
	if len(rest) > 0 {
		log.Warn("some hosts have no certificate", "hosts", rest)
	}
	if len(auto) == 0 {
		return s, nil
	}
	s.managed = map[string]*managedName{}
	for _, name := range auto {
		s.managed[name] = &managedName{loaded: make(chan struct{})}
	}
	return s, s.newMagic(t, t.usable(w))
}

// newMagic prepares certmagic. Everything is given, so that nothing of its package-wide defaults is shared with another
// server of the process. challenges has the listener of each.
func (s *Store) newMagic(t *Config, challenges map[string]listen.Addr) error {
	roots, err := t.caRoots()
	if err != nil {
		return err
	}
	logger := zap.New(newZapCore(s.log)).Named("certmagic")
	issuer := certmagic.ACMEIssuer{
		CA: t.CA, Email: t.Email, Agreed: true, TrustedRoots: roots, Logger: logger,
	}
	// certmagic opens a port for a challenge unless somebody listens there: with these numbers our own listeners do.
	for name, addr := range challenges {
		port, err := strconv.Atoi(addr.Port)
		if err != nil {
			return fmt.Errorf("cannot use port %q for challenges: %v", addr.Port, err)
		}
		if name == HTTP01 {
			issuer.AltHTTPPort = port
		} else {
			issuer.AltTLSALPNPort = port
		}
	}
	issuer.DisableHTTPChallenge, issuer.DisableTLSALPNChallenge = issuer.AltHTTPPort == 0, issuer.AltTLSALPNPort == 0
	h, a := challenges[HTTP01], challenges[TLSALPN01]
	if h.Host == a.Host || issuer.DisableHTTPChallenge {
		issuer.ListenHost = a.Host
	} else if issuer.DisableTLSALPNChallenge {
		issuer.ListenHost = h.Host
	}
	config := certmagic.Config{Logger: logger, OnEvent: s.event}
	if t.Storage != "" {
		config.Storage = &certmagic.FileStorage{Path: t.Storage}
	}
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		Logger:           logger,
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return s.magic, nil },
	})
	s.magic = certmagic.New(s.cache, config)
	s.issuer = certmagic.NewACMEIssuer(s.magic, issuer)
	s.magic.Issuers = []certmagic.Issuer{s.issuer}
	return nil
}

// event logs what certmagic has achieved; it logs failures by itself.
func (s *Store) event(_ context.Context, event string, data map[string]any) error {
	if event == "cert_obtained" {
		s.log.Info("certificate obtained", "host", data["identifier"], "issuer", data["issuer"], "renewal", data["renewal"])
	}
	return nil
}

// Start begins to obtain the certificates that are not in the storage, and to renew. It does not wait for any: the
// listeners have to answer the challenges. What cannot be obtained is in the log, and tried again. ctx gives values only; [Store.Stop]
// ends what is started.
func (s *Store) Start(ctx context.Context) {
	if s.magic == nil {
		return
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for name, m := range s.managed {
		s.managing.Go(func() {
			if err := s.manage(ctx, name, m); err != nil && ctx.Err() == nil {
				s.log.Error("cannot get a certificate", "host", name, "error", err)
			}
		})
	}
}

// manage loads a certificate, obtains it if there is none, and renews it if its time has come; certmagic's maintenance
// goes on from there. The methods named Async are the ones that ask no questions and try again; they block.
func (s *Store) manage(ctx context.Context, name string, m *managedName) error {
	old, err := s.magic.CacheManagedCertificate(ctx, name)
	m.ready.Store(err == nil)
	close(m.loaded)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = s.magic.ObtainCertAsync(ctx, name)
	case err == nil && old.NeedsRenewal(s.magic):
		err = s.magic.RenewCertAsync(ctx, name, false)
	default:
		return err
	}
	if err != nil {
		return err
	}
	if _, err := s.magic.CacheManagedCertificate(ctx, name); err != nil {
		return err
	}
	m.ready.Store(true)
	if !old.Empty() {
		s.cache.Remove([]string{old.Hash()})
	}
	return nil
}

// TLSConfig is the TLS side of an https listener. Of a connection that agreed on a protocol other than those of HTTP, the handshake was
// all: it was a challenge. TLS 1.0 and 1.1
// are out of use (RFC 8996).
func (s *Store) TLSConfig() *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: s.get,
	}
	if s.magic != nil {
		c.NextProtos = append(c.NextProtos, acmeProtocol)
	}
	return c
}

// get chooses the certificate for a handshake. Without one and without an error, crypto/tls refuses with the alert
// unrecognized_name (RFC 6066 section 3).
func (s *Store) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := tlsName(hello.ServerName)
	if s.managed[name] != nil && slices.Equal(hello.SupportedProtos, []string{acmeProtocol}) {
		return s.magic.GetCertificate(hello)
	}
	if cert := s.find(hello, name); cert != nil {
		return cert, nil
	}
	if s.managed[name] != nil {
		return nil, fmt.Errorf("there is no certificate for %q yet", name)
	}
	for _, name := range s.fallback {
		if cert := s.find(hello, tlsName(name)); cert != nil {
			return cert, nil
		}
	}
	if s.fallbackFile && len(s.files) > 0 {
		return s.files[0].current(), nil
	}
	return nil, nil
}

// find returns the certificate for a name: of those that cover it the first that the client can use, else the first.
func (s *Store) find(hello *tls.ClientHelloInfo, name string) (found *tls.Certificate) {
	if name == "" {
		return nil
	}
	if m := s.managed[name]; m != nil {
		select {
		case <-m.loaded: // right after the start, what is stored may not be loaded yet
		case <-hello.Context().Done():
			return nil
		}
		cert, err := certmagic.DefaultCertificateSelector(hello, s.cache.AllMatchingCertificates(name))
		if err != nil {
			return nil
		}
		return &cert.Certificate
	}
	for _, f := range s.files {
		cert := f.current()
		if cert.Leaf.VerifyHostname(name) != nil {
			continue
		}
		if hello.SupportsCertificate(cert) == nil {
			return cert
		}
		if found == nil {
			found = cert
		}
	}
	return found
}

// Stop ends what [Store.Start] began and waits for it. It may be called again, without Start, and of nil.
func (s *Store) Stop() {
	if s == nil || s.magic == nil {
		return
	}
	s.stopping.Do(func() {
		if s.cancel != nil {
			s.cancel()
		}
		s.managing.Wait()
		s.cache.Stop()
	})
}
