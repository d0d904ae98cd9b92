package manager

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// statusPatience is how long a script may take to read its pool's status.
const statusPatience = 5 * time.Second

// statusPause is how long accepting rests after an error.
const statusPause = 200 * time.Millisecond

// openStatus opens the socket on which fpm_get_status() of runtime/fpmstatus.php asks. Who cannot have one goes without: the function then
// returns false.
func (p *Pool) openStatus() {
	address := p.dir.statusAddress()
	if address == "" {
		return
	}
	l, err := net.Listen("unix", address)
	if err != nil {
		p.log.Warn("fpm_get_status() does not work", "error", err)
		return
	}
	p.statusSocket = l
	p.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // such as too many open files
				p.log.Warn("fpm_get_status() cannot be answered", "error", err)
				time.Sleep(statusPause)
				continue
			}
			p.wg.Go(func() { p.tellStatus(nc) })
		}
	})
}

// tellStatus answers one call of fpm_get_status().
func (p *Pool) tellStatus(nc net.Conn) {
	defer nc.Close()
	if !mayAskStatus(nc, p.dir.owner) {
		return
	}
	status := p.Status(true)
	_ = nc.SetDeadline(time.Now().Add(statusPatience))
	_, _ = nc.Write(status.serialized()) // a script that does not read it has its own reasons
}

// serialized is what fpm_get_status() of php-fpm returns (fpm_status.c:fpm_status_export_to_zval), as PHP's serialize() writes it.
func (s *Status) serialized() []byte {
	pool := phpArray{}
	pool.add("pool", s.Pool)
	pool.add("process-manager", s.PM)
	pool.add("start-time", s.Start.Unix())
	pool.add("start-since", seconds(s.Taken.Sub(s.Start)))
	pool.add("accepted-conn", count(s.Accepted))
	pool.add("listen-queue", count(s.ListenQueue))
	pool.add("max-listen-queue", count(s.MaxListenQueue))
	pool.add("listen-queue-len", count(s.ListenQueueLen))
	pool.add("idle-processes", count(s.Idle))
	pool.add("active-processes", count(s.Active))
	pool.add("total-processes", count(s.Idle+s.Active))
	pool.add("max-active-processes", count(s.MaxActive))
	pool.add("max-children-reached", count(s.MaxChildrenReached))
	pool.add("slow-requests", count(s.SlowRequests))
	if hasMemoryPeak(s.PHP) {
		pool.add("memory-peak", count(s.MemoryPeak))
	}
	var procs phpArray
	for i := range s.Processes {
		w := &s.Processes[i]
		var proc phpArray
		proc.add("pid", count(w.PID))
		proc.add("state", w.State)
		proc.add("start-time", w.Start.Unix())
		proc.add("start-since", seconds(s.Taken.Sub(w.Start)))
		proc.add("requests", count(w.Requests))
		proc.add("request-duration", w.Duration.Microseconds())
		proc.add("request-method", orDash(w.Request.Method))
		proc.add("request-uri", w.Request.Name)
		proc.add("query-string", w.Request.Query)
		proc.add("request-length", w.Request.ContentLength)
		proc.add("user", orDash(w.Request.User))
		proc.add("script", orDash(w.Request.Script))
		proc.add("last-request-cpu", w.CPU)
		proc.add("last-request-memory", count(w.Memory))
		procs.append(proc)
	}
	pool.add("procs", procs)
	return pool.serialize(nil)
}

// phpArray is a PHP array of what serialize() has written.
type phpArray struct {
	n    int
	body bytes.Buffer
}

// add adds a value under a key: a string, an int64, a float64 or another array.
func (a *phpArray) add(key string, value any) {
	a.n++
	a.body.Write(phpValue(key))
	a.body.Write(phpValue(value))
}

// append adds a value under the next number.
func (a *phpArray) append(value phpArray) {
	a.body.Write(phpValue(int64(a.n)))
	a.n++
	a.body.Write(value.serialize(nil))
}

func (a *phpArray) serialize(b []byte) []byte {
	return fmt.Appendf(b, "a:%d:{%s}", a.n, a.body.Bytes())
}

func phpValue(value any) []byte {
	switch v := value.(type) {
	case string:
		return fmt.Appendf(nil, "s:%d:\"%s\";", len(v), v)
	case int64:
		return fmt.Appendf(nil, "i:%d;", v)
	case float64:
		return fmt.Appendf(nil, "d:%s;", strconv.FormatFloat(v, 'g', -1, 64))
	case phpArray:
		return v.serialize(nil)
	}
	panic(fmt.Sprintf("internal error: cannot serialize %T", value))
}
