package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
)

// inForceSection is a part of the configuration that is in force, for the dashboard.
type inForceSection struct {
	Title string       `json:"title"`
	Rows  []inForceRow `json:"rows"`
}

// inForceRow is a directive by its name in phpserve.yaml and php-fpm.conf.
type inForceRow struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// hiddenValue stands for a value that may be a secret.
const hiddenValue = "(not shown)"

func (s *inForceSection) add(name string, value any) {
	text := ""
	switch v := value.(type) {
	case []string:
		text = strings.Join(v, ", ")
	case bool:
		text = map[bool]string{true: "yes", false: "no"}[v]
	case time.Duration:
		text = v.String()
	default:
		text = fmt.Sprint(v)
	}
	s.Rows = append(s.Rows, inForceRow{name, linelog.VisibleLines(text)})
}

// settings adds NAME=VALUE settings, and hides what may be a secret.
func (s *inForceSection) settings(directive string, list []string, hide func(name string) bool) {
	for _, setting := range list {
		name, value, given := strings.Cut(setting, "=")
		if given && hide(name) {
			value = hiddenValue
		}
		s.add(directive+"["+name+"]", value)
	}
}

// everything is a reason to hide each value: those of the environment are passwords more often than not.
func everything(string) bool { return true }

// secretName says whether the name of a setting says that it is secret.
func secretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "pwd", "_pw", "secret", "token", "key", "auth", "credential", "dsn", "save_path"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}

// inForce is the configuration that requests meet at this moment.
func (s *Server) inForce() []inForceSection {
	cfg := s.current.Load()
	server := inForceSection{Title: "Server"}
	if len(cfg.Listen) > 0 {
		server.add("listen", cfg.Listen)
		for _, p := range cfg.TrustedProxies {
			server.add("trusted_proxies", p.String())
		}
		server.add("request_id_header", cfg.RequestIDHeader)
		server.add("timeouts.header", cfg.HeaderTimeout)
		server.add("timeouts.body", cfg.BodyTimeout)
		server.add("timeouts.write", cfg.WriteTimeout)
		server.add("timeouts.idle", cfg.IdleTimeout)
		server.add("max_header_size", cfg.MaxHeaderBytes)
		server.add("access.log", cfg.AccessLog)
		server.add("access.format", cfg.AccessFormat)
		server.add("spool.memory", cfg.SpoolMemory)
		server.add("spool.disk", cfg.SpoolDisk)
		server.add("spool.bodies", cfg.SpoolBodies)
	}
	server.add("process_control_timeout", cfg.ProcessControlTimeout)
	server.add("process.max", cfg.ProcessMax)
	server.add("admin", cfg.Admin)
	sections := []inForceSection{server}
	for _, site := range cfg.Sites {
		title := "Site " + strings.Join(site.Hosts, ", ")
		if len(site.Hosts) == 0 {
			title = "Site for any host"
		}
		one := inForceSection{Title: title}
		one.add("root", site.Root)
		one.add("front_controller", site.FrontController)
		one.add("index", site.Index)
		one.add("path_info", site.PathInfo)
		one.add("script_extensions", site.ScriptExtensions)
		one.add("max_body_size", site.MaxBodySize)
		one.add("deny", site.Deny)
		one.settings("env", site.Env, everything)
		one.add("pool", site.Pool)
		sections = append(sections, one)
	}
	for _, p := range s.Pools() {
		sections = append(sections, s.poolInForce(cfg, p))
	}
	return sections
}

func (s *Server) poolInForce(cfg *Config, p *manager.Pool) inForceSection {
	c := p.Config()
	one := inForceSection{Title: "Pool " + c.Name}
	php := p.PHP()
	one.add("php", php.Version+", "+php.Path)
	kind, why := p.Engine()
	one.add("engine", strings.TrimSuffix(kind+" ("+why+")", " ()"))
	one.add("user", c.User)
	one.add("group", c.Group)
	for _, r := range cfg.Responders {
		if r.Pool == c.Name {
			one.add("listen", r.Listen)
		}
	}
	one.add("pm", c.PM)
	one.add("pm.max_children", c.MaxChildren)
	switch c.PM {
	case manager.PMDynamic:
		one.add("pm.start_servers", c.StartServers)
		one.add("pm.min_spare_servers", c.MinSpareServers)
		one.add("pm.max_spare_servers", c.MaxSpareServers)
	case manager.PMOndemand:
		one.add("pm.process_idle_timeout", c.ProcessIdleTimeout)
	}
	one.add("pm.max_requests", c.MaxRequests)
	one.add("queue.size", c.QueueSize)
	one.add("queue.timeout", c.QueueTimeout)
	one.add("request_terminate_timeout", c.RequestTerminateTimeout)
	one.add("request_slowlog_timeout", c.RequestSlowlogTimeout)
	one.add("slowlog", c.Slowlog)
	one.add("chroot", c.Chroot)
	one.add("chdir", c.Chdir)
	if c.Priority != nil {
		one.add("process.priority", strconv.Itoa(*c.Priority))
	}
	one.add("rlimit_files", c.RlimitFiles)
	one.add("clear_env", c.ClearEnv)
	one.settings("env", c.Env, everything)
	one.settings("php_value", c.PHPValue, secretName)
	one.settings("php_admin_value", c.PHPAdminValue, secretName)
	for _, name := range []string{
		"memory_limit", "max_execution_time", "upload_max_filesize", "post_max_size", "display_errors", "error_log", "opcache.enable",
		"opcache.memory_consumption", "opcache.validate_timestamps", "opcache.jit", "opcache.jit_buffer_size", "date.timezone",
	} {
		one.add("php.ini: "+name, p.INI(name))
	}
	return one
}
