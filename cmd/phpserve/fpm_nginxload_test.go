//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// nginxKeeping starts nginx with two sites for one socket: one opens a connection for each request, the other keeps them.
func nginxKeeping(t *testing.T, s *side) (c *fpmClient, once, kept string) {
	t.Helper()
	once, kept = freeAddress(t, "127.0.0.1"), freeAddress(t, "127.0.0.1")
	c = &fpmClient{name: "nginx", addr: once, log: filepath.Join(s.dir, "nginx.log")}
	user := ""
	if os.Geteuid() == 0 {
		user = "user www-data;"
	}
	const site = "server { listen %s; root DIR; location / { include /etc/nginx/fastcgi.conf; fastcgi_pass %s; fastcgi_keep_conn %s; } }\n"
	conf := user + ` worker_processes 1; daemon off; pid DIR/nginx.pid; error_log DIR/nginx.log info;
events { worker_connections 256; }
http {
	fastcgi_read_timeout 1d; fastcgi_send_timeout 1d; client_body_timeout 1d; send_timeout 1d;
	access_log off; client_body_temp_path DIR/b; fastcgi_temp_path DIR/f; proxy_temp_path DIR/p; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
	upstream kept { server unix:DIR/www.sock; keepalive 8; }
` + fmt.Sprintf(site, once, "unix:DIR/www.sock", "off") + fmt.Sprintf(site, kept, "kept", "on") + "}\n"
	file := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(conf, "DIR", s.dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run(t, s.dir, nil, "nginx", "-e", c.log, "-c", file)
	eventually(t, "nginx answers at its other address, too", func() bool {
		nc, err := net.Dial("tcp", kept)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return c, once, kept
}

// loadClient asks one URL until done is closed, with GET and POST in turn, which nobody may repeat, and counts.
func loadClient(t *testing.T, url string, keep bool, done <-chan struct{}, asked *atomic.Int64) {
	client := plainClient()
	client.Transport.(*http.Transport).DisableKeepAlives = !keep
	defer client.CloseIdleConnections()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		body := fmt.Sprintf("%s %d", url, i)
		resp, err := client.Post(url, "text/plain", strings.NewReader(body))
		if err == nil && i%2 == 0 {
			resp.Body.Close()
			body = ""
			resp, err = client.Get(url)
		}
		if err != nil {
			t.Errorf("request %d: %v", i, err)
			continue
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		asked.Add(1)
		if want := "got " + body + "."; resp.StatusCode != 200 || err != nil || string(text) != want {
			t.Errorf("request %d: %d %q %v", i, resp.StatusCode, text, err)
		}
	}
}

// TestFPMReloadsBehindNginxLoseNoRequest reloads twenty times, with another pool each time, while clients ask nginx without a pause:
// over kept and new connections, which nginx passes on over kept and new ones. Nothing but 200 comes back, and nginx saw no
// connection of phpserve's break.
func TestFPMReloadsBehindNginxLoseNoRequest(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"zygote", "spawn"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			config := func(i int) string {
				return strings.Replace(poolWith(fmt.Sprintf("php_value[precision] = %d", i)), "pm.max_children = 1\n", "pm.max_children = 3\n", 1)
			}
			s := newSide(t, "phpserve", config(1), map[string]string{"s.php": `<?php echo "got ", file_get_contents('php://input'), ".";`})
			s.start("--engine", engine)
			nginx, once, kept := nginxKeeping(t, s)
			var asked atomic.Int64
			var clients sync.WaitGroup
			done := make(chan struct{})
			for _, address := range []string{once, kept} {
				for _, keep := range []bool{false, true} {
					for range 2 {
						clients.Go(func() { loadClient(t, "http://"+address+"/s.php", keep, done, &asked) })
					}
				}
			}
			for i := range 20 {
				s.rewrite(config(i + 2))
				before := asked.Load()
				s.reload(i+2, "ready to handle connections")
				eventually(t, "requests are answered behind the reload", func() bool { return asked.Load() > before+20 })
			}
			close(done)
			clients.Wait()
			if n := strings.Count(s.out.String(), "reloading: replaced www"); n != 20 {
				t.Errorf("the pool was replaced %d times\n%s", n, s.out)
			}
			t.Logf("%d requests through 20 reloads", asked.Load())
			if err := errors.Join(complaints(nginx.log)...); err != nil {
				t.Errorf("nginx: %v", err)
			}
			if code := s.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// complaints are the lines of nginx's error log that are about what is behind it.
func complaints(log string) (errs []error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return []error{err}
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "upstream") {
			errs = append(errs, errors.New(strings.TrimSpace(line)))
		}
	}
	return errs
}
