package manager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/phpserve/phpserve/linelog"
)

// StatusFormat is one of the forms of php-fpm's status page (sapi/fpm/fpm/fpm_status.c).
type StatusFormat string

// The forms of the status page.
const (
	StatusText        StatusFormat = "text"
	StatusHTML        StatusFormat = "html"
	StatusXML         StatusFormat = "xml"
	StatusJSON        StatusFormat = "json"
	StatusOpenMetrics StatusFormat = "openmetrics"
)

// StatusPage writes a [Status] as php-fpm does, to the byte, except that names of users and scripts are escaped in JSON, too.
type StatusPage struct {
	Format StatusFormat
	// Full adds the workers. OpenMetrics has none.
	Full bool
	// More adds what php-fpm does not tell, behind what it does: each request's id, client and target as the client sent it.
	More bool
}

// statusField is one value of a pool. OpenMetrics has no name for all of them.
type statusField struct {
	key, metric, kind, help string
	value                   any // string, int64 or time.Time
}

func count[N int | uint64](n N) int64 { return int64(n) }

func seconds(d time.Duration) int64 { return int64(max(0, d) / time.Second) }

// statusFields are the pool's values in php-fpm's order.
func statusFields(s *Status) []statusField {
	fields := []statusField{
		{"pool", "", "", "", s.Pool},
		{"process manager", "", "", "", s.PM},
		{"start time", "", "", "", s.Start},
		{"start since", "start_since", "counter", "The number of seconds since FPM has started.", seconds(s.Taken.Sub(s.Start))},
		{"accepted conn", "accepted_connections", "counter", "The number of requests accepted by the pool.", count(s.Accepted)},
		{"listen queue", "listen_queue", "gauge", "The number of requests in the queue of pending connections.", count(s.ListenQueue)},
		{
			"max listen queue", "max_listen_queue", "counter",
			"The maximum number of requests in the queue of pending connections since FPM has started.", count(s.MaxListenQueue),
		},
		{"listen queue len", "listen_queue_length", "gauge", "The size of the socket queue of pending connections.", count(s.ListenQueueLen)},
		{"idle processes", "idle_processes", "gauge", "The number of idle processes.", count(s.Idle)},
		{"active processes", "active_processes", "gauge", "The number of active processes.", count(s.Active)},
		{"total processes", "total_processes", "gauge", "The number of idle + active processes.", count(s.Idle + s.Active)},
		{
			"max active processes", "max_active_processes", "counter",
			"The maximum number of active processes since FPM has started.", count(s.MaxActive),
		},
		{"max children reached", "max_children_reached", "counter", "The number of times, the process limit has been reached, when pm tries " +
			"to start more children (works only for pm 'dynamic' and 'ondemand').", count(s.MaxChildrenReached)},
		{
			"slow requests", "slow_requests", "counter",
			"The number of requests that exceeded your 'request_slowlog_timeout' value.", count(s.SlowRequests),
		},
	}
	if hasMemoryPeak(s.PHP) {
		fields = append(fields, statusField{
			"memory peak", "memory_peak", "gauge",
			"The memory usage peak since FPM has started.", count(s.MemoryPeak),
		})
	}
	return fields
}

// processFields are a worker's values in php-fpm's order.
func (o *StatusPage) processFields(p *ProcessStatus, now time.Time) []statusField {
	uri, query := p.Request.Name, p.Request.Query
	if query != "" {
		if !utf8.ValidString(query) && (o.Format == StatusHTML || o.Format == StatusXML) {
			query = "" // as htmlspecialchars() has it
		}
		uri += "?" + query
	}
	uriKey := "request uri"
	if o.Format == StatusText {
		uriKey = "request URI"
	}
	field := func(key string, value any) statusField { return statusField{key: key, value: value} }
	fields := []statusField{
		field("pid", count(p.PID)), field("state", p.State), field("start time", p.Start), field("start since", seconds(now.Sub(p.Start))),
		field("requests", count(p.Requests)), field("request duration", p.Duration.Microseconds()),
		field("request method", orDash(p.Request.Method)), field(uriKey, orDash(uri)),
		field("content length", p.Request.ContentLength), field("user", orDash(p.Request.User)), field("script", orDash(p.Request.Script)),
		field("last request cpu", p.CPU), field("last request memory", count(p.Memory)),
	}
	if o.More {
		fields = append(fields, field("request id", orDash(p.Request.ID)), field("client", orDash(p.Request.Client)),
			field("request target", orDash(p.Request.URI)), field("processor time", p.Usage.CPU.Microseconds()),
			field("memory", count(p.Usage.Memory)))
	}
	return fields
}

// hasMemoryPeak says whether the php-fpm of a version tells the memory peak of a pool: from 8.4 on.
func hasMemoryPeak(version string) bool { return compareVersions(version, "8.4") >= 0 }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ContentType is the value of the field Content-Type, without a charset where PHP adds default_charset.
func (o *StatusPage) ContentType() string {
	switch o.Format {
	case StatusHTML:
		return "text/html"
	case StatusXML:
		return "text/xml"
	case StatusJSON:
		return "application/json"
	case StatusOpenMetrics:
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain"
}

// Append appends the page to b.
func (o *StatusPage) Append(b []byte, s *Status) []byte {
	out := bytes.NewBuffer(b)
	switch o.Format {
	case StatusHTML:
		o.html(out, s)
	case StatusXML:
		o.xml(out, s)
	case StatusJSON:
		o.json(out, s)
	case StatusOpenMetrics:
		o.openMetrics(out, s)
	default:
		o.text(out, s)
	}
	return out.Bytes()
}

// fpmTime is the form of a time where a person is to read it.
const fpmTime = "02/Jan/2006:15:04:05 -0700"

// shown is a value for a person.
func shown(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case time.Time:
		return v.Format(fpmTime)
	}
	return number(value)
}

// number is a value for a machine.
func number(value any) string {
	switch v := value.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case time.Time:
		return strconv.FormatInt(v.Unix(), 10)
	}
	panic(fmt.Sprintf("internal error: a status of type %T", value))
}

// shown is [shown] with what could steer a terminal or forge a line escaped, unless it is php-fpm's own page, for programs.
func (o *StatusPage) shown(value any) string {
	if o.More {
		return linelog.Visible(shown(value))
	}
	return shown(value)
}

func (o *StatusPage) text(out *bytes.Buffer, s *Status) {
	for _, f := range statusFields(s) {
		fmt.Fprintf(out, "%-21s %s\n", f.key+":", o.shown(f.value))
	}
	if !o.Full {
		return
	}
	for i := range s.Processes {
		out.WriteString("\n************************\n")
		for _, f := range o.processFields(&s.Processes[i], s.Taken) {
			fmt.Fprintf(out, "%-21s %s\n", f.key+":", o.shown(f.value))
		}
	}
}

// markup escapes as PHP's htmlspecialchars() with ENT_COMPAT, ENT_XML1 and ENT_DISALLOWED.
func markup(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return utf8.RuneError
		}
		return r
	}, s)
	return markupEntities.Replace(s)
}

var markupEntities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func (o *StatusPage) html(out *bytes.Buffer, s *Status) {
	out.WriteString(`<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head><title>PHP-FPM Status Page</title></head>
<body>
<table>
`)
	for _, f := range statusFields(s) {
		fmt.Fprintf(out, "<tr><th>%s</th><td>%s</td></tr>\n", f.key, markup(o.shown(f.value)))
	}
	if o.Full {
		out.WriteString("</table>\n<table border=\"1\">\n<tr>")
		for _, f := range o.processFields(&ProcessStatus{}, s.Taken) {
			fmt.Fprintf(out, "<th>%s</th>", f.key)
		}
		out.WriteString("</tr>\n")
		for i := range s.Processes {
			out.WriteString("<tr>")
			for _, f := range o.processFields(&s.Processes[i], s.Taken) {
				fmt.Fprintf(out, "<td>%s</td>", markup(o.shown(f.value)))
			}
			out.WriteString("</tr>\n")
		}
		out.WriteString("</table></body></html>")
		return
	}
	out.WriteString("</table>\n</body></html>")
}

func (o *StatusPage) xml(out *bytes.Buffer, s *Status) {
	element := func(f statusField) {
		tag := strings.ReplaceAll(f.key, " ", "-")
		text, ok := f.value.(string)
		if !ok {
			text = number(f.value)
		}
		fmt.Fprintf(out, "<%s>%s</%s>", tag, markup(o.shown(text)), tag)
	}
	out.WriteString("<?xml version=\"1.0\" ?>\n<status>\n")
	for _, f := range statusFields(s) {
		element(f)
		out.WriteByte('\n')
	}
	if o.Full {
		out.WriteString("<processes>\n")
		for i := range s.Processes {
			out.WriteString("<process>")
			for _, f := range o.processFields(&s.Processes[i], s.Taken) {
				element(f)
			}
			out.WriteString("</process>\n")
		}
		out.WriteString("</processes>\n")
	}
	out.WriteString("</status>")
}

func (o *StatusPage) json(out *bytes.Buffer, s *Status) {
	members := func(fields []statusField) {
		for i, f := range fields {
			if i > 0 {
				out.WriteByte(',')
			}
			text, ok := f.value.(string)
			if ok {
				if text = jsonString(text); o.More {
					text = string(linelog.AppendVisibleJSON(nil, []byte(text)))
				}
			} else {
				text = number(f.value)
			}
			fmt.Fprintf(out, "%q:%s", f.key, text)
		}
	}
	out.WriteByte('{')
	members(statusFields(s))
	if o.Full {
		out.WriteString(`, "processes":[`)
		for i := range s.Processes {
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteByte('{')
			members(o.processFields(&s.Processes[i], s.Taken))
			out.WriteByte('}')
		}
		out.WriteByte(']')
	}
	out.WriteByte('}')
}

// jsonString writes s as PHP's json_encode() does: in ASCII, and with a backslash before a slash. What is not UTF-8 is left out.
func jsonString(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(strings.ToValidUTF8(s, "")); err != nil {
		panic("internal error: " + err.Error()) // a string can be written
	}
	var ascii strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		switch {
		case r == '/':
			ascii.WriteString(`\/`)
		case r < utf8.RuneSelf:
			ascii.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&ascii, `\u%04x`, unit)
			}
		}
	}
	return ascii.String()
}

func (o *StatusPage) openMetrics(out *bytes.Buffer, s *Status) {
	fmt.Fprintf(out, "# HELP phpfpm_up Could pool %s using a %s PM on PHP-FPM be reached?\n# TYPE phpfpm_up gauge\nphpfpm_up 1\n", s.Pool, s.PM)
	for _, f := range statusFields(s) {
		if f.metric == "" {
			continue
		}
		name := metricPrefix + f.metric
		help, kind := "# HELP "+name+" "+f.help+"\n", "# TYPE "+name+" "+f.kind+"\n"
		if f.metric == "listen_queue_length" { // php-fpm has these two the other way round
			help, kind = kind, help
		}
		out.WriteString(help + kind + name + " " + number(f.value) + "\n")
	}
	out.WriteString("# EOF\n")
}
