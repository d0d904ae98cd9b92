//go:debug rsa1024min=0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/testcerts"
)

// TestCertificateWarningsNameHostAndFile: what browsers would warn of is told before a visitor sees it.
func TestCertificateWarningsNameHostAndFile(t *testing.T) {
	t.Parallel()
	ca := testcerts.New(t)
	tests := []struct {
		name, host string
		names      []string
		change     func(*x509.Certificate)
		chain      func(leaf []byte) [][]byte // behind or in the place of the leaf; nil: the authority behind it
		key        any
		want       []string // parts of the warnings; none: no warning
	}{
		{name: "it covers the host", host: "example.com", names: []string{"example.com"}},
		{name: "in another case", host: "Example.COM", names: []string{"example.com"}},
		{name: "another host", host: "www.example.test", names: []string{"example.test"}, want: []string{`no certificate covers "www.example.test" of hosts`}},
		{name: "a wildcard", host: "a.example.com", names: []string{"*.example.com"}},
		{name: "a wildcard is one level", host: "a.b.example.test", names: []string{"*.example.test"}, want: []string{`"a.b.example.test" of hosts, and none is to be had automatically: browsers will warn; the files cover *.example.test`}},
		{name: "a wildcard is not its parent", host: "example.test", names: []string{"*.example.test"}, want: []string{`"example.test"`}},
		{name: "a wildcard site", host: "*.example.com", names: []string{"*.example.com"}},
		{name: "a wildcard site without its certificate", host: "*.example.com", names: []string{"a.example.com"}, want: []string{`"*.example.com"`}},
		{name: "an address", host: "192.0.2.1", names: []string{"192.0.2.1"}},
		{name: "an address that is no name", host: "192.0.2.1", names: []string{"example.com"}, want: []string{`"192.0.2.1"`}},
		{name: "no name at all", host: "example.test", want: []string{"names no host (subjectAltName)", `no certificate covers "example.test"`}},
		{name: "expired", host: "example.com", names: []string{"example.com"}, want: []string{"has expired at"}, change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
		}},
		{name: "not yet valid", host: "example.com", names: []string{"example.com"}, want: []string{"is not valid before"}, change: func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Hour)
		}},
		{name: "for clients", host: "example.com", names: []string{"example.com"}, want: []string{"is not for servers"}, change: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}},
		{
			name: "without its authority", host: "example.com", names: []string{"example.com"}, chain: func(leaf []byte) [][]byte { return [][]byte{leaf} },
			want: []string{`the certificate of "Test CA" is missing behind it`},
		},
		{name: "another authority behind it", host: "example.com", names: []string{"example.com"}, chain: func(leaf []byte) [][]byte {
			return [][]byte{leaf, testcerts.New(t).Cert.Raw}
		}, want: []string{`certificate number 2, "Test CA", did not sign number 1`}},
		{name: "a short RSA key", host: "example.com", names: []string{"example.com"}, key: shortKey(t), want: []string{"has an RSA key of 1024 bits"}},
		{name: "a short elliptic key", host: "example.com", names: []string{"example.com"}, key: ellipticKey(t), want: []string{"has an elliptic key of 224 bits"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := issueAs(t, ca, tt.names, tt.key, tt.change, tt.chain)
			c := newSites(t, []string{"https://127.0.0.1:0"}, []string{tt.host})
			c.tls.Auto = false
			c.tls.Certificates = []File{f}
			got := c.tls.Warnings(&c.served)
			if len(got) != len(tt.want) {
				t.Errorf("%q; want %q", got, tt.want)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(got, func(text string) bool {
					return strings.Contains(text, want) && strings.HasPrefix(text, "tls.certificates: ")
				}) {
					t.Errorf("%q; want %q", got, want)
				}
			}
			c.served.Plain, c.served.HTTPS = c.served.HTTPS, nil
			if got := c.tls.Warnings(&c.served); got != nil {
				t.Errorf("without https: %q", got)
			}
		})
	}
}

func shortKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ellipticKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issueAs writes a certificate that is changed first, with a key and a chain.
func issueAs(t *testing.T, ca *testcerts.Authority, names []string, key any, change func(*x509.Certificate), chain func([]byte) [][]byte) File {
	t.Helper()
	f := issue(ca, strings.NewReplacer("*", "x", "/", "x").Replace(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]), names...)
	cert, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	template := *cert.Leaf
	template.SerialNumber, template.Subject = big.NewInt(7), pkix.Name{CommonName: "leaf"}
	if change != nil {
		change(&template)
	}
	var public any
	switch k := key.(type) {
	case *rsa.PrivateKey:
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	default:
		k2 := testcerts.NewKey(t)
		key, public = k2, &k2.PublicKey
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &template, ca.Cert, public, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	ders := [][]byte{leaf, ca.Cert.Raw}
	if chain != nil {
		ders = chain(leaf)
	}
	testcerts.Pair(f).Write(t, key, ders...)
	return f
}

// TestNewCertificateThatLeavesAHostOut is told when the file changes.
func TestNewCertificateThatLeavesAHostOut(t *testing.T) {
	t.Parallel()
	ca := testcerts.New(t)
	before, err := issue(ca, "before", "example.com", "www.example.com").load()
	if err != nil {
		t.Fatal(err)
	}
	now, err := issue(ca, "now", "example.com").load()
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"example.com", "WWW.example.com", "other.example.com"}
	if got := noLongerCovered(before.Leaf, now.Leaf, hosts); len(got) != 1 || !strings.Contains(got[0], `"www.example.com" any more: it is for example.com`) {
		t.Errorf("%q", got)
	}
	if got := noLongerCovered(now.Leaf, before.Leaf, hosts); got != nil {
		t.Errorf("%q", got)
	}
}
