package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/server/accept"
	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/peer"
)

const (
	// adminHeaderTimeout and adminWriteTimeout bound what one request to the admin address may take. A handler that streams
	// sets deadlines of its own, with http.ResponseController.
	adminHeaderTimeout = 10 * time.Second
	adminWriteTimeout  = time.Minute
	// adminStopTimeout is how long its requests may go on at the end of a shutdown.
	adminStopTimeout = time.Second
	// adminCookie is given to a browser that came with ?token=.
	adminCookie = "phpserve_admin"
)

// admin is the listener for operators: health, metrics, dashboard. It is not one of the sites' and ends after them.
type admin struct {
	listener net.Listener
	http     *http.Server
	limit    accept.Limit
	serving  sync.WaitGroup
	conns    sync.WaitGroup     // those that are open
	cancel   context.CancelFunc // ends the requests that go on for long

	host     string // of Config.Admin
	loopback bool
	token    string // empty: none is asked for
	cookie   string // the value of adminCookie that stands for the token

	stopping atomic.Bool // Stop has begun
}

// adminHandlers says what the admin address answers. The checks of admin.ServeHTTP stand before all of it.
func (s *Server) adminHandlers(mux *http.ServeMux) {
	mux.HandleFunc("GET "+adminHealthPath, func(w http.ResponseWriter, _ *http.Request) { adminText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET "+adminReadyPath, s.answerReady)
	mux.Handle("GET /metrics", s.metrics.Handler(log.New(&httpErrors{s.log}, "", 0)))
	s.dashboardHandlers(mux)
}

// These two are answered without a token: probes have none, and the answers tell nothing else.
const (
	adminHealthPath = "/healthz"
	adminReadyPath  = "/readyz"
)

// adminSocket is the name of the admin address among the sockets that go from process to process.
func (c *Config) adminSocket() string { return "admin:" + c.Admin }

// openAdmin binds Config.Admin, unless its socket is inherited.
func (s *Server) openAdmin() error {
	if s.cfg.Admin == "" {
		return nil
	}
	addr, err := parseAdmin(s.cfg.Admin)
	if err != nil {
		return err
	}
	name := s.cfg.adminSocket()
	l := s.inherited[name]
	if l != nil {
		delete(s.inherited, name)
	} else if l, err = listen.Open(addr, "--admin"); err != nil {
		return err
	}
	a := &admin{listener: l, host: addr.Host, token: s.cfg.AdminToken, loopback: listen.IsLoopback(l)}
	if !a.loopback && a.token == "" {
		l.Close()
		return errAdminToken(s.cfg.Admin)
	}
	a.makeCookie()
	s.admin = a
	return nil
}

// makeCookie derives the cookie's value, which does not tell the token.
func (a *admin) makeCookie() {
	sum := hmac.New(sha256.New, []byte(a.token))
	_, _ = io.WriteString(sum, adminCookie) // a hash takes everything
	a.cookie = hex.EncodeToString(sum.Sum(nil))
}

// startAdmin begins to answer at the admin address.
func (s *Server) startAdmin() {
	a := s.admin
	if a == nil {
		return
	}
	mux := http.NewServeMux()
	s.adminHandlers(mux)
	running, cancel := context.WithCancel(context.Background())
	a.cancel, a.limit.Max = cancel, accept.AdminConnections()
	a.http = &http.Server{
		// No page of another origin may have a browser change anything here; what it reads, it cannot see without CORS.
		Handler:           a.guard(http.NewCrossOriginProtection().Handler(mux)),
		ReadHeaderTimeout: adminHeaderTimeout, ReadTimeout: adminWriteTimeout, WriteTimeout: adminWriteTimeout,
		IdleTimeout: s.cfg.IdleTimeout, MaxHeaderBytes: s.cfg.MaxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return running },
		ErrorLog:    log.New(&httpErrors{s.log}, "", 0),
		ConnState:   a.count,
	}
	a.serving.Go(func() { s.watch.run(running) })
	a.serving.Go(func() {
		if err := a.http.Serve(accept.Within(a.listener, &a.limit, running.Done())); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.broke(fmt.Errorf("cannot go on serving %s: %v", a.listener.Addr(), err))
		}
	})
}

// unready has /readyz say that the server stops, so that whoever balances load sends no more.
func (a *admin) unready() {
	if a != nil {
		a.stopping.Store(true)
	}
}

// count counts the connections that are open.
func (a *admin) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		accept.SlotOf(conn).Busy() // a connection that is being closed fails by itself
	case http.StateIdle:
		accept.SlotOf(conn).Rest()
	case http.StateNew:
		a.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		a.conns.Done()
	}
}

// leave leaves the address to another process that listens there, and answers who has connected already. (http.Server.Shutdown hangs
// up on who has not sent the whole request by then.)
func (a *admin) leave() {
	if a == nil || a.http == nil {
		return
	}
	a.listener.Close()
	a.cancel()
	a.serving.Wait()
	a.http.SetKeepAlivesEnabled(false)
	answered := make(chan struct{})
	go func() {
		a.conns.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-time.After(adminStopTimeout): // stop ends the rest
	}
}

// stop ends the admin address.
func (a *admin) stop() {
	switch {
	case a == nil:
		return
	case a.http == nil: // never started
		a.listener.Close()
		return
	}
	a.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), adminStopTimeout)
	defer cancel()
	if err := a.http.Shutdown(ctx); err != nil {
		a.http.Close()
	}
	a.serving.Wait()
}

// AdminURL is where operators look; empty if there is no such address. It is known after Start.
func (s *Server) AdminURL() string {
	if s.admin == nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(s.admin.listener.Addr().String()) // a TCP address has one
	host := s.admin.host
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// guard lets only those in who may come in.
func (a *admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		switch {
		case !a.knows(peer.Host(r.Host)):
			adminText(w, http.StatusMisdirectedRequest,
				"this address answers to the names of this machine only, not to the Host header of this request")
		case a.token == "" || r.URL.Path == adminHealthPath || r.URL.Path == adminReadyPath || a.allowed(r):
			next.ServeHTTP(w, r)
		case !a.matches(r.URL.Query().Get("token")):
			h.Set("WWW-Authenticate", `Bearer realm="phpserve"`)
			adminText(w, http.StatusUnauthorized,
				"the admin token is needed: Authorization: Bearer TOKEN, or once ?token=TOKEN in a browser")
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			a.welcome(w, r)
		default: // no browser, so it sends the token each time
			next.ServeHTTP(w, r)
		}
	})
}

// knows says whether a Host header may be one of ours. A page of the web that has its own name resolve to 127.0.0.1 (DNS
// rebinding) would else read everything through the operator's browser. Where other machines are let in, the token holds such
// pages off.
func (a *admin) knows(host string) bool {
	if !a.loopback {
		return true
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || host == strings.ToLower(a.host) && host != "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// allowed says whether a request has the token in its header or the cookie that stands for it.
func (a *admin) allowed(r *http.Request) bool {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return a.matches(strings.TrimSpace(token))
	}
	for _, c := range r.CookiesNamed(adminCookie) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(a.cookie)) == 1 {
			return true
		}
	}
	return false
}

// matches compares without telling by its time how much is right.
func (a *admin) matches(token string) bool {
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// welcome gives a browser its cookie and takes the token out of what it shows and remembers.
func (a *admin) welcome(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: adminCookie, Value: a.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	u := *r.URL
	query := u.Query()
	query.Del("token")
	u.RawQuery = query.Encode()
	u.Path = "/" + strings.TrimLeft(u.Path, "/") // "//host" would lead elsewhere
	u.RawPath, u.Scheme, u.Host, u.User = "", "", "", nil
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// answerReady says whether requests can be sent here: from the start until a shutdown begins, while every pool has workers or can
// make them.
func (s *Server) answerReady(w http.ResponseWriter, _ *http.Request) {
	if s.admin.stopping.Load() {
		adminText(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	var not []string
	for _, p := range s.Pools() {
		if !p.Ready() {
			not = append(not, p.Config().Name)
		}
	}
	if len(not) > 0 {
		adminText(w, http.StatusServiceUnavailable, "no workers: "+strings.Join(not, ", "))
		return
	}
	adminText(w, http.StatusOK, "ready")
}

// adminText answers with one line.
func adminText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, linelog.VisibleLines(text)+"\n") // who has left needs no answer
}

// parseAdmin reads Config.Admin: HOST:PORT, or PORT on loopback.
func parseAdmin(text string) (listen.Addr, error) {
	bad := fmt.Errorf("admin: %q must be HOST:PORT, or PORT on localhost", text)
	if strings.Contains(text, "//") {
		return listen.Addr{}, bad
	}
	addr, err := listen.Parse(text)
	if err != nil {
		return listen.Addr{}, bad
	}
	if !strings.Contains(text, ":") {
		addr.Host = "localhost"
	}
	addr.TLS = false
	return addr, nil
}

// errAdminToken is an address that others can reach and that would let everybody in.
func errAdminToken(addr string) error {
	return fmt.Errorf("admin: %q is not a loopback address, so admin_token must be set, to a long random text", addr)
}

// validateAdmin checks what can be known before the address is bound.
func (c *Config) validateAdmin() (errs []error) {
	if c.Admin == "" {
		return nil
	}
	addr, err := parseAdmin(c.Admin)
	if err != nil {
		return []error{err}
	}
	ip, err := netip.ParseAddr(addr.Host)
	if c.AdminToken == "" && (addr.Host == "" || err == nil && !ip.Unmap().IsLoopback()) {
		return []error{errAdminToken(c.Admin)}
	}
	hidden := func(r rune) bool { return r <= ' ' || r > '~' }
	if c.AdminToken != "" && (len(c.AdminToken) < 16 || strings.ContainsFunc(c.AdminToken, hidden)) {
		return []error{errors.New(
			"admin_token must be at least 16 visible ASCII characters, such as the output of: openssl rand -hex 16")}
	}
	return nil
}
