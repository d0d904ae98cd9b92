package fastcgi

import (
	"net/http"
	"strconv"
	"strings"
)

// Dialect is the choice of CGI variables.
type Dialect int

const (
	// DialectPHP sends what PHP applications expect of nginx or Apache, and
	// nothing that steers php-cgi away from SCRIPT_FILENAME: never PATH_TRANSLATED
	// (php-src sapi/cgi/cgi_main.c:init_request_info runs it in place of the script
	// with cgi.fix_pathinfo=0) and never REDIRECT_URL.
	DialectPHP Dialect = iota
	// DialectRFC3875 sends the variables of RFC 3875 §4.1 with that text's meaning,
	// and beyond them only what php-cgi needs: SCRIPT_FILENAME, DOCUMENT_ROOT (for
	// .user.ini) and HTTPS. It needs cgi.fix_pathinfo=1, PHP's default.
	DialectRFC3875
)

// Environment holds all that becomes a parameter of a request. An empty field
// means that the variable is not known; it is then left out unless noted.
type Environment struct {
	Dialect Dialect

	Method      string      // REQUEST_METHOD, RFC 3875 §4.1.12
	Proto       string      // SERVER_PROTOCOL, §4.1.16: "HTTP/1.1", "HTTP/2.0"
	RequestURI  string      // REQUEST_URI: the request target as received, before any rewrite
	QueryString string      // QUERY_STRING, §4.1.7: without "?", not decoded; sent also when empty
	Host        string      // HTTP_HOST: the Host field or :authority
	Header      http.Header // becomes HTTP_*, §4.1.18

	ContentLength    int64  // CONTENT_LENGTH, §4.1.2: of the body; less than 0: there is no body, not sent
	TransferEncoding string // HTTP_TRANSFER_ENCODING of DialectPHP: package net/http takes the field off

	ScriptName     string // SCRIPT_NAME, §4.1.13: URL path of the script; sent also when empty
	ScriptFilename string // SCRIPT_FILENAME: existing regular file, checked by the caller
	PathInfo       string // PATH_INFO, §4.1.5: what follows the script in the decoded path
	DocumentRoot   string // DOCUMENT_ROOT, without a slash at its end

	RemoteAddr string // REMOTE_ADDR, §4.1.8: the client behind trusted proxies
	RemotePort string // REMOTE_PORT
	ServerAddr string // SERVER_ADDR
	ServerPort string // SERVER_PORT, §4.1.15
	ServerName string // SERVER_NAME, §4.1.14: host name without port
	Scheme     string // REQUEST_SCHEME: "http" or "https"; the latter sets HTTPS=on

	ServerSoftware string // SERVER_SOFTWARE, §4.1.17
	RemoteUser     string // REMOTE_USER, §4.1.11
	AuthType       string // AUTH_TYPE, §4.1.1
	RequestID      string // HTTP_X_REQUEST_ID, in place of what the client sent

	// Extra are NAME=VALUE pairs of the operator. They are sent last and replace a
	// variable of the same name; of several for one name the last counts. An entry
	// without a name or "=" is passed over.
	Extra []string
}

// AppendParams appends the encoded parameters: the variables in a fixed order,
// then HTTP_* by name, then Extra. No name occurs twice.
func (e *Environment) AppendParams(dst []byte) []byte {
	b := paramBuilder{dst: dst, extra: e.Extra}
	b.set("GATEWAY_INTERFACE", "CGI/1.1") // RFC 3875 §4.1.4
	b.set("SERVER_SOFTWARE", e.ServerSoftware)
	b.set("SERVER_PROTOCOL", e.Proto)
	b.set("REQUEST_METHOD", e.Method)
	b.set("QUERY_STRING", e.QueryString)
	b.known("CONTENT_TYPE", e.contentType())
	if e.ContentLength >= 0 {
		var digits [20]byte
		b.set("CONTENT_LENGTH", string(strconv.AppendInt(digits[:0], e.ContentLength, 10)))
	}
	b.set("SCRIPT_NAME", e.ScriptName)
	b.set("SCRIPT_FILENAME", e.ScriptFilename)
	b.set("DOCUMENT_ROOT", e.DocumentRoot)
	b.known("PATH_INFO", e.PathInfo)
	b.set("REMOTE_ADDR", e.RemoteAddr)
	b.set("SERVER_PORT", e.ServerPort)
	if e.Scheme == "https" {
		b.set("HTTPS", "on")
	}
	b.known("REMOTE_USER", e.RemoteUser)
	b.known("AUTH_TYPE", e.AuthType)
	if e.Dialect == DialectRFC3875 {
		e.appendRFC3875(&b)
	} else {
		e.appendPHP(&b)
	}
	b.header(e)
	b.appendExtra()
	return b.dst
}

// appendPHP adds the variables that RFC 3875 does not know and PHP sites use.
func (e *Environment) appendPHP(b *paramBuilder) {
	b.set("REQUEST_URI", e.RequestURI)
	b.pair("DOCUMENT_URI", e.ScriptName, e.PathInfo)
	b.known("REMOTE_PORT", e.RemotePort)
	b.known("SERVER_ADDR", e.ServerAddr)
	b.set("SERVER_NAME", e.ServerName)
	b.known("REQUEST_SCHEME", e.Scheme)
	// Asked for by cgi.force_redirect where php-cgi does not see that it runs under
	// FastCGI (php-src sapi/cgi/cgi_main.c:main), and by scripts that look for it.
	b.set("REDIRECT_STATUS", "200")
}

// appendRFC3875 adds what the standard defines and DialectPHP leaves out or
// sends in another form.
func (e *Environment) appendRFC3875(b *paramBuilder) {
	// §4.1.14: server-name of an IPv6 address is in brackets.
	if strings.IndexByte(e.ServerName, ':') >= 0 && e.ServerName[0] != '[' {
		b.set("SERVER_NAME", "["+e.ServerName+"]")
	} else {
		b.set("SERVER_NAME", e.ServerName)
	}
	// §4.1.9: without a name look-up the address takes REMOTE_HOST's place.
	b.known("REMOTE_HOST", e.RemoteAddr)
	// §4.1.6: only with a PATH_INFO. The two variables are the operator's to give
	// by Extra, and then ours would be wrong (PATH_INFO) or would be run in place of
	// the script (REDIRECT_URL, cgi_main.c:init_request_info "apache specific").
	if e.PathInfo != "" && !b.overridden("PATH_INFO") && !b.overridden("REDIRECT_URL") {
		b.pair("PATH_TRANSLATED", e.DocumentRoot, e.PathInfo)
	}
	// REMOTE_IDENT (§4.1.10) is optional and RFC 1413 out of use: never sent.
}

// contentType is the Content-Type field, which makes CONTENT_TYPE whether or not
// there is a body (RFC 3875 §4.1.3).
func (e *Environment) contentType() string {
	if v := e.Header["Content-Type"]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// paramBuilder appends parameters that extra does not replace.
type paramBuilder struct {
	dst   []byte
	extra []string
}

func (b *paramBuilder) set(name, value string) { b.pair(name, value, "") }

// known sets a variable that is left out when it has no value.
func (b *paramBuilder) known(name, value string) {
	if value != "" {
		b.pair(name, value, "")
	}
}

// pair sets a variable to the concatenation of two strings.
func (b *paramBuilder) pair(name, value, tail string) {
	if b.overridden(name) {
		return
	}
	b.dst = appendParamLengths(b.dst, len(name), len(value)+len(tail))
	b.dst = append(b.dst, name...)
	b.dst = append(b.dst, value...)
	b.dst = append(b.dst, tail...)
}

func (b *paramBuilder) overridden(name string) bool {
	return len(b.extra) > 0 && definesAny(b.extra, name)
}

func (b *paramBuilder) appendExtra() {
	for i, entry := range b.extra {
		name, value, ok := strings.Cut(entry, "=")
		if ok && name != "" && !definesAny(b.extra[i+1:], name) {
			b.dst = AppendParam(b.dst, name, value)
		}
	}
}

func definesAny(entries []string, name string) bool {
	for _, e := range entries {
		if len(e) > len(name) && e[len(name)] == '=' && e[:len(name)] == name {
			return true
		}
	}
	return false
}
