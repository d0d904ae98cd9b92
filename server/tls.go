package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
)

type TLSConfig struct {
	Auto                       bool
	Email, CA, CARoot, Storage string
	Certificates               []CertificateFile
	Redirect                   bool
}
type CertificateFile struct{ Cert, Key string }

func DefaultTLSConfig() TLSConfig               { return TLSConfig{Auto: true, Redirect: true} }
func (t *TLSConfig) validate(c *Config) []error { return nil }

type certificates struct{}

func newCertificates(c *Config, log *slog.Logger) (*certificates, error) { return &certificates{}, nil }
func (c *certificates) start(ctx context.Context) error                  { return nil }
func (c *certificates) config() *tls.Config                              { return nil }
func (c *certificates) plain(n http.Handler) http.Handler                { return n }
func (c *certificates) stop()                                            {}
