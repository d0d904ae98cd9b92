package server

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// admin is the listener for those who run the server: metrics and health. It is never an address of a site.
type admin struct {
	http  *http.Server
	done  chan struct{}
	token string
	local bool // the address is one that only this machine can reach
}

// tokenShortest is the least length of Config.AdminToken: it is all that keeps others out.
const tokenShortest = 16

// validateAdmin holds that whoever can reach the address from elsewhere needs a token.
func (c *Config) validateAdmin() error {
	if c.Admin == "" {
		return nil
	}
	a, err := parseListen(c.Admin)
	switch {
	case err != nil:
		return fmt.Errorf("admin: %w", err)
	case a.tls:
		return fmt.Errorf("admin must be HOST:PORT, not %q: it speaks plain HTTP", c.Admin)
	case c.AdminToken != "" && len(c.AdminToken) < tokenShortest:
		return fmt.Errorf("admin_token must have at least %d characters", tokenShortest)
	case c.AdminToken == "" && !loopbackHost(a.host):
		return fmt.Errorf("admin %q can be reached by other machines: it needs admin_token, or a loopback address such as localhost:9000", c.Admin)
	}
	return nil
}

// loopbackHost says whether a host name or address is this machine's own.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// openAdmin begins to answer on Config.Admin.
func (s *Server) openAdmin() error {
	if s.cfg.Admin == "" {
		return nil
	}
	addr, err := parseListen(s.cfg.Admin)
	if err != nil {
		return err
	}
	l, err := listen(addr)
	if err != nil {
		return err
	}
	a := &admin{token: s.cfg.AdminToken, local: isLoopback(l), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.ready.Load() {
			say(w, http.StatusOK, "ready\n")
		} else {
			say(w, http.StatusServiceUnavailable, "not ready\n")
		}
	})
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, s.software+"\n\n/metrics  for Prometheus\n/healthz  200 while phpserve runs\n/readyz   200 while it serves\n")
	})
	a.http = &http.Server{
		Handler: a.guard(mux), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	s.admin, s.adminURL = a, "http://"+l.Addr().String()
	go func() {
		defer close(a.done)
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.broke(fmt.Errorf("cannot go on listening on admin %s: %w", s.cfg.Admin, err))
		}
	}()
	return nil
}

// AdminURL is where the admin listener answers; empty without one. It is known after Start.
func (s *Server) AdminURL() string { return s.adminURL }

// close ends the listener; answers that are under way are cut off.
func (a *admin) close() {
	if a != nil {
		a.http.Close()
		<-a.done
	}
}

// guard lets in who has the token or, without one, who asks this machine by a name of its own: a page of elsewhere whose name
// leads to 127.0.0.1 does not (DNS rebinding).
func (a *admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		host := r.Host
		if name, _, err := net.SplitHostPort(r.Host); err == nil {
			host = name
		}
		switch {
		case a.token != "" && !a.knows(r):
			h.Set("WWW-Authenticate", "Bearer")
			say(w, http.StatusUnauthorized, "this needs Authorization: Bearer and the admin_token\n")
		case a.token == "" && a.local && !loopbackHost(host):
			say(w, http.StatusForbidden, "this is answered for localhost and loopback addresses only\n")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knows says whether the request has the token.
func (a *admin) knows(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(strings.TrimSpace(given)), []byte(a.token)) == 1
}

// say answers with a text.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // who does not wait for it does not get it
}
