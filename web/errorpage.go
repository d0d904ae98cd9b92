// Package web holds the pages phpserve itself shows: the answer to a request that
// no script and no file could answer. A page comes in two forms. Visitors of a
// production site get a small one that tells the status and an id to quote. A
// developer on loopback gets one that tells what was looked for, where, and what
// PHP said about it.
package web

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/phpserve/phpserve/linelog"
)

// ContentSecurityPolicy is the Content-Security-Policy header under which the
// pages of this package render: inline styles and nothing else (CSP Level 3,
// section 6.1).
const ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// maxRequestID is how many characters of a request id are shown. It keeps the
// plain page below 1 KiB whatever a trusted proxy sent as id.
const maxRequestID = 64

// ErrorPage is what an error answer tells.
type ErrorPage struct {
	Status    int          // HTTP status code, RFC 9110 section 15
	RequestID string       // shown so that the visitor can quote it; may be empty
	Detail    *ErrorDetail // nil in production
}

// ErrorDetail is the developer's page of `phpserve run` on loopback. Every field
// may hold what the client or a script chose; all of it is escaped.
type ErrorDetail struct {
	Method, URL     string // as the client sent them
	Summary         string // one sentence: what went wrong
	Hint            string // what to do about it; may be empty
	Steps           []Step // what was looked for, in order
	Script          string // script file, if one ran
	Pool            string // pool of the worker, if one ran
	PID             int    // process id of the worker; zero if none ran
	Stderr          string // what PHP wrote to its error stream; the caller bounds it
	DocumentRoot    string
	FrontController string // empty if the site has none
}

// Step is one place that was looked at on the way to an answer.
type Step struct {
	Path   string
	Result string // what was found, e.g. "not found" or "denied: dotfile"
	OK     bool   // the place could have answered
}

// view is what the templates see: an ErrorPage with its texts chosen and its
// control characters made visible.
type view struct {
	Status    int
	Reason    string
	Sentence  string
	RequestID string
	Server    bool // the fault is the server's (5xx), not the request's
	Detail    *ErrorDetail
}

// Render writes the page as HTML. Without Detail it is smaller than 1 KiB and
// names neither the server nor its version.
func (p ErrorPage) Render(w io.Writer) error {
	name := "plain.html"
	if p.Detail != nil {
		name = "detail.html"
	}
	// Rendered whole before the first byte is written, so that a fault here
	// never leaves half a page.
	var page bytes.Buffer
	if err := templates().ExecuteTemplate(&page, name, p.view()); err != nil {
		return fmt.Errorf("cannot render error page %d: %v", p.Status, err)
	}
	if _, err := w.Write(page.Bytes()); err != nil {
		return fmt.Errorf("cannot write error page %d: %w", p.Status, err)
	}
	return nil
}

func (p ErrorPage) view() view {
	v := view{
		Status:    p.Status,
		Reason:    http.StatusText(p.Status),
		Sentence:  sentence(p.Status),
		RequestID: linelog.Visible(clip(p.RequestID, maxRequestID)),
		Server:    p.Status >= 500,
	}
	if v.Reason == "" {
		v.Reason = "Error"
	}
	if p.Detail != nil {
		v.Detail = p.Detail.visible()
	}
	return v
}

// visible returns a copy of d that shows control characters instead of obeying them.
func (d *ErrorDetail) visible() *ErrorDetail {
	shown := ErrorDetail{
		Method:          linelog.Visible(d.Method),
		URL:             linelog.Visible(d.URL),
		Summary:         linelog.Visible(d.Summary),
		Hint:            linelog.Visible(d.Hint),
		Script:          linelog.Visible(d.Script),
		Pool:            linelog.Visible(d.Pool),
		PID:             d.PID,
		Stderr:          linelog.VisibleLines(strings.TrimRight(d.Stderr, "\r\n")),
		DocumentRoot:    linelog.Visible(d.DocumentRoot),
		FrontController: linelog.Visible(d.FrontController),
	}
	for _, s := range d.Steps {
		shown.Steps = append(shown.Steps, Step{Path: linelog.Visible(s.Path), Result: linelog.Visible(s.Result), OK: s.OK})
	}
	return &shown
}

// Worker tells which worker ran the script, empty if none did.
func (d *ErrorDetail) Worker() string {
	switch {
	case d.PID == 0:
		return ""
	case d.Pool == "":
		return fmt.Sprintf("process %d", d.PID)
	}
	return fmt.Sprintf("process %d of pool %s", d.PID, d.Pool)
}
