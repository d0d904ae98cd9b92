//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// stockConfig is Debian's php-fpm.conf with its www.conf, as the package has them but for the paths that a test may not write.
func stockConfig(t *testing.T, dir string) (file string) {
	t.Helper()
	const stock = "/etc/php/8.2/fpm"
	out, err := exec.Command("cp", "-r", stock, filepath.Join(dir, "fpm")).CombinedOutput()
	if err != nil {
		t.Fatalf("this test needs Debian's php8.2-fpm: %v: %s", err, out)
	}
	file = filepath.Join(dir, "fpm", "php-fpm.conf")
	for _, name := range []string{file, filepath.Join(dir, "fpm", "pool.d", "www.conf")} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		moved := strings.NewReplacer("/etc/php/8.2/fpm/", dir+"/fpm/", "/run/php/", dir+"/", "/var/log/", dir+"/").Replace(string(text))
		if err := os.WriteFile(name, []byte(moved), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// nginxFor starts Debian's nginx for the scripts of root, with its own snippet for FastCGI.
func nginxFor(t *testing.T, dir, root, socket string) (url string) {
	t.Helper()
	port := strconv.Itoa(patient.Port(t))
	user := ""
	if os.Geteuid() == 0 {
		user = "user www-data;"
	}
	conf := strings.ReplaceAll(fmt.Sprintf(`%s worker_processes 1; daemon off; pid DIR/nginx.pid; error_log DIR/nginx.log;
events { worker_connections 64; }
http {
	fastcgi_read_timeout 1d; fastcgi_send_timeout 1d; client_body_timeout 1d; send_timeout 1d;
	access_log off; client_body_temp_path DIR/b; fastcgi_temp_path DIR/f; proxy_temp_path DIR/p; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
	include /etc/nginx/mime.types;
	server {
		listen 127.0.0.1:%s; root %s; index index.php doku.php; client_max_body_size 20m;
		location ~ ^/(data|conf|bin|inc|vendor)/ { return 404; }
		location / { try_files $uri $uri/ =404; }
		location ~ [^/]\.php(/|$) {
			fastcgi_split_path_info ^(.+?\.php)(/.*)$;
			set $path_info $fastcgi_path_info;
			fastcgi_param PATH_INFO $path_info;
			fastcgi_index index.php;
			include /etc/nginx/fastcgi.conf;
			fastcgi_pass unix:%s;
		}
	}
}`, user, port, root, socket), "DIR", dir)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "nginx.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("nginx", "-e", filepath.Join(dir, "nginx.log"), "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs nginx: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, "nginx answers", func() bool {
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return "http://127.0.0.1:" + port
}

// TestFPMServesDokuWikiBehindNginx installs and uses a wiki through Debian's nginx and Debian's pool.
func TestFPMServesDokuWikiBehindNginx(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		if os.Geteuid() != 0 {
			t.Log("Debian's pool names a user, which has no effect without root")
		}
		dir := copyDokuWiki(t)
		s := &side{t: t, name: "phpserve", dir: dir, engine: engine, out: &output{changed: make(chan struct{})}}
		s.conf = stockConfig(t, dir)
		s.start("-d", "opcache.revalidate_freq=0")
		v := newVisitor(t, nginxFor(t, dir, filepath.Join(dir, "wiki"), filepath.Join(dir, "php8.2-fpm.sock")))
		useDokuWiki(t, v, dir)
		if code := s.stop(syscall.SIGQUIT); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, left := range []string{"php8.2-fpm.sock", "php8.2-fpm.pid"} {
			if exists(filepath.Join(dir, left)) {
				t.Errorf("%s is left behind", left)
			}
		}
	})
}
