package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/files"
	"github.com/phpserve/phpserve/server/site"
	"github.com/phpserve/phpserve/server/spool"
	"github.com/phpserve/phpserve/web"
)

// statusClientGone is what the access log shows for a request whose client left, as nginx does.
const statusClientGone = 499

// verdict is what an error means to the client.
type verdict struct {
	status     int
	retryAfter int    // seconds; 0: no such header
	summary    string // one sentence for the helpful page
	hint       string
}

// judge maps every error to its HTTP status. It is the only place that does.
func judge(err error) verdict {
	var (
		pathError *files.PathError
		client    *spool.ClientError
		worker    *workerError
		link      *files.LinkError
		head      *fastcgi.HeadError
		protocol  *fastcgi.ProtocolError
	)
	switch {
	case errors.Is(err, errClientGone), errors.Is(err, context.Canceled):
		return verdict{status: statusClientGone, summary: "The client closed the connection before its response was there."}
	case errors.As(err, &pathError):
		return verdict{status: http.StatusBadRequest, summary: "The URL is not valid: " + pathError.Error() + "."}
	case errors.As(err, &client):
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return verdict{
				status: http.StatusRequestTimeout, summary: "The request body did not arrive in time.",
				hint: "timeouts.body is how long a client may pause; after it a body must have made 1 KiB per second on the whole.",
			}
		}
		return verdict{status: http.StatusBadRequest, summary: "The request body could not be read: " + client.Error() + "."}
	case errors.Is(err, errHeaderTooLarge):
		return verdict{
			status: http.StatusRequestHeaderFieldsTooLarge, summary: "The request's header is larger than this server allows.",
			hint: "max_header_size is the limit. Cookies are what makes a header large.",
		}
	case errors.Is(err, spool.ErrBodyTooLarge):
		return verdict{
			status: http.StatusRequestEntityTooLarge, summary: "The request body is larger than this site allows.",
			hint: "max_body_size is the limit; PHP's own are post_max_size and upload_max_filesize.",
		}
	case errors.Is(err, spool.ErrBodiesFull):
		return verdict{
			status: http.StatusServiceUnavailable, retryAfter: 5, summary: "The server has no room for another request body.",
			hint: "spool.bodies is what all bodies that are larger than spool.memory may take on disk together.",
		}
	case errors.Is(err, errMethod):
		return verdict{status: http.StatusMethodNotAllowed, summary: "This method is not allowed."}
	case errors.As(err, &link):
		return verdict{status: http.StatusNotFound, hint: link.Hint()} // its summary looks up users, so only who reads it has it made
	case errors.Is(err, site.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return verdict{status: http.StatusNotFound, summary: "No file, script or front controller answers this URL."}
	case errors.Is(err, fs.ErrPermission):
		return verdict{
			status: http.StatusForbidden, summary: "The file may not be read.",
			hint: "Check the permissions of the file and of the folders above it.",
		}
	case errors.Is(err, manager.ErrQueueFull):
		return verdict{
			status: http.StatusServiceUnavailable, retryAfter: 5, summary: "All workers are busy and the queue is full.",
			hint: "pm.max_children is the number of workers, queue.size the number of requests that may wait.",
		}
	case errors.Is(err, manager.ErrQueueTimeout):
		return verdict{
			status: http.StatusServiceUnavailable, retryAfter: 5, summary: "No worker became free in time.",
			hint: "pm.max_children is the number of workers, queue.timeout how long a request may wait for one. If workers cannot start, the log says why.",
		}
	case errors.Is(err, manager.ErrPoolClosed), errors.Is(err, errCutOff):
		return verdict{status: http.StatusServiceUnavailable, retryAfter: 5, summary: "The server is being stopped."}
	case errors.Is(err, errScript):
		return verdict{
			status: http.StatusInternalServerError, summary: "The script ended with an error.",
			hint: "display_errors is off in php.ini; --php-value display_errors=1 has PHP show its errors in the page.",
		}
	case errors.Is(err, errTerminated):
		return verdict{status: http.StatusGatewayTimeout, summary: "The script ran longer than request_terminate_timeout."}
	case errors.As(err, &worker):
		return verdict{
			status: http.StatusBadGateway, summary: "The PHP worker did not finish the request: " + worker.Error() + ".",
			hint: "The log has the exit of the worker; a segmentation fault is a bug in PHP or in an extension.",
		}
	case errors.As(err, &head):
		return verdict{status: http.StatusBadGateway, summary: "The script's response head is not valid: " + head.Error() + "."}
	case errors.As(err, &protocol):
		return verdict{status: http.StatusBadGateway, summary: "The worker's answer is not valid FastCGI: " + protocol.Error() + "."}
	}
	return verdict{status: http.StatusInternalServerError, summary: "phpserve could not answer: " + err.Error() + "."}
}

// fail answers a request with an error.
func (s *Server) fail(x *exchange, r *http.Request, err error, steps []web.Step) {
	v := judge(err)
	link, ok := errors.AsType[*files.LinkError](err)
	if ok {
		x.site.Refused.Log(s.log, link)
	}
	if v.status == http.StatusForbidden {
		s.tellForbidden(x, r)
	}
	x.err = err
	if v.status >= 500 && !errors.Is(err, errScript) { // PHP's own message of that is in the log already
		attrs := []any{"status", v.status, "error", err, "method", r.Method, "uri", r.RequestURI, "pool", x.pool}
		if x.pid != 0 { // zero where no worker could be had
			attrs = append(attrs, "pid", x.pid)
		}
		s.log.Error("request failed", append(attrs, "script", x.script, "request_id", x.id)...)
	}
	if x.sent() {
		panic(http.ErrAbortHandler) // a return would make what is out look complete
	}
	if v.status == statusClientGone {
		x.status = v.status // for the access log alone: there is nobody to answer
		panic(http.ErrAbortHandler)
	}
	page := web.ErrorPage{Status: v.status, RequestID: x.id}
	if s.helpful(x, r) {
		if link != nil {
			v.summary = "Nothing answers this URL, because " + link.Error() + "."
		}
		page.Detail = &web.ErrorDetail{
			Method: r.Method, URL: r.RequestURI, Summary: v.summary, Hint: v.hint, Steps: steps,
			Script: x.script, Pool: x.pool, PID: x.pid, Stderr: x.stderr,
			DocumentRoot: x.site.Config.Root, FrontController: x.site.Config.FrontController,
		}
	}
	h := x.Header()
	clear(h)
	if s.cfg.RequestIDHeader != "" {
		h.Set(s.cfg.RequestIDHeader, x.id)
	}
	if v.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(v.retryAfter))
	}
	if v.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	if v.status == http.StatusRequestEntityTooLarge || v.status == http.StatusRequestTimeout {
		h.Set("Connection", "close") // the rest of the body is not wanted
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	writePage(x, r, page)
}

// writePage renders the page as the client likes it.
func writePage(x *exchange, r *http.Request, page web.ErrorPage) {
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "text/html") && !strings.Contains(accept, "*/*") ||
		strings.HasPrefix(r.Header.Get("User-Agent"), "curl/") {
		text := page.Text()
		x.Header().Set("Content-Type", "text/plain; charset=utf-8")
		x.Header().Set("Content-Length", strconv.Itoa(len(text)))
		x.WriteHeader(page.Status)
		if r.Method != http.MethodHead {
			_, _ = x.Write([]byte(text)) // a client that left misses nothing
		}
		return
	}
	var b strings.Builder
	if err := page.Render(&b); err != nil {
		panic("internal error: " + err.Error()) // the template is embedded and tested
	}
	h := x.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	x.WriteHeader(page.Status)
	if r.Method != http.MethodHead {
		_, _ = x.Write([]byte(b.String()))
	}
}
