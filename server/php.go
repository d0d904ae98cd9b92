package server

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/buffer"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/site"
	"github.com/phpserve/phpserve/server/spool"
)

// servePHP runs the script of t for the request.
func (s *Server) servePHP(x *exchange, r *http.Request, t *site.Target) {
	x.script, x.pool = t.Script.Path, x.site.Config.Pool
	x.scriptName, x.clientText = t.ScriptName, x.client.String()
	x.php.use.Load().Accept()
	restoreTrailer(r)
	if err := s.runPHP(x, r, t); err != nil {
		s.fail(x, r, err, nil)
	}
}

// runPHP spools the body, takes a worker and relays. A request whose worker died before any answer is repeated once on
// another worker if that is safe (RFC 9110 §9.2.1), and as often as needed while the workers cannot have started it: they
// had died idle and the pool did not know yet.
func (s *Server) runPHP(x *exchange, r *http.Request, t *site.Target) error {
	in, err := s.spoolBody(x, r, x.site.Config.MaxBodySize)
	if err != nil {
		return err
	}
	defer in.Close()
	params := paramBuffers.Get().(*[]byte)
	defer paramBuffers.Put(params)
	*params = s.environment(x, r, t, in.Size).AppendParams((*params)[:0])
	for repeated := false; ; {
		queued := time.Now()
		worker, pool, err := x.php.acquire(r.Context(), x.key)
		x.queueTime += time.Since(queued)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				err = whyOver(r.Context())
			}
			return err
		}
		err = s.relayOnce(x, r, worker, pool, in, *params)
		we, again := mayRepeat(err, x.sent(), repeated, r.Method)
		if !again {
			return err
		}
		repeated = repeated || !we.unsent
		s.log.Warn("worker lost, request repeated on another", "pool", x.pool, "pid", x.pid, "script", x.script,
			"request_id", x.id, "error", we)
	}
}

// paramBuffers keeps the encoded parameters of finished requests.
var paramBuffers = buffer.NewPool(4 << 10)

// rawBuffers keeps the response buffers of finished requests.
var rawBuffers = buffer.NewPool(16 << 10)

// relayOnce relays through one worker.
func (s *Server) relayOnce(x *exchange, r *http.Request, worker *manager.Worker, pool *poolInUse, in *spool.Body, params []byte) error {
	x.pid = worker.PID()
	begun := manager.Request{
		ID: x.id, Method: r.Method, URI: r.RequestURI, Script: x.script, Name: x.scriptName, Query: r.URL.RawQuery, User: x.user,
		Client: x.clientText, ContentLength: in.Size,
	}
	if pool.terminate > 0 {
		begun.Deadline = time.Now().Add(pool.terminate)
	}
	worker.Begin(begun)
	raw := rawBuffers.Get().(*[]byte)
	y := &relay{
		s: s, x: x, r: r, worker: worker, conn: worker.Conn().(*fastcgi.Conn), messages: messageBuffer{token: pool.token}, raw: (*raw)[:0],
		body: in.Share(), deadline: begun.Deadline, trackFinished: pool.trackFinished,
	}
	defer func() {
		y.keepOnly(0)
		if cap(y.raw) <= buffer.MaxPooled {
			*raw = y.raw
			rawBuffers.Put(raw)
		}
	}()
	err := y.run(&fastcgi.Request{Params: params, Body: in.Reader(), BodyLen: in.Size, KeepConn: true})
	if err != nil && !y.going {
		x.phpTime, x.stderr = time.Since(y.started), y.said
	}
	return err
}

// safeMethod says whether repeating a request can do no harm (RFC 9110 §9.2.1).
func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}

// What SERVER_SOFTWARE is made of. Applications look into it for servers that they know: WordPress offers links without index.php only
// where it finds Apache, LiteSpeed, nginx, Caddy or IIS, and one save of that page would break a site that came from one of these. Of
// them nginx is the one that is as phpserve: rewriting is up to its configuration and .htaccess is not read, so that nothing is written
// into one and what applications warn about, such as folders that are not protected, is to be looked at here as well. The comment
// (RFC 9110 §10.2.4) does not claim to be nginx to who reads it, and has no version that somebody could compare.
const (
	softwarePHP  = "phpserve/"
	softwareLike = " (nginx)"
)

// restoreTrailer puts the field Trailer back, which package net/http takes off: it is the script's as all others are. It must run
// before the body is read, because behind it r.Trailer also has what was not announced.
func restoreTrailer(r *http.Request) {
	if len(r.Trailer) > 0 {
		r.Header.Set("Trailer", strings.Join(slices.Sorted(maps.Keys(r.Trailer)), ", "))
	}
}

// told is CONTENT_LENGTH: the length of the body, also of one that the client said to be empty; -1 where it sent none.
func told(r *http.Request, bodySize int64) int64 {
	if r.Body == http.NoBody && r.Header["Content-Length"] == nil {
		return -1
	}
	return bodySize
}

// environment is the CGI environment of the request.
func (s *Server) environment(x *exchange, r *http.Request, t *site.Target, bodySize int64) *fastcgi.Environment {
	cfg := &x.site.Config
	e := &fastcgi.Environment{
		Method: r.Method, Proto: r.Proto, RequestURI: requestURI(r), QueryString: r.URL.RawQuery, Host: r.Host,
		Header: r.Header, ContentLength: told(r, bodySize), TransferEncoding: strings.Join(r.TransferEncoding, ", "),
		ScriptName: t.ScriptName, ScriptFilename: x.php.use.Load().ScriptName(t.Script.Path), PathInfo: t.PathInfo, DocumentRoot: t.Script.Root,
		RemoteAddr: x.clientText, ServerSoftware: s.software, RequestID: x.id, Extra: cfg.Env,
		Scheme: "http", ServerName: x.host, ServerPort: "80",
	}
	if cfg.CGI == site.CGIRFC3875 {
		e.Dialect, e.ServerSoftware = fastcgi.DialectRFC3875, softwarePHP+s.version
	}
	if x.client == x.peer.Addr() {
		e.RemotePort = strconv.Itoa(int(x.peer.Port()))
	}
	if x.https {
		e.Scheme, e.ServerPort = "https", "443"
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		e.ServerAddr = local.AddrPort().Addr().Unmap().String()
		if x.peer.Addr() == x.client { // behind a proxy the port is the proxy's, which only Host tells
			e.ServerPort = strconv.Itoa(local.Port)
		}
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil && isPort(port) {
		e.ServerPort = port
	}
	if e.ServerName == "" {
		e.ServerName = e.ServerAddr
	}
	return e
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// requestURI is the request target as PHP expects it: path and query as received, also of an absolute-form target
// (RFC 9112 §3.2.2).
func requestURI(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}
