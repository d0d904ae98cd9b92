package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
)

// nginxConf is Debian's nginx.conf with what a careful administrator changes
// for a PHP site: connections that are not closed after 1000 requests, and
// FastCGI buffers that hold a whole page, so that no response is written to a
// temporary file.
const nginxConf = `{{with .User}}user {{.}};
{{end}}worker_processes {{.Processes}};
daemon off;
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log;
events {
    worker_connections 1024;
}
http {
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    types_hash_max_size 2048;
    keepalive_timeout 65;
    keepalive_requests 100000000;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log {{.Dir}}/access.log;
    gzip on;
    client_body_temp_path {{.Dir}}/body;
    fastcgi_temp_path {{.Dir}}/fastcgi;
    proxy_temp_path {{.Dir}}/proxy;
    scgi_temp_path {{.Dir}}/scgi;
    uwsgi_temp_path {{.Dir}}/uwsgi;
    upstream php {
        server unix:{{.Dir}}/fpm.sock;
{{- if .Keepalive}}
        keepalive {{.Keepalive}};
        keepalive_requests 100000000;
{{- end}}
    }
    server {
        listen {{.Address}};
        root {{.Root}};
        index index.php;
        location / {
            try_files $uri $uri/ =404;
        }
        location ~ \.php$ {
            try_files $uri =404;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_buffer_size 16k;
            fastcgi_buffers 16 16k;
{{- if .Keepalive}}
            fastcgi_keep_conn on;
{{- end}}
            fastcgi_pass php;
        }
    }
}
`

// fpmConf is a pool like Debian's www.conf with a fixed number of workers.
const fpmConf = `[global]
daemonize = no
error_log = {{.Dir}}/fpm.log
[bench]
{{with .User}}user = {{.}}
group = {{$.Group}}
listen.owner = {{.}}
listen.group = {{$.Group}}
{{end}}listen = {{.Dir}}/fpm.sock
listen.mode = 0660
pm = static
pm.max_children = {{.Workers}}
`

// nginxParams fills nginxConf and fpmConf.
type nginxParams struct {
	User, Group string
	Processes   string
	Dir, Root   string
	Address     string
	Workers     int
	Keepalive   int
}

// fairKeepalive returns nginx's process count and its `keepalive`, the idle
// upstream connections that each process keeps. A kept connection holds its
// FPM worker, also for the other nginx processes: when all workers can be
// held, requests starve. So the product is the most that stays below workers.
func fairKeepalive(workers, cpus int) (processes, keepalive int) {
	processes = min(cpus, workers-1)
	return processes, (workers - 1) / processes
}

// newNginxSide prepares nginx before a php-fpm master of its own, so that
// processor time and memory of two such sides can be told apart.
func newNginxSide(name string, o options, t tools, dir, root string) (*side, error) {
	if err := makeSideDir(dir, t.account); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := nginxParams{Processes: "auto", Dir: dir, Root: root, Address: address, Workers: o.workers}
	if t.account != nil {
		p.User, p.Group = t.account.name, t.account.group
	}
	if name == sideNginxKeepalive {
		processes, keepalive := fairKeepalive(o.workers, runtime.NumCPU())
		p.Processes, p.Keepalive = fmt.Sprint(processes), keepalive
		if o.keepalive > 0 {
			p.Keepalive = o.keepalive
		}
	}
	nginxFile, fpmFile := filepath.Join(dir, "nginx.conf"), filepath.Join(dir, "fpm.conf")
	if err := writeTemplate(nginxFile, nginxConf, p); err != nil {
		return nil, err
	}
	if err := writeTemplate(fpmFile, fpmConf, p); err != nil {
		return nil, err
	}
	return &side{name: name, address: address, servers: []*server{
		{path: t.phpFPM, args: []string{"--nodaemonize", "--fpm-config", fpmFile}, log: filepath.Join(dir, "fpm.out")},
		{path: t.nginx, args: []string{"-c", nginxFile}, log: filepath.Join(dir, "nginx.out")},
	}}, nil
}

func writeTemplate(path, text string, data any) error {
	t, err := template.New(filepath.Base(path)).Parse(text)
	if err != nil {
		return fmt.Errorf("cannot parse the template of %q: %v", path, err)
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		return fmt.Errorf("cannot fill the template of %q: %v", path, err)
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		return fmt.Errorf("cannot write a configuration: %v", err)
	}
	return nil
}
