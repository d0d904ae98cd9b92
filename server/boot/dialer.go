package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
)

// Dialer speaks FastCGI to new workers for package manager.
type Dialer struct{}

// outputLimit bounds what is kept of a worker's answer to its greeting.
const outputLimit = 8 << 10

// scriptParams are the parameters of a script of phpserve's own.
func scriptParams(script string, more map[string]string) []byte {
	p := fastcgi.AppendParam(nil, "GATEWAY_INTERFACE", "CGI/1.1")
	p = fastcgi.AppendParam(p, "REQUEST_METHOD", "GET")
	p = fastcgi.AppendParam(p, "SCRIPT_NAME", "/"+script)
	p = fastcgi.AppendParam(p, "SCRIPT_FILENAME", script)
	names := make([]string, 0, len(more))
	for name := range more {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		p = fastcgi.AppendParam(p, name, more[name])
	}
	return p
}

// Greet implements manager.Dialer.
func (Dialer) Greet(ctx context.Context, nc net.Conn, script string) (manager.Conn, string, error) {
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	conn := fastcgi.NewConn(nc)
	output, err := Exchange(conn, script, nil)
	if err == nil && !conn.Reusable() {
		err = errors.New("it closed its connection after the greeting")
	}
	if err != nil {
		conn.Close()
		return nil, output, fmt.Errorf("%w: %s", err, output)
	}
	return conn, output, nil
}

// Launch implements manager.Dialer.
func (Dialer) Launch(nc net.Conn, script string, params map[string]string) (io.ReadCloser, error) {
	conn := fastcgi.NewConn(nc)
	if err := conn.Send(&fastcgi.Request{Params: scriptParams(script, params)}); err != nil {
		conn.Close()
		return nil, err
	}
	// php-cgi ends a connection that is not kept alive by reading it to its end (main/fastcgi.c:fcgi_close).
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return &launched{conn: conn}, nil
}

// launched reads what the script of Launch prints.
type launched struct {
	conn  *fastcgi.Conn
	rest  []byte
	ended bool
}

func (l *launched) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if l.ended {
			return 0, io.EOF
		}
		rec, err := l.conn.Next()
		if err != nil {
			return 0, err
		}
		if rec.Type == fastcgi.TypeEndRequest {
			l.ended = true
			return 0, io.EOF
		}
		l.rest = rec.Content
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *launched) Close() error { return l.conn.Close() }

// Exchange has a worker run a script of phpserve's own and returns the beginning of what it says.
func Exchange(conn *fastcgi.Conn, script string, params map[string]string) (string, error) {
	if err := conn.Send(&fastcgi.Request{Params: scriptParams(script, params), KeepConn: true}); err != nil {
		return "", err
	}
	var out bytes.Buffer
	for {
		rec, err := conn.Next()
		if err != nil {
			return out.String(), err
		}
		if rec.Type == fastcgi.TypeEndRequest {
			return out.String(), nil
		}
		out.Write(rec.Content[:min(len(rec.Content), outputLimit-out.Len())])
	}
}
