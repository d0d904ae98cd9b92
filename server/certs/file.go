package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// fileCheckInterval is how long a certificate file is used before it is looked at again.
const fileCheckInterval = time.Second

// fileCertificate is a certificate of the operator, which is read again when its files change.
type fileCertificate struct {
	File
	hosts  []string // of the sites, for what a new certificate no longer covers
	log    *slog.Logger
	loaded atomic.Pointer[tls.Certificate] // the last that was good

	mu      sync.Mutex // guards what is below; handshakes that find it taken go on with what is loaded
	checked time.Time
	stamp   pairStamp // of the last try, good or bad
}

// pairStamp tells one state of a pair of files from another.
type pairStamp struct {
	cert, key fileStamp
}

type fileStamp struct {
	modified int64 // in nanoseconds since 1970; 0 for a missing file
	size     int64
}

// openFileCertificate reads a pair for the first time.
func openFileCertificate(f File, hosts []string, log *slog.Logger) (*fileCertificate, error) {
	stamp := f.stamp() // before reading: a change in between is then seen at the next check
	cert, err := f.load()
	if err != nil {
		return nil, err
	}
	c := &fileCertificate{File: f, hosts: hosts, log: log, checked: time.Now(), stamp: stamp}
	c.loaded.Store(cert)
	return c, nil
}

// current returns the certificate, of the files as they were at most fileCheckInterval ago.
func (c *fileCertificate) current() *tls.Certificate {
	if c.mu.TryLock() {
		if now := time.Now(); now.Sub(c.checked) >= fileCheckInterval {
			c.checked = now
			c.reloadLocked()
		}
		c.mu.Unlock()
	}
	return c.loaded.Load()
}

// reloadLocked reads the files if they have changed since the last try. A pair that cannot be used is reported once: with
// two files there is a moment when the new certificate stands beside the old key.
func (c *fileCertificate) reloadLocked() {
	stamp := c.File.stamp()
	if stamp == c.stamp {
		return
	}
	c.stamp = stamp
	cert, err := c.load()
	if err != nil {
		c.log.Error("cannot reload certificate, the old one stays in use", "cert", c.Cert, "error", err)
		return
	}
	for _, text := range slices.Concat(certificateTroubles(cert, time.Now()), noLongerCovered(c.loaded.Load().Leaf, cert.Leaf, c.hosts)) {
		c.log.Warn("the new certificate may not do", "cert", c.Cert, "why", text)
	}
	c.loaded.Store(cert)
	c.log.Info("certificate reloaded", "cert", c.Cert, "not_after", cert.Leaf.NotAfter)
}

// load reads the pair and checks that it is one.
func (f File) load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.certificates: cannot use certificate %q with key %q: %v", f.Cert, f.Key, err)
	}
	return &cert, nil
}

func (f File) stamp() pairStamp { return pairStamp{stampOf(f.Cert), stampOf(f.Key)} }

func stampOf(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime().UnixNano(), info.Size()}
}
