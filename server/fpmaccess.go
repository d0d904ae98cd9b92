package server

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// defaultFPMAccessFormat is access.format where a pool has none (php-src sapi/fpm/fpm/fpm_conf.c:fpm_worker_pool_config_alloc).
const defaultFPMAccessFormat = `%R - %u %t "%m %r" %s`

// maxAccessArgument is how much of the text between braces php-fpm keeps (fpm_log.c:fpm_log_write).
const maxAccessArgument = 128

// fpmAccessRecord is what the access log of a pool tells of a request, also of one whose worker was killed.
type fpmAccessRecord struct {
	start, end    time.Time     // from when a worker had the request; their location is that of the printed times
	queue         time.Duration // waited for a worker, before start
	method        string        // REQUEST_METHOD
	uri           string        // SCRIPT_NAME as it is after PATH_INFO was split off
	query         string        // QUERY_STRING
	script        string        // SCRIPT_FILENAME; empty: no script was found
	contentLength int64         // CONTENT_LENGTH
	status        int           // of the answer
	user          string        // see basicAuthUser
	pool          string        // name of the pool
	workerPID     int           // of the PHP that ran the script
	masterPID     int           // of phpserve
	peer          string        // address of the web server; empty: it came by a unix socket
	userCPU       time.Duration // of the worker in this request
	systemCPU     time.Duration // of the worker in this request
	memory        int64         // peak of the script in bytes

	param  func(name string) (string, bool) // FastCGI parameters, after the script was found
	header func(name string) (string, bool) // first header of the script's answer by its exact name
}

// accessPart appends one piece of an access line.
type accessPart func(b []byte, r *fpmAccessRecord) []byte

// accessFormat is an access.format, ready to render lines.
type accessFormat struct {
	parts []accessPart
	cpu   bool // there is a %C
}

// accessFormatError is php-fpm's warning about an access.format, in its words.
type accessFormatError string

func (e accessFormatError) Error() string { return string(e) }

// CheckAccessFormat says what is wrong with an access.format, in the words of php-fpm's warning (php-src
// sapi/fpm/fpm/fpm_log.c:fpm_log_write). It knows one thing more: %{queue}d.
func CheckAccessFormat(format string) error {
	_, err := parseAccessFormat(format)
	return err
}

// parseAccessFormat compiles an access.format. Like php-fpm it ignores a single % at the end and takes the last of several
// pairs of braces in front of a specifier.
func parseAccessFormat(format string) (*accessFormat, error) {
	f := &accessFormat{}
	for {
		literal, rest, found := strings.Cut(format, "%")
		if literal != "" {
			f.add(func(b []byte, _ *fpmAccessRecord) []byte { return append(b, literal...) })
		}
		if !found || rest == "" {
			return f, nil
		}
		argument := ""
		for rest[0] == '{' {
			var closed bool
			argument, rest, closed = strings.Cut(rest[1:], "}")
			if !closed || rest == "" {
				return nil, accessFormatError("missing closing embrace in the access.format")
			}
			argument = argument[:min(len(argument), maxAccessArgument)]
		}
		part, err := newAccessPart(rest[0], argument)
		if err != nil {
			return nil, err
		}
		f.add(part)
		f.cpu = f.cpu || rest[0] == 'C'
		format = rest[1:]
	}
}

func (f *accessFormat) add(p accessPart) { f.parts = append(f.parts, p) }

// newAccessPart compiles one specifier.
func newAccessPart(specifier byte, argument string) (accessPart, error) {
	switch specifier {
	case 'C':
		return cpuPart(argument)
	case 'd':
		return durationPart(argument)
	case 'e', 'o':
		return namedPart(specifier, argument)
	case 'M':
		return memoryPart(argument)
	case 't', 'T':
		return timePart(specifier, argument), nil
	}
	part := plainPart(specifier)
	switch {
	case part == nil: // %c in C is the byte, whatever character it begins
		return nil, accessFormatError("Invalid token in the access.format (%" + string([]byte{specifier}) + ")")
	case argument != "":
		return nil, accessFormatError("embrace is not allowed for modifier %" + string([]byte{specifier}))
	}
	return part, nil
}

// plainPart is that of a specifier without braces; nil if there is none of the name.
func plainPart(specifier byte) accessPart {
	switch specifier {
	case '%':
		return func(b []byte, _ *fpmAccessRecord) []byte { return append(b, '%') }
	case 'f':
		return func(b []byte, r *fpmAccessRecord) []byte { return appendVisible(b, orDash(r.script)) }
	case 'l':
		return func(b []byte, r *fpmAccessRecord) []byte { return strconv.AppendInt(b, r.contentLength, 10) }
	case 'm':
		return func(b []byte, r *fpmAccessRecord) []byte { return appendVisible(b, orDash(r.method)) }
	case 'n':
		return func(b []byte, r *fpmAccessRecord) []byte { return appendVisible(b, orDash(r.pool)) }
	case 'p':
		return func(b []byte, r *fpmAccessRecord) []byte { return strconv.AppendInt(b, int64(r.workerPID), 10) }
	case 'P':
		return func(b []byte, r *fpmAccessRecord) []byte { return strconv.AppendInt(b, int64(r.masterPID), 10) }
	case 'q':
		return func(b []byte, r *fpmAccessRecord) []byte { return appendVisible(b, r.query) }
	case 'Q':
		return func(b []byte, r *fpmAccessRecord) []byte {
			if r.query == "" {
				return b
			}
			return append(b, '?')
		}
	case 'r':
		return func(b []byte, r *fpmAccessRecord) []byte { return appendVisible(b, r.uri) }
	case 'R':
		return func(b []byte, r *fpmAccessRecord) []byte { return append(b, orDash(r.peer)...) }
	case 's':
		return func(b []byte, r *fpmAccessRecord) []byte { return strconv.AppendInt(b, int64(r.status), 10) }
	case 'u':
		return func(b []byte, r *fpmAccessRecord) []byte { return appendVisible(b, r.user) }
	}
	return nil
}

// cpuPart is %C: the share of a CPU that the worker had, in percent.
func cpuPart(argument string) (accessPart, error) {
	var used func(r *fpmAccessRecord) time.Duration
	switch strings.ToLower(argument) {
	case "", "total":
		used = func(r *fpmAccessRecord) time.Duration { return r.userCPU + r.systemCPU }
	case "user":
		used = func(r *fpmAccessRecord) time.Duration { return r.userCPU }
	case "system":
		used = func(r *fpmAccessRecord) time.Duration { return r.systemCPU }
	default:
		return nil, accessFormatError("only 'total', 'user' or 'system' are allowed as a modifier for %C ('" + argument + "')")
	}
	return func(b []byte, r *fpmAccessRecord) []byte {
		percent := 0.0
		if d := r.end.Sub(r.start); d > 0 {
			percent = 100 * float64(used(r)) / float64(d)
		}
		return strconv.AppendFloat(b, percent, 'f', 2, 64)
	}, nil
}

// durationPart is %d: how long the request took, or, with queue, queue_milli or queue_micro between braces, how long it had
// waited for a worker before. php-fpm knows nothing of the queue and refuses the name.
func durationPart(argument string) (accessPart, error) {
	took := func(r *fpmAccessRecord) time.Duration { return r.end.Sub(r.start) }
	unit := strings.ToLower(argument)
	if of, ok := strings.CutPrefix(unit, "queue"); ok && (of == "" || strings.HasPrefix(of, "_") && of != "_") {
		took = func(r *fpmAccessRecord) time.Duration { return r.queue }
		unit = strings.TrimPrefix(of, "_")
	}
	switch unit {
	case "", "seconds":
		return func(b []byte, r *fpmAccessRecord) []byte {
			return strconv.AppendFloat(b, took(r).Seconds(), 'f', 3, 64)
		}, nil
	case "milliseconds", "milli", "miliseconds", "mili": // the latter two for php-fpm's first spelling
		return func(b []byte, r *fpmAccessRecord) []byte {
			return strconv.AppendFloat(b, float64(took(r).Microseconds())/1000, 'f', 3, 64)
		}, nil
	case "microseconds", "micro":
		return func(b []byte, r *fpmAccessRecord) []byte { return strconv.AppendInt(b, took(r).Microseconds(), 10) }, nil
	}
	return nil, accessFormatError("only 'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds' are allowed as a modifier for %d ('" +
		argument + "')")
}

// memoryPart is %M: the peak of the script's memory.
func memoryPart(argument string) (accessPart, error) {
	unit := int64(1)
	switch strings.ToLower(argument) {
	case "", "bytes":
	case "kilobytes", "kilo":
		unit = 1 << 10
	case "megabytes", "mega":
		unit = 1 << 20
	default:
		return nil, accessFormatError("only 'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes' are allowed as a modifier for %M ('" +
			argument + "')")
	}
	return func(b []byte, r *fpmAccessRecord) []byte { return strconv.AppendInt(b, r.memory/unit, 10) }, nil
}

// namedPart is %{NAME}e, a FastCGI parameter, or %{NAME}o, a header of the answer.
func namedPart(specifier byte, name string) (accessPart, error) {
	what := "environment variable"
	if specifier == 'o' {
		what = "header"
	}
	if name == "" {
		return nil, accessFormatError(fmt.Sprintf("the name of the %s must be set between embraces for %%%c", what, specifier))
	}
	if specifier == 'o' {
		return func(b []byte, r *fpmAccessRecord) []byte {
			value, _ := r.header(name)
			return appendVisible(b, orDash(value))
		}, nil
	}
	return func(b []byte, r *fpmAccessRecord) []byte {
		value, ok := r.param(name)
		if !ok { // a parameter may be empty
			value = "-"
		}
		return appendVisible(b, value)
	}, nil
}

// timePart is %t, when the request began, or %T, when its line is written.
func timePart(specifier byte, layout string) accessPart {
	if layout == "" {
		layout = "%d/%b/%Y:%H:%M:%S %z"
	}
	f := parseStrftime(layout)
	if specifier == 't' {
		return func(b []byte, r *fpmAccessRecord) []byte { return f.append(b, r.start) }
	}
	return func(b []byte, r *fpmAccessRecord) []byte { return f.append(b, r.end) }
}

// append renders the line of a request, without the newline.
func (f *accessFormat) append(b []byte, r *fpmAccessRecord) []byte {
	for _, part := range f.parts {
		b = part(b, r)
	}
	return b
}

// appendLine renders the line of a request with its newline. What would be longer than limit bytes (log_limit) ends in "...",
// as in php-fpm since 8.5. Nothing is appended where the format renders to nothing.
func (f *accessFormat) appendLine(b []byte, r *fpmAccessRecord, limit int) []byte {
	begin := len(b)
	if b = f.append(b, r); len(b) == begin {
		return b
	}
	if len(b)-begin >= limit {
		end := begin + max(0, limit-len("...\n"))
		for back := 0; back < utf8.UTFMax-1 && end > begin && !utf8.RuneStart(b[end]); back++ { // not in a character
			end--
		}
		b = append(b[:end], "..."...)
	}
	return append(b, '\n')
}

// appendVisible writes a value so that it can neither forge a line (CWE-117) nor steer a terminal (CWE-150): each byte of what is not
// shown becomes \xHH, where php-fpm writes it as it is. All else stays as it came, for the tools that read php-fpm's logs.
func appendVisible(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if strconv.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b = append(b, s[:size]...)
		} else {
			for i := range size {
				b = append(b, '\\', 'x', hex[s[i]>>4], hex[s[i]&15])
			}
		}
		s = s[size:]
	}
	return b
}

// suppressAccess reports whether access.suppress_path[] keeps a request out of the log: a successful GET or HEAD of exactly one
// of the paths, with neither query nor body (php-src sapi/fpm/fpm/fpm_log.c:fpm_access_log_suppress).
func suppressAccess(paths []string, r *fpmAccessRecord) bool {
	if r.method != "GET" && r.method != "HEAD" || r.query != "" || r.contentLength != 0 || r.status < 200 || r.status > 299 {
		return false
	}
	return slices.Contains(paths, r.uri)
}

// basicAuthUser finds the user of %u in HTTP_AUTHORIZATION as PHP does, who ignores what is no base64 and wants a colon after
// the name (php-src main/main.c:php_handle_auth_data); empty if there is none.
func basicAuthUser(authorization string) string {
	const scheme = "Basic "
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return ""
	}
	digits := strings.Map(func(c rune) rune {
		if c < utf8.RuneSelf && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '+' || c == '/') {
			return c
		}
		return -1
	}, authorization[len(scheme):])
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1] // six bits make no byte
	}
	plain, err := base64.RawStdEncoding.DecodeString(digits)
	if err != nil {
		panic("internal error: base64: " + err.Error()) // only its alphabet is left
	}
	text, _, _ := strings.Cut(string(plain), "\x00") // a string of C
	user, _, ok := strings.Cut(text, ":")
	if !ok {
		return ""
	}
	return user
}
