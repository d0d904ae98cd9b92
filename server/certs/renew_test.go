package certs

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testcerts"
)

// testIssuer issues certificates without any questions.
type testIssuer struct {
	ca   *testcerts.Authority
	left time.Duration // how long they are valid from now on; they have been for an hour
}

func (i *testIssuer) IssuerKey() string { return "test" }

func (i *testIssuer) Issue(_ context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(i.left),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.ca.Cert, csr.PublicKey, i.ca.Key)
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// Once there is a new certificate, the old one is nowhere any more.
func TestRenewedCertificateTakesThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	const host = "www.phpserve.org"
	issuer, storage := &testIssuer{ca: testcerts.New(t), left: time.Minute}, t.TempDir()
	// obtained starts a store and returns the only certificate that it has, once there is one with at least so much time left.
	obtained := func(left time.Duration) *x509.Certificate {
		c := newSites(t, []string{"https://:8443"}, []string{host})
		c.tls.Storage = storage
		s := newTestStore(t, c)
		s.magic.Issuers = []certmagic.Issuer{issuer}
		s.Start(t.Context())
		defer s.Stop()
		for late := patient.Late(); ; {
			if all := s.cache.AllMatchingCertificates(host); len(all) == 1 && time.Until(all[0].Leaf.NotAfter) > left {
				return all[0].Leaf
			}
			select {
			case <-late:
				t.Fatal("there is no such certificate, or more than one")
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	first := obtained(0)
	issuer.left = 24 * time.Hour
	if next := obtained(12 * time.Hour); next.Equal(first) {
		t.Error("the certificate was not renewed")
	}
}
