package manager

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strings"
)

// php-fpm has functions that php-cgi lacks. phpserve defines them in a script that opcache runs once, when PHP starts
// (opcache.preload): they are there in every request, and no request includes a file for them, so that a script sees itself as the
// first file and the only one (get_included_files()).

// ownFunction is a function that phpserve gives to scripts.
type ownFunction struct {
	name, file string   // its name, and the script in runtime/ that defines it
	needs      []string // the functions it calls; without one of them it is not defined
}

var ownFunctions = []ownFunction{
	{"fastcgi_finish_request", "finish.php", []string{"ob_get_level", "ob_get_status", "ob_end_flush", "ob_flush", "headers_sent", "flush", "error_log"}},
	{"fpm_get_status", "fpmstatus.php", []string{"stream_socket_client", "stream_get_contents", "unserialize"}},
}

// preloadVersion is the first PHP with opcache.preload.
const preloadVersion = "7.4"

// preloadObstacle says why no script can be preloaded in a pool; empty if one can.
func (p *PHP) preloadObstacle(c *PoolConfig) string {
	switch {
	case runtime.GOOS == "windows":
		return "PHP cannot preload on Windows (opcache.preload)"
	case compareVersions(p.Version, preloadVersion) < 0:
		return "PHP " + p.Version + " cannot preload (opcache.preload), which PHP " + preloadVersion + " can"
	case !p.hasOPcache():
		return "opcache is not loaded"
	case !INIBool(p.iniAfter(c, "opcache.enable")):
		return "opcache.enable is off"
	case INIBool(p.iniAfter(c, "opcache.file_cache_only")):
		return "opcache.file_cache_only is on"
	case preloadUser(c, p, "") == "" && os.Geteuid() == 0 && c.runsAsRoot():
		return "the system has no name for user 0, which opcache.preload_user must have"
	}
	return ""
}

// runsAsRoot says whether PHP is started as root and stays so.
func (c *PoolConfig) runsAsRoot() bool { return c.User == "" && c.AllowRoot }

// preloadUser is opcache.preload_user, without which a PHP of root does not preload; empty: as it is. lateUser is whom workers with a late
// drop become. Then PHP starts as root, and preloads phpserve's own script alone.
func preloadUser(c *PoolConfig, p *PHP, lateUser string) string {
	own := p.iniAfter(c, "opcache.preload")
	switch {
	case os.Geteuid() != 0 || lateUser == "" && own != "" || lateUser == "" && !c.runsAsRoot():
		return ""
	}
	root, err := user.LookupId("0")
	if err != nil {
		return ""
	}
	return root.Username
}

// lackingFunctions are those of phpserve's functions that scripts do not get although no operator has disabled them, and why.
func (p *PHP) lackingFunctions(c *PoolConfig) (names []string, why string) {
	why = p.preloadObstacle(c)
	for _, f := range ownFunctions {
		switch missing := p.missing(c, f.needs); {
		case p.disabled(c, f.name):
		case why != "" && len(names) > 0 || why != "" && missing == "":
			names = append(names, f.name+"()")
		case missing != "":
			names, why = append(names, f.name+"()"), missing+"() is in disable_functions"
		}
	}
	return names, why
}

// warnOfLacking tells of functions of php-fpm that scripts do not have.
func (p *PHP) lackingWarning(c *PoolConfig) string {
	names, why := p.lackingFunctions(c)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("scripts have no %s: %s", strings.Join(names, " and no "), why)
}

// disabled says whether the operator has taken a function away.
func (p *PHP) disabled(c *PoolConfig, name string) bool {
	off := functionList(strings.ToLower(p.iniAfter(c, "disable_functions") + "," + p.facts["disable_functions"]))
	return slices.Contains(off, name)
}

// missing is the first of some functions that the operator has taken away; empty if they are all there.
func (p *PHP) missing(c *PoolConfig, names []string) string {
	for _, name := range names {
		if p.disabled(c, name) {
			return name
		}
	}
	return ""
}

// preload is the script for opcache.preload: phpserve's functions, and then what the operator has preloaded. It is empty where PHP
// cannot preload.
func (d *runtimeDir) preload(c *PoolConfig, php *PHP, late bool) string {
	if php.preloadObstacle(c) != "" {
		return ""
	}
	text := "<?php\n// phpserve has opcache run this once, when PHP starts: what php-fpm offers to scripts and php-cgi does not.\n"
	for _, f := range ownFunctions {
		if !php.disabled(c, f.name) && php.missing(c, f.needs) == "" && (f.name != "fpm_get_status" || d.statusAddress() != "") {
			text += embedded(f.file)[len("<?php"):]
		}
	}
	text = strings.NewReplacer("@TOKEN@", d.token, "@STATUS@", strings.TrimPrefix(d.statusAddress(), "@")).Replace(text)
	// Not where PHP starts as root: what an operator has preloaded is the scripts of tenants, who could prepare for root what it loads.
	if own := php.iniAfter(c, "opcache.preload"); own != "" && !late {
		text += fmt.Sprintf("\n// opcache.preload of php.ini or of the pool\nrequire %s;\n", phpString(own))
	}
	return text
}

// phpString writes s as a PHP string literal.
func phpString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
