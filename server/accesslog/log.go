package accesslog

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/phpserve/phpserve/internal/buffer"
	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/safefile"
)

// Formats of the access log.
const (
	Common   = "common"
	Combined = "combined"
	JSON     = "json"
)

// Log writes one line per request.
type Log struct {
	format string
	path   string // empty for standard output
	out    *linelog.Writer
}

// flushDelay is how long a line may wait for others before it is written.
const flushDelay = 100 * time.Millisecond

// Open opens the log at path in a format; nil if path is "off" or empty. "-" is stdout. What becomes of it when it cannot be
// written is told to log.
func Open(path, format string, stdout io.Writer, log *slog.Logger) (*Log, error) {
	l := &Log{format: format}
	lines := linelog.Config{Delay: flushDelay, Limit: waitingLimit}
	switch path {
	case "off", "":
		return nil, nil
	case "-":
		tellTrouble(&lines, log, "standard output")
		l.out = linelog.New(linelog.KeepOpen(stdout), lines)
	default:
		l.path = path
		f, err := l.open()
		if err != nil {
			return nil, err
		}
		tellTrouble(&lines, log, l.path)
		l.out = linelog.New(f, lines)
	}
	return l, nil
}

// waitingLimit is how many bytes of lines may wait for a slow disk or reader.
const waitingLimit = 4 << 20

// tellTrouble has what happens to an access log be in the log.
func tellTrouble(lines *linelog.Config, log *slog.Logger, file string) {
	lines.Failed = func(err error) {
		log.Error("cannot write the access log, its lines wait", "file", file, "error", err)
	}
	lines.Lost = func(n uint64) []byte {
		log.Warn("lines of the access log were lost", "file", file, "lines", n)
		return nil
	}
}

func (l *Log) open() (*os.File, error) {
	f, err := safefile.OpenAppend(l.path, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the access log: %w", err)
	}
	return f, nil
}

// Reopen opens the file again, which logrotate may have renamed. When that fails, the old one stays.
func (l *Log) Reopen() error {
	if l == nil || l.path == "" {
		return nil
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	l.out.Replace(f)
	return nil
}

// Close writes what is left.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	return l.out.Close()
}

// Entry is what the access log tells of a request besides its head.
type Entry struct {
	Client       netip.Addr // who asks
	User         string     // name in Basic credentials
	Start        time.Time
	Status       int
	Bytes        int64 // of the body that was sent
	ID           string
	Pool, Script string // of a request that reached PHP
	PID          int    // of the worker; 0: none
	QueueTime    time.Duration
	PHPTime      time.Duration
	Err          error // why the answer is an error
}

// Write adds the line of a finished request.
func (l *Log) Write(x *Entry, r *http.Request) {
	if l == nil {
		return
	}
	b := lineBuffers.Get().(*[]byte)
	if l.format == JSON {
		*b = appendJSONLine((*b)[:0], x, r)
	} else {
		*b = appendCommonLine((*b)[:0], x, r, l.format == Combined)
	}
	_, _ = l.out.Write(*b) // it never fails
	lineBuffers.Put(b)
}

// lineBuffers keeps the buffers of access lines.
var lineBuffers = buffer.NewPool(512)

// appendCommonLine writes the Common Log Format or, with combined, that of Apache and nginx with referer and agent,
// followed by phpserve's own: time in all, in the queue and in PHP (seconds), the worker and the request id.
func appendCommonLine(b []byte, x *Entry, r *http.Request, combined bool) []byte {
	b = x.Client.AppendTo(b)
	b = append(b, " - "...)
	b = appendWord(b, orDash(x.User))
	b = append(b, " ["...)
	b = x.Start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendEscaped(b, r.Method)
	b = append(b, ' ')
	b = appendEscaped(b, r.RequestURI)
	b = append(b, ' ')
	b = appendEscaped(b, r.Proto)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(x.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.Bytes, 10)
	if !combined {
		return append(b, '\n')
	}
	b = append(b, ` "`...)
	b = appendEscaped(b, orDash(r.Referer()))
	b = append(b, `" "`...)
	b = appendEscaped(b, orDash(r.UserAgent()))
	b = append(b, `" `...)
	b = appendSeconds(b, time.Since(x.Start))
	b = append(b, " queue="...)
	b = appendSeconds(b, x.QueueTime)
	b = append(b, " php="...)
	b = appendSeconds(b, x.PHPTime)
	b = append(b, " pid="...)
	if x.PID == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, int64(x.PID), 10)
	}
	b = append(b, " id="...)
	b = appendEscaped(b, orDash(x.ID))
	return append(b, '\n')
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', 4, 64)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// appendEscaped writes a client's text so that it can neither end its field nor forge a line (CWE-117).
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c >= 0x7f:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendWord is appendEscaped for a field without quotes, which a space would end.
func appendWord(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ':
			b = append(b, `\x20`...)
		case '[':
			b = append(b, `\x5B`...)
		default:
			b = appendEscaped(b, s[i:i+1])
		}
	}
	return b
}

// JSONRecord is a line of the JSON format.
type JSONRecord struct {
	Time      string  `json:"time"`
	Client    string  `json:"client"`
	User      string  `json:"user,omitempty"`
	Method    string  `json:"method"`
	Host      string  `json:"host"`
	URI       string  `json:"uri"`
	Proto     string  `json:"proto"`
	Status    int     `json:"status"`
	Bytes     int64   `json:"bytes"`
	Duration  float64 `json:"duration"`
	QueueTime float64 `json:"queue_time"`
	PHPTime   float64 `json:"php_time"`
	Pool      string  `json:"pool,omitempty"`
	PID       int     `json:"pid,omitempty"`
	Script    string  `json:"script,omitempty"`
	Referer   string  `json:"referer,omitempty"`
	UserAgent string  `json:"user_agent,omitempty"`
	RequestID string  `json:"request_id"`
	Error     string  `json:"error,omitempty"`
}

func appendJSONLine(b []byte, x *Entry, r *http.Request) []byte {
	rec := JSONRecord{
		Time: x.Start.Format(time.RFC3339Nano), Client: x.Client.String(), User: x.User, Method: r.Method, Host: r.Host,
		URI: r.RequestURI, Proto: r.Proto, Status: x.Status, Bytes: x.Bytes, Duration: time.Since(x.Start).Seconds(),
		QueueTime: x.QueueTime.Seconds(), PHPTime: x.PHPTime.Seconds(), Pool: x.Pool, PID: x.PID, Script: x.Script,
		Referer: r.Referer(), UserAgent: r.UserAgent(), RequestID: x.ID,
	}
	if x.Err != nil {
		rec.Error = x.Err.Error()
	}
	line, err := json.Marshal(rec)
	if err != nil || !utf8.Valid(line) {
		panic(fmt.Sprintf("internal error: access record: %v", err)) // json.Marshal replaces invalid UTF-8
	}
	return append(linelog.AppendVisibleJSON(b, line), '\n')
}
