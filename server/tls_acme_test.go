package server

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testcerts"
	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/certs"
)

// pebble is a real ACME authority (a tool of tools/go.mod) that looks for every host name on loopback.
type pebble struct {
	directory string
	root      string // file with the root of its own HTTPS
	http      int    // the port where it asks for HTTP-01 challenges
	tls       int    // the same for TLS-ALPN-01
	roots     *x509.CertPool
	log       *logBuffer
}

// startPebble builds and starts one whose certificates are valid for some seconds.
func startPebble(t *testing.T, validity int) *pebble {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "pebble")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../tools", "-o", binary, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build pebble: %v\n%s", err, out)
	}
	ca := testcerts.New(t)
	own := ca.Issue("pebble", "127.0.0.1")
	p := &pebble{root: filepath.Join(dir, "root.pem"), http: patient.Port(t), tls: patient.Port(t), log: newLogBuffer()}
	testfiles.Put(t, dir, map[string]string{"root.pem": string(ca.PEM)})
	listen, management := "127.0.0.1:"+strconv.Itoa(patient.Port(t)), "127.0.0.1:"+strconv.Itoa(patient.Port(t))
	p.directory = "https://" + listen + "/dir"
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": own.Cert, "privateKey": own.Key,
		"httpPort": p.http, "tlsPort": p.tls, "retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": validity}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	testfiles.Put(t, dir, map[string]string{"pebble.json": string(config)})
	cmd := exec.Command(binary, "-config", file, "-dnsserver", startDNS(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("pebble has ended before: %v", err)
		}
		cmd.Wait() // its status tells of the signal alone
		if t.Failed() {
			t.Logf("pebble:\n%s", p.log)
		}
	})

	// The root of what it issues is made anew at each start.
	client := httpsClient(t, ca.Pool, management, true)
	var root answer
	eventually(t, "pebble answers", func() (ok bool) {
		root, _, err = tryFetch(t, client, "https://127.0.0.1/roots/0")
		return err == nil
	})
	p.roots = x509.NewCertPool()
	if !p.roots.AppendCertsFromPEM([]byte(root.body)) {
		t.Fatalf("pebble's root is no certificate: %s", root.body)
	}
	return p
}

// orders is how many certificates have been ordered.
func (p *pebble) orders() int { return strings.Count(p.log.String(), "Added order ") }

// startDNS answers 127.0.0.1 for every name, over TCP as pebble asks, and returns its address.
func startDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				for answerDNS(conn) == nil {
				}
			})
		}
	})
	t.Cleanup(func() { // after pebble's end, which closes its connections
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// answerDNS answers one query; over TCP each message follows its length (RFC 1035 section 4.2.2).
func answerDNS(conn net.Conn) error {
	var length uint16
	if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
		return err
	}
	buf := make([]byte, length)
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	var query dnsmessage.Message
	if err := query.Unpack(buf); err != nil {
		return err
	}
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions,
	}
	for _, q := range query.Questions {
		if q.Type == dnsmessage.TypeA {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			})
		}
	}
	packed, err := reply.AppendPack(make([]byte, 2))
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint16(packed, uint16(len(packed)-2))
	_, err = conn.Write(packed)
	return err
}

// TestCertificateIsObtainedRedirectedToAndKept is the whole way with a real authority, through a real server with PHP.
func TestCertificateIsObtainedRedirectedToAndKept(t *testing.T) {
	for _, test := range []struct {
		challenge string
		host      string // of its own, because certmagic has one challenge per host name and process
		plain     bool   // there is a plain listener
	}{
		{certs.HTTP01, "http.example", true},
		{certs.TLSALPN01, "tls.example", false}, // without one, this challenge is the only way
	} {
		t.Run(test.challenge, func(t *testing.T) {
			t.Parallel()
			p := startPebble(t, 90*24*3600)
			plain, https := "127.0.0.1:"+strconv.Itoa(p.http), "127.0.0.1:"+strconv.Itoa(p.tls)
			storage := t.TempDir()
			start := func(t *testing.T) *testServer {
				return startWithACME(t, p, storage, test.host, func(c *Config) {
					if test.plain {
						c.Listen = append(c.Listen, plain)
						c.TLS.Challenges = []string{test.challenge}
					}
				})
			}
			var first *x509.Certificate
			obtained := t.Run("obtained", func(t *testing.T) {
				ts := start(t)
				if test.plain {
					checkRedirect(t, plain, test.host, p.tls)
				}
				first = checkHTTPS(t, p.roots, https, test.host)
				ts.log.waitFor(t, `msg="certificate obtained" host=`+test.host)
				ts.log.waitFor(t, "challenge="+test.challenge)
			})
			if !obtained || p.orders() != 1 {
				t.Fatalf("%d orders for the first certificate, want 1", p.orders())
			}
			t.Run("kept", func(t *testing.T) {
				start(t)
				if again := checkHTTPS(t, p.roots, https, test.host); !again.Equal(first) {
					t.Error("the restarted server has another certificate")
				}
				if test.plain {
					checkRedirect(t, plain, test.host, p.tls)
				}
			})
			if p.orders() != 1 {
				t.Errorf("the restarted server has ordered a certificate again")
			}
		})
	}
}

// checkHTTPS waits for the certificate, checks what PHP answers over HTTP/2, and returns the certificate.
func checkHTTPS(t *testing.T, roots *x509.CertPool, addr, host string) (cert *x509.Certificate) {
	t.Helper()
	client := httpsClient(t, roots, addr, true)
	var a answer
	eventually(t, "https with a certificate of the authority", func() bool {
		var err error
		a, cert, err = tryFetch(t, client, "https://"+host+"/")
		return err == nil
	})
	if want := "HTTP/2.0 on " + host; a.body != want || a.Proto != "HTTP/2.0" {
		t.Errorf("got %q over %s, want %q", a.body, a.Proto, want)
	}
	return cert
}

// checkRedirect waits until a plain request is redirected, and checks where to; until then it must be answered.
func checkRedirect(t *testing.T, addr, host string, port int) {
	t.Helper()
	client := httpsClient(t, nil, addr, false)
	var a answer
	eventually(t, "a redirect", func() bool {
		a, _ = fetch(t, client, "http://"+host+"/a?b=c")
		return a.StatusCode != http.StatusNotFound // there is no /a
	})
	want := "https://" + host + ":" + strconv.Itoa(port) + "/a?b=c"
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusMovedPermanently || got != want {
		t.Errorf("got %d %q, want 301 %q", a.StatusCode, got, want)
	}
}

// startWithACME starts a server whose only site is host, which has to get its certificate from p.
func startWithACME(t *testing.T, p *pebble, storage, host string, change func(*Config)) *testServer {
	t.Helper()
	return startServer(t, manager.EngineSpawn, map[string]string{
		"index.php": "<?php echo $_SERVER['SERVER_PROTOCOL'], ' ', $_SERVER['HTTPS'] ?? 'plain', ' ', $_SERVER['SERVER_NAME'];",
	}, func(c *Config) {
		c.Listen = []string{"https://127.0.0.1:" + strconv.Itoa(p.tls)}
		c.Sites[0].Hosts = []string{host}
		c.TLS.CA, c.TLS.CARoot, c.TLS.Storage, c.TLS.Email = p.directory, p.root, storage, "ops@"+host
		change(c)
	})
}

// A stored certificate that will expire before long is used, and replaced as soon as there is a new one.
func TestStoredCertificateNearItsEndIsRenewedAtTheStart(t *testing.T) {
	t.Parallel()
	const host = "renew.example"
	p, storage, obtained := startPebble(t, 600), "", 0
	addr := "127.0.0.1:" + strconv.Itoa(p.tls)
	var first *x509.Certificate
	// Pebble does not find the order of a certificate whose serial number has a zero byte in front in the renewal's request, which
	// DER puts there when the number's first bit is set.
	for first == nil || first.SerialNumber.Bytes()[0] >= 0x80 {
		storage = t.TempDir()
		obtained++
		if !t.Run("obtained", func(t *testing.T) {
			startWithACME(t, p, storage, host, func(*Config) {})
			first = checkHTTPS(t, p.roots, addr, host)
		}) {
			t.FailNow()
		}
	}
	t.Run("renewed", func(t *testing.T) {
		ts := startWithACME(t, p, storage, host, func(*Config) {})
		ts.log.waitFor(t, `msg="certificate obtained" host=renew.example`)
		eventually(t, "the new certificate is served", func() bool { return !checkHTTPS(t, p.roots, addr, host).Equal(first) })
	})
	if p.orders() != obtained+1 {
		t.Errorf("%d orders for %d certificates and a renewal", p.orders(), obtained)
	}
}
