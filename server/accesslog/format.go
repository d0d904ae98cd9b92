package accesslog

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// defaultFPMFormat is access.format where a pool has none (php-src sapi/fpm/fpm/fpm_conf.c:fpm_worker_pool_config_alloc).
const defaultFPMFormat = `%R - %u %t "%m %r" %s`

// maxArgument is how much of the text between braces php-fpm keeps (fpm_log.c:fpm_log_write).
const maxArgument = 128

// FPMRecord is what the access log of a pool tells of a request, also of one whose worker was killed.
type FPMRecord struct {
	Start, End    time.Time     // from when a worker had the request; their location is that of the printed times
	Queue         time.Duration // waited for a worker, before start
	Method        string        // REQUEST_METHOD
	URI           string        // SCRIPT_NAME as it is after PATH_INFO was split off
	Query         string        // QUERY_STRING
	Script        string        // SCRIPT_FILENAME; empty: no script was found
	ContentLength int64         // CONTENT_LENGTH
	Status        int           // of the answer
	User          string        // see [BasicAuthUser]
	Pool          string        // name of the pool
	WorkerPID     int           // of the PHP that ran the script
	MasterPID     int           // of phpserve
	Peer          string        // address of the web server; empty: it came by a unix socket
	UserCPU       time.Duration // of the worker in this request
	SystemCPU     time.Duration // of the worker in this request
	Memory        int64         // peak of the script in bytes

	Param  func(name string) (string, bool) // FastCGI parameters, after the script was found
	Header func(name string) (string, bool) // first header of the script's answer by its exact name
}

// part appends one piece of an access line.
type part func(b []byte, r *FPMRecord) []byte

// Format is an access.format, ready to render lines.
type Format struct {
	parts []part
	cpu   bool // there is a %C
}

// formatError is php-fpm's warning about an access.format, in its words.
type formatError string

func (e formatError) Error() string { return string(e) }

// CheckFormat says what is wrong with an access.format, in the words of php-fpm's warning (php-src
// sapi/fpm/fpm/fpm_log.c:fpm_log_write). It knows one thing more: %{queue}d.
func CheckFormat(format string) error {
	_, err := ParseFormat(format)
	return err
}

// ParseFormat compiles an access.format. Like php-fpm it ignores a single % at the end and takes the last of several
// pairs of braces in front of a specifier.
func ParseFormat(format string) (*Format, error) {
	f := &Format{}
	for {
		literal, rest, found := strings.Cut(format, "%")
		if literal != "" {
			f.add(func(b []byte, _ *FPMRecord) []byte { return append(b, literal...) })
		}
		if !found || rest == "" {
			return f, nil
		}
		argument := ""
		for rest[0] == '{' {
			var closed bool
			argument, rest, closed = strings.Cut(rest[1:], "}")
			if !closed || rest == "" {
				return nil, formatError("missing closing embrace in the access.format")
			}
			argument = argument[:min(len(argument), maxArgument)]
		}
		part, err := newPart(rest[0], argument)
		if err != nil {
			return nil, err
		}
		f.add(part)
		f.cpu = f.cpu || rest[0] == 'C'
		format = rest[1:]
	}
}

func (f *Format) add(p part) { f.parts = append(f.parts, p) }

// newPart compiles one specifier.
func newPart(specifier byte, argument string) (part, error) {
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
		return nil, formatError("Invalid token in the access.format (%" + string([]byte{specifier}) + ")")
	case argument != "":
		return nil, formatError("embrace is not allowed for modifier %" + string([]byte{specifier}))
	}
	return part, nil
}

// plainPart is that of a specifier without braces; nil if there is none of the name.
func plainPart(specifier byte) part {
	switch specifier {
	case '%':
		return func(b []byte, _ *FPMRecord) []byte { return append(b, '%') }
	case 'f':
		return func(b []byte, r *FPMRecord) []byte { return appendVisible(b, orDash(r.Script)) }
	case 'l':
		return func(b []byte, r *FPMRecord) []byte { return strconv.AppendInt(b, r.ContentLength, 10) }
	case 'm':
		return func(b []byte, r *FPMRecord) []byte { return appendVisible(b, orDash(r.Method)) }
	case 'n':
		return func(b []byte, r *FPMRecord) []byte { return appendVisible(b, orDash(r.Pool)) }
	case 'p':
		return func(b []byte, r *FPMRecord) []byte { return strconv.AppendInt(b, int64(r.WorkerPID), 10) }
	case 'P':
		return func(b []byte, r *FPMRecord) []byte { return strconv.AppendInt(b, int64(r.MasterPID), 10) }
	case 'q':
		return func(b []byte, r *FPMRecord) []byte { return appendVisible(b, r.Query) }
	case 'Q':
		return func(b []byte, r *FPMRecord) []byte {
			if r.Query == "" {
				return b
			}
			return append(b, '?')
		}
	case 'r':
		return func(b []byte, r *FPMRecord) []byte { return appendVisible(b, r.URI) }
	case 'R':
		return func(b []byte, r *FPMRecord) []byte { return append(b, orDash(r.Peer)...) }
	case 's':
		return func(b []byte, r *FPMRecord) []byte { return strconv.AppendInt(b, int64(r.Status), 10) }
	case 'u':
		return func(b []byte, r *FPMRecord) []byte { return appendVisible(b, r.User) }
	}
	return nil
}

// cpuPart is %C: the share of a CPU that the worker had, in percent.
func cpuPart(argument string) (part, error) {
	var used func(r *FPMRecord) time.Duration
	switch strings.ToLower(argument) {
	case "", "total":
		used = func(r *FPMRecord) time.Duration { return r.UserCPU + r.SystemCPU }
	case "user":
		used = func(r *FPMRecord) time.Duration { return r.UserCPU }
	case "system":
		used = func(r *FPMRecord) time.Duration { return r.SystemCPU }
	default:
		return nil, formatError("only 'total', 'user' or 'system' are allowed as a modifier for %C ('" + argument + "')")
	}
	return func(b []byte, r *FPMRecord) []byte {
		percent := 0.0
		if d := r.End.Sub(r.Start); d > 0 {
			percent = 100 * float64(used(r)) / float64(d)
		}
		return strconv.AppendFloat(b, percent, 'f', 2, 64)
	}, nil
}

// durationPart is %d: how long the request took, or, with queue, queue_milli or queue_micro between braces, how long it had
// waited for a worker before. php-fpm knows nothing of the queue and refuses the name.
func durationPart(argument string) (part, error) {
	took := func(r *FPMRecord) time.Duration { return r.End.Sub(r.Start) }
	unit := strings.ToLower(argument)
	if of, ok := strings.CutPrefix(unit, "queue"); ok && (of == "" || strings.HasPrefix(of, "_") && of != "_") {
		took = func(r *FPMRecord) time.Duration { return r.Queue }
		unit = strings.TrimPrefix(of, "_")
	}
	switch unit {
	case "", "seconds":
		return func(b []byte, r *FPMRecord) []byte {
			return strconv.AppendFloat(b, took(r).Seconds(), 'f', 3, 64)
		}, nil
	case "milliseconds", "milli", "miliseconds", "mili": // the latter two for php-fpm's first spelling
		return func(b []byte, r *FPMRecord) []byte {
			return strconv.AppendFloat(b, float64(took(r).Microseconds())/1000, 'f', 3, 64)
		}, nil
	case "microseconds", "micro":
		return func(b []byte, r *FPMRecord) []byte { return strconv.AppendInt(b, took(r).Microseconds(), 10) }, nil
	}
	return nil, formatError("only 'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds' are allowed as a modifier for %d ('" +
		argument + "')")
}

// memoryPart is %M: the peak of the script's memory.
func memoryPart(argument string) (part, error) {
	unit := int64(1)
	switch strings.ToLower(argument) {
	case "", "bytes":
	case "kilobytes", "kilo":
		unit = 1 << 10
	case "megabytes", "mega":
		unit = 1 << 20
	default:
		return nil, formatError("only 'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes' are allowed as a modifier for %M ('" +
			argument + "')")
	}
	return func(b []byte, r *FPMRecord) []byte { return strconv.AppendInt(b, r.Memory/unit, 10) }, nil
}

// namedPart is %{NAME}e, a FastCGI parameter, or %{NAME}o, a header of the answer.
func namedPart(specifier byte, name string) (part, error) {
	what := "environment variable"
	if specifier == 'o' {
		what = "header"
	}
	if name == "" {
		return nil, formatError(fmt.Sprintf("the name of the %s must be set between embraces for %%%c", what, specifier))
	}
	if specifier == 'o' {
		return func(b []byte, r *FPMRecord) []byte {
			value, _ := r.Header(name)
			return appendVisible(b, orDash(value))
		}, nil
	}
	return func(b []byte, r *FPMRecord) []byte {
		value, ok := r.Param(name)
		if !ok { // a parameter may be empty
			value = "-"
		}
		return appendVisible(b, value)
	}, nil
}

// timePart is %t, when the request began, or %T, when its line is written.
func timePart(specifier byte, layout string) part {
	if layout == "" {
		layout = "%d/%b/%Y:%H:%M:%S %z"
	}
	f := parseStrftime(layout)
	if specifier == 't' {
		return func(b []byte, r *FPMRecord) []byte { return f.append(b, r.Start) }
	}
	return func(b []byte, r *FPMRecord) []byte { return f.append(b, r.End) }
}

// append renders the line of a request, without the newline.
func (f *Format) append(b []byte, r *FPMRecord) []byte {
	for _, part := range f.parts {
		b = part(b, r)
	}
	return b
}

// appendLine renders the line of a request with its newline. What would be longer than limit bytes (log_limit) ends in "...",
// as in php-fpm since 8.5. Nothing is appended where the format renders to nothing.
func (f *Format) appendLine(b []byte, r *FPMRecord, limit int) []byte {
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

// suppressed reports whether access.suppress_path[] keeps a request out of the log: a successful GET or HEAD of exactly one
// of the paths, with neither query nor body (php-src sapi/fpm/fpm/fpm_log.c:fpm_access_log_suppress).
func suppressed(paths []string, r *FPMRecord) bool {
	if r.Method != "GET" && r.Method != "HEAD" || r.Query != "" || r.ContentLength != 0 || r.Status < 200 || r.Status > 299 {
		return false
	}
	return slices.Contains(paths, r.URI)
}

// BasicAuthUser finds the user of %u in HTTP_AUTHORIZATION as PHP does, who ignores what is no base64 and wants a colon after
// the name (php-src main/main.c:php_handle_auth_data); empty if there is none.
func BasicAuthUser(authorization string) string {
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
