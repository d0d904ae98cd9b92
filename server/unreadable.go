package server

import (
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/files"
)

// What php-cgi answers, and logs nothing of, where its user may not open a script: with 403, and with 404 where it may not enter a folder
// on the way (sapi/cgi/cgi_main.c:main).
const (
	accessDenied = "Access denied.\n"
	noInputFile  = "No input file specified.\n"
)

// tellDenied says in the log why PHP could not open a script, if that is what the response means.
func (y *relay) tellDenied(body []byte) {
	said := ""
	switch y.head.Status {
	case http.StatusForbidden:
		said = accessDenied
	case http.StatusNotFound:
		said = noInputFile
	default:
		return
	}
	if string(body) == said || y.r.Method == http.MethodHead && len(body) == 0 {
		cfg := y.x.php.use.Load().Config()
		y.s.tellUnreadable(y.s.log.With("pool", cfg.Name), &cfg, y.x.script)
	}
}

// tellUnreadable says in the log why PHP's user cannot read a script, if it cannot. Every request would repeat it.
func (s *Server) tellUnreadable(log *slog.Logger, pool *manager.PoolConfig, script string) {
	if pool.Chroot != "" || !s.rare.due("unreadable", script) {
		return
	}
	if err := pool.CanRead(script); err != nil {
		log.Error("PHP cannot open a script", "script", script, "error", err)
	}
}

// tellForbidden says in the log why a file of a site cannot be read. What the URL is depends on the client, so one line in a minute
// must do for each site.
func (s *Server) tellForbidden(x *exchange, r *http.Request) {
	urlPath, err := files.CleanPath(r.URL.EscapedPath())
	if err != nil || !s.rare.due("forbidden", x.site.Config.Root) {
		return
	}
	cfg := x.php.use.Load().Config()
	if err := cfg.CanRead(filepath.Join(x.site.Config.Root, filepath.FromSlash(urlPath))); err != nil {
		s.log.Error("a file cannot be read", "pool", cfg.Name, "url", urlPath, "error", err)
	}
}
