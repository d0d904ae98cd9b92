package main

import (
	"runtime"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
	"github.com/phpserve/phpserve/server/site"
)

// settings is the configuration as files, variables and flags spell it. The keys at the top describe the server, the
// first site and the pool; docs/phpserve.example.yaml explains each.
type settings struct {
	Listen  []string     `mapstructure:"listen"`
	Site    siteSettings `mapstructure:",squash"`
	Sites   []any        `mapstructure:"sites"` // each like siteSettings; keys it lacks are those of the top
	Pool    poolSettings `mapstructure:",squash"`
	Pools   []poolEntry  `mapstructure:"pools"` // each like namedPool; keys it lacks are those of the top
	TLS     tlsSettings  `mapstructure:"tls"`
	FPM     string       `mapstructure:"fpm_config"`
	Proxies []string     `mapstructure:"trusted_proxies"`

	RequestIDHeader string   `mapstructure:"request_id_header"`
	ErrorPages      string   `mapstructure:"error_pages"`
	HeaderTimeout   duration `mapstructure:"timeouts.header"`
	BodyTimeout     duration `mapstructure:"timeouts.body"`
	WriteTimeout    duration `mapstructure:"timeouts.write"`
	IdleTimeout     duration `mapstructure:"timeouts.idle"`
	MaxConnections  int      `mapstructure:"max_connections"`
	MaxHeaderSize   size     `mapstructure:"max_header_size"`
	ProcessControl  duration `mapstructure:"process_control_timeout"`
	ProcessMax      int      `mapstructure:"process.max"`
	CrashThreshold  int      `mapstructure:"emergency_restart_threshold"`
	CrashInterval   duration `mapstructure:"emergency_restart_interval"`
	SpoolMemory     size     `mapstructure:"spool.memory"`
	SpoolTotal      size     `mapstructure:"spool.memory_total"`
	SpoolDisk       size     `mapstructure:"spool.disk"`
	SpoolResponses  size     `mapstructure:"spool.responses"`
	SpoolBodies     size     `mapstructure:"spool.bodies"`
	SpoolDir        string   `mapstructure:"spool.dir"`
	Admin           string   `mapstructure:"admin"`
	AdminToken      string   `mapstructure:"admin_token"`
	AccessLog       string   `mapstructure:"access.log"`
	AccessFormat    string   `mapstructure:"access.format"`
	LogFormat       string   `mapstructure:"log.format"`
	LogLevel        string   `mapstructure:"log.level"`
}

// siteSettings are the keys of one site.
type siteSettings struct {
	Hosts            []string `mapstructure:"hosts"`
	Root             string   `mapstructure:"root"`
	FrontController  string   `mapstructure:"front_controller"`
	MissingFiles     string   `mapstructure:"missing_files"`
	FileExtensions   []string `mapstructure:"file_extensions"`
	Index            []string `mapstructure:"index"`
	PathInfo         string   `mapstructure:"path_info"`
	ScriptExtensions []string `mapstructure:"script_extensions"`
	CGI              string   `mapstructure:"cgi"`
	ResolveSymlinks  bool     `mapstructure:"resolve_symlinks"`
	FollowSymlinks   linkRule `mapstructure:"follow_symlinks"`
	Deny             []string `mapstructure:"deny"`
	Charset          string   `mapstructure:"charset"`
	Types            []string `mapstructure:"types"`
	MaxBodySize      size     `mapstructure:"max_body_size"`
	FastCGIParam     []string `mapstructure:"fastcgi_param"`
	Pool             string   `mapstructure:"pool"`
}

// poolSettings are the keys that every pool has, named as in php-fpm. At the top they describe the pool www and what pools lack.
type poolSettings struct {
	PHP                string   `mapstructure:"php"`
	Engine             string   `mapstructure:"engine"`
	User               string   `mapstructure:"user"`
	Group              string   `mapstructure:"group"`
	AllowRoot          bool     `mapstructure:"allow_root"`
	Chdir              string   `mapstructure:"chdir"`
	Priority           priority `mapstructure:"process.priority"`
	Dumpable           bool     `mapstructure:"process.dumpable"`
	RlimitFiles        int      `mapstructure:"rlimit_files"`
	RlimitCore         coreSize `mapstructure:"rlimit_core"`
	PM                 string   `mapstructure:"pm"`
	MaxChildren        int      `mapstructure:"pm.max_children"`
	StartServers       int      `mapstructure:"pm.start_servers"`
	MinSpareServers    int      `mapstructure:"pm.min_spare_servers"`
	MaxSpareServers    int      `mapstructure:"pm.max_spare_servers"`
	MaxSpawnRate       int      `mapstructure:"pm.max_spawn_rate"`
	ProcessIdleTimeout duration `mapstructure:"pm.process_idle_timeout"`
	MaxRequests        int      `mapstructure:"pm.max_requests"`
	QueueSize          int      `mapstructure:"queue.size"`
	QueueTimeout       duration `mapstructure:"queue.timeout"`
	TerminateTimeout   duration `mapstructure:"request_terminate_timeout"`
	TrackFinished      bool     `mapstructure:"request_terminate_timeout_track_finished"`
	Slowlog            string   `mapstructure:"slowlog"`
	SlowlogTimeout     duration `mapstructure:"request_slowlog_timeout"`
	SlowlogDepth       int      `mapstructure:"request_slowlog_trace_depth"`
	SlowlogFormat      string   `mapstructure:"slowlog.format"`
	SlowlogArgs        bool     `mapstructure:"slowlog.args"`
	CatchOutput        bool     `mapstructure:"catch_workers_output"`
	DecorateOutput     bool     `mapstructure:"decorate_workers_output"`
	ClearEnv           bool     `mapstructure:"clear_env"`
	Env                []string `mapstructure:"env"`
	PHPValue           []string `mapstructure:"php_value"`
	PHPFlag            []string `mapstructure:"php_flag"`
	PHPAdminValue      []string `mapstructure:"php_admin_value"`
	PHPAdminFlag       []string `mapstructure:"php_admin_flag"`
}

// tlsSettings are the keys below tls.
type tlsSettings struct {
	Auto         bool          `mapstructure:"auto"`
	Email        string        `mapstructure:"email"`
	CA           string        `mapstructure:"ca"`
	CARoot       string        `mapstructure:"ca_root"`
	Storage      string        `mapstructure:"storage"`
	Redirect     bool          `mapstructure:"redirect"`
	RedirectPort int           `mapstructure:"redirect_port"`
	Challenges   []string      `mapstructure:"challenges"`
	Certificates []certificate `mapstructure:"certificates"`
}

type certificate struct {
	Cert string `mapstructure:"cert"`
	Key  string `mapstructure:"key"`
}

// The values of front_controller that are no file.
const (
	frontAuto = "auto" // index.php of the document root, if there is one
	frontOff  = "off"
)

// Who answers for a URL that looks like a file and is none (missing_files).
const (
	missingAuto     = "auto" // nobody, if the front controller is a guess and belongs to no known framework
	missingFront    = "front_controller"
	missingNotFound = "not_found"
)

// defaultSettings are the defaults of the packages, in the spelling of the configuration.
func defaultSettings() settings {
	c, one, pool := server.DefaultConfig(), site.DefaultConfig(), manager.DefaultPoolConfig(runtime.NumCPU())
	fpm := fpmconf.NewPool(pool.Name)
	return settings{
		Listen: c.Listen, RequestIDHeader: c.RequestIDHeader, ErrorPages: c.ErrorPages,
		HeaderTimeout: duration(c.HeaderTimeout), BodyTimeout: duration(c.BodyTimeout), WriteTimeout: duration(c.WriteTimeout),
		IdleTimeout: duration(c.IdleTimeout), MaxConnections: c.MaxConnections, MaxHeaderSize: size(c.MaxHeaderBytes), ProcessControl: duration(c.ProcessControlTimeout),
		SpoolMemory: size(c.SpoolMemory), SpoolTotal: size(c.SpoolMemoryTotal), SpoolDisk: size(c.SpoolDisk),
		SpoolResponses: size(c.SpoolResponses), SpoolBodies: size(c.SpoolBodies), SpoolDir: c.SpoolDir,
		Admin: c.Admin, AdminToken: c.AdminToken, AccessLog: c.AccessLog, AccessFormat: c.AccessFormat, LogFormat: "text", LogLevel: "info",
		Proxies: []string{}, Sites: []any{}, Pools: []poolEntry{},
		TLS: tlsSettings{
			Auto: c.TLS.Auto, Email: c.TLS.Email, CA: c.TLS.CA, CARoot: c.TLS.CARoot, Storage: c.TLS.Storage,
			Redirect: c.TLS.Redirect, RedirectPort: c.TLS.RedirectPort, Challenges: []string{}, Certificates: []certificate{},
		},
		Site: siteSettings{
			Hosts: []string{}, FrontController: frontAuto, MissingFiles: missingAuto, FileExtensions: site.DefaultFileExtensions(), Index: one.Index, PathInfo: one.PathInfo,
			ScriptExtensions: one.ScriptExtensions, CGI: one.CGI, ResolveSymlinks: one.ResolveSymlinks,
			FollowSymlinks: linkRule(one.FollowSymlinks), Deny: one.Deny,
			Charset: one.Charset, Types: []string{}, MaxBodySize: size(one.MaxBodySize), FastCGIParam: []string{},
		},
		Pool: poolSettings{
			Engine: pool.Engine, PM: pool.PM, MaxChildren: pool.MaxChildren, StartServers: pool.StartServers,
			MinSpareServers: pool.MinSpareServers, MaxSpareServers: pool.MaxSpareServers,
			ProcessIdleTimeout: duration(pool.ProcessIdleTimeout), MaxRequests: pool.MaxRequests,
			QueueSize: pool.QueueSize, QueueTimeout: duration(pool.QueueTimeout),
			TerminateTimeout: duration(pool.RequestTerminateTimeout), ClearEnv: pool.ClearEnv, Dumpable: true,
			MaxSpawnRate: fpm.MaxSpawnRate, SlowlogDepth: slowlogDepth, SlowlogFormat: slowlogOwn, CatchOutput: true, DecorateOutput: fpm.DecorateWorkersOutput,
			Env: []string{}, PHPValue: []string{}, PHPFlag: []string{}, PHPAdminValue: []string{}, PHPAdminFlag: []string{},
		},
	}
}
