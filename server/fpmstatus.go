package server

import (
	"net/url"
	"strings"

	"github.com/phpserve/phpserve/manager"
)

// FPMStatusConfig are the pages that a FastCGI address answers by itself. They take no worker, so that they are answered also
// while all are busy.
type FPMStatusConfig struct {
	// Path is pm.status_path, the SCRIPT_NAME of the status page. Empty: none.
	Path string
	// PingPath is ping.path, that of the ping page, and PingResponse its text, ping.response. Empty: none. The address of
	// pm.status_listen has its pool's.
	PingPath, PingResponse string
	// Only says that the address runs no scripts: that of pm.status_listen, whose requests are not among those of the pool.
	Only bool
}

// fpmNoCache is in the head of both pages (fpm_status.c:fpm_status_handle_request).
const fpmNoCache = "Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-cache, no-store, must-revalidate, max-age=0\r\n"

// answerStatus answers a request for the status or the ping page; false: it is for neither.
func (q *responderRequest) answerStatus() (answered bool, err error) {
	c, uri := &q.target.cfg.Status, q.script.URI
	switch uri {
	case "":
		return false, nil
	case c.PingPath:
		return true, q.page("Content-type: "+q.withCharset("text/plain")+"\r\n"+fpmNoCache, []byte(c.PingResponse))
	case c.Path:
	default:
		return false, nil
	}
	page := statusPageFor(q.params.get("QUERY_STRING"))
	if q.method == "HEAD" { // php-fpm has not looked at the form yet
		return true, q.page(fpmNoCache+"Content-type: "+q.withCharsetOf("text/html", "; ")+"\r\n", nil)
	}
	name, kind := "Content-type", q.withCharset(page.ContentType())
	if page.Format == manager.StatusJSON || page.Format == manager.StatusOpenMetrics {
		name = "Content-Type"
	}
	status := q.target.php.use.Load().Status(page.Full)
	return true, q.page(fpmNoCache+name+": "+kind+"\r\n", page.Append(nil, &status))
}

// page sends an answer of ours in the place of a script's.
func (q *responderRequest) page(head string, body []byte) error {
	if pool := q.target.php.use.Load(); manager.INIBool(pool.INI("expose_php")) {
		head = "X-Powered-By: PHP/" + pool.PHP().Version + "\r\n" + head
	}
	if q.method == "HEAD" {
		body = nil
	}
	q.begun, q.trace.status, q.trace.headBytes = true, 200, int64(len(head)+2)
	return q.send(append([]byte(head+"\r\n"), body...))
}

// withCharset is a Content-Type as PHP sends it: default_charset is added to those of text (main/SAPI.c:sapi_apply_default_charset).
func (q *responderRequest) withCharset(kind string) string { return q.withCharsetOf(kind, ";") }

func (q *responderRequest) withCharsetOf(kind, separator string) string {
	charset := q.target.php.use.Load().INI("default_charset")
	if charset == "" || !strings.HasPrefix(kind, "text/") {
		return kind
	}
	return kind + separator + "charset=" + charset
}

// statusPageFor reads the form of the status page out of a query string. As in php-fpm, a beginning of a form's name is enough, and
// values do not matter (fpm_php.c:fpm_php_get_string_from_table).
func statusPageFor(query string) manager.StatusPage {
	var names []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		name, _, _ = strings.Cut(strings.TrimLeft(name, " "), "[")
		if name != "" {
			names = append(names, name)
		}
	}
	asked := func(form string) bool {
		for _, name := range names {
			if strings.HasPrefix(form, name) {
				return true
			}
		}
		return false
	}
	page := manager.StatusPage{Format: manager.StatusText, Full: asked("full")}
	for _, form := range []manager.StatusFormat{
		manager.StatusHTML, manager.StatusXML, manager.StatusJSON, manager.StatusOpenMetrics,
	} {
		if asked(string(form)) {
			page.Format = form
			break
		}
	}
	return page
}
