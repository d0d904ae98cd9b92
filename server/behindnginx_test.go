package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestErrorPageDetailIsNotShownThroughNginx: a proxy of the same machine that keeps connections and names the address of phpserve as the
// host, as nginx does by default, shows in nothing but the user of its processes.
func TestErrorPageDetailIsNotShownThroughNginx(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have nginx run as another user")
	}
	ts := startServer(t, engines[1], map[string]string{"a.bin": "x"}, nil)
	if page := ts.get("/nope", "Host", ts.addr).body; !strings.Contains(page, ts.root) {
		t.Fatalf("who sits at the machine gets no detail: %s", page)
	}
	dir := filepath.Join(filepath.Dir(ts.root), "nginx")
	mustMkdir(t, dir)
	side := &staticSide{name: "nginx", network: "unix", addr: filepath.Join(dir, "s")}
	startStatic(t, side, dir, filepath.Join(dir, "conf"), fmt.Sprintf(`user www-data; worker_processes 1; daemon off; pid %[1]s/pid; error_log %[1]s/log;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path %[1]s/body; fastcgi_temp_path %[1]s/fastcgi; proxy_temp_path %[1]s/proxy; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen unix:%[1]s/s; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://%[2]s; } }
}`, dir, ts.addr), "nginx", "-e", dir+"/log", "-c", dir+"/conf")
	for _, path := range []string{"/nope", "/nope.css", "/sub/nope.php"} {
		resp, page := side.ask(t, "GET", path)
		if resp.StatusCode < 400 || resp.Header.Get("X-Request-Id") == "" || strings.Contains(page, ts.root) {
			t.Errorf("GET %s = %d %s", path, resp.StatusCode, page)
		}
	}
}
