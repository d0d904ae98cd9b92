package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/accesslog"
)

// finishers are the ways in which the response of a script that goes on leaves phpserve. What they do behind it is %s.
var finishers = map[string]string{
	"at once":              `echo 'answer'; fastcgi_finish_request(); say('finished'); %s`,
	"streamed":             `echo 'ans'; while (ob_get_level()) ob_end_flush(); flush(); usleep(20000); echo 'wer'; fastcgi_finish_request(); say('finished'); %s`,
	"empty":                `fastcgi_finish_request(); say('finished'); %s`,
	"as long as announced": `header('Content-Length: 6'); echo 'answer'; while (ob_get_level()) ob_end_flush(); flush(); usleep(20000); fastcgi_finish_request(); say('finished'); %s`,
	"client left":          `say('begun'); await('left'); echo 'answer'; fastcgi_finish_request(); say('finished'); echo 'late'; flush(); %s`,
}

// endOfFinisher runs one of finishers, which would run for so long, until it ends or is ended, and tells how. In mode fpm the request is a
// web server's.
func endOfFinisher(t *testing.T, engine, mode, script string, limit, runs time.Duration, track bool) (finished, done, ended bool) {
	socket := ""
	code := finishLib + fmt.Sprintf(script, fmt.Sprintf(`usleep(%d); say('done');`, runs.Microseconds()))
	ts := startServer(t, engine, map[string]string{"s.php": code}, func(c *Config) {
		c.Pools[0].RequestTerminateTimeout, c.Pools[0].RequestTerminateTimeoutTrackFinished = limit, track
		if mode == "fpm" {
			base := filepath.Dir(c.Sites[0].Root)
			socket = filepath.Join(base, "fpm.sock")
			c.Responders = []ResponderConfig{{Pool: "www", Listen: socket, Access: accesslog.FPMConfig{File: filepath.Join(base, "access.log"), Format: "%s"}}}
		}
	})
	var conn net.Conn
	var err error
	if mode == "fpm" {
		if conn, err = net.Dial("unix", socket); err == nil {
			_, err = conn.Write(oneFastCGIRequest(filepath.Join(ts.root, "s.php")))
		}
	} else {
		conn = ts.dial()
		_, err = fmt.Fprintf(conn, "POST /s.php HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stats := func() manager.Stats { return ts.pool().Stats() }
	if strings.Contains(script, "await('left')") {
		eventually(t, "the script runs", func() bool { return strings.Contains(ts.noteIn("said"), "begun\n") || stats().Ended > 0 })
		conn.Close()
		if mode == "fpm" {
			eventually(t, "the leaving is noticed", func() bool { return strings.Contains(ts.noteIn("access.log"), "499") || stats().Ended > 0 })
		} else {
			eventually(t, "the leaving is noticed", func() bool { return strings.Contains(ts.access.String(), " 499 ") || stats().Ended > 0 })
		}
		ts.touch("left")
	}
	eventually(t, "the script ends", func() bool { return strings.Contains(ts.noteIn("said"), "done\n") || stats().Ended > 0 })
	s, notes := stats(), ts.noteIn("said")
	if s.Ended > 0 && s.EndedBy[manager.EndTimeout] != s.Ended {
		t.Errorf("workers ended by %v:\n%s", s.EndedBy, ts.log)
	}
	return strings.Contains(notes, "finished\n"), strings.Contains(notes, "done\n"), s.Ended > 0
}

// oneFastCGIRequest is a web server's request for a script.
func oneFastCGIRequest(script string) (p []byte) {
	var params []byte
	for name, value := range map[string]string{"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/s.php"} {
		params = append(params, byte(len(name)), byte(len(value)))
		params = append(append(params, name...), value...)
	}
	p = fastcgi.AppendRecord(nil, fastcgi.TypeBeginRequest, 1, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	p = fastcgi.AppendRecord(p, fastcgi.TypeParams, 1, params)
	p = fastcgi.AppendRecord(p, fastcgi.TypeParams, 1, nil)
	p = fastcgi.AppendRecord(p, fastcgi.TypeStdin, 1, nil)
	return p
}

func TestTerminateTimeoutHoldsBehindTheResponseOnlyWithTrackFinished(t *testing.T) {
	for _, mode := range []string{"run", "fpm"} {
		for way, script := range finishers {
			for _, track := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, track_finished %v", mode, way, track), func(t *testing.T) {
					t.Parallel()
					eachEngine(t, func(t *testing.T, engine string) {
						patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
							runs := 2 * limit
							if track {
								runs = time.Hour
							}
							finished, done, ended := endOfFinisher(t, engine, mode, script, limit, runs, track)
							t.Logf("limit %v: finished %v, done %v, ended %v", limit, finished, done, ended)
							if track {
								return !finished // else it has been ended behind its response: nothing else ends it
							}
							return !done
						})
					})
				})
			}
		}
	}
}

// noteIn is what is in a file beside the document root; empty where there is none.
func (ts *testServer) noteIn(name string) string {
	ts.t.Helper()
	text, err := os.ReadFile(ts.beside(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		ts.t.Fatal(err)
	}
	return string(text)
}
