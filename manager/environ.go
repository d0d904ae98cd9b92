package manager

import (
	"os"
	"slices"
	"strings"
)

// startVariables are environment variables that php-cgi reads when it starts and does not need later. phpserve gives it some, which are
// taken out of its memory before a script runs (forgetEnvironment): scripts and what they start would see them.
var startVariables = []string{"PHP_INI_SCAN_DIR", "PHPRC", "PHP_FCGI_MAX_REQUESTS", "PHP_FCGI_CHILDREN", "FCGI_WEB_SERVER_ADDRS"}

// veiled is what a variable of this name is called until php-cgi has started: one that the operator gives to scripts, and that php-cgi
// is not to act on.
func veiled(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// environment is what the pool's php-cgi processes are started with.
func (c *PoolConfig) environment(dir *runtimeDir) []string {
	var env []string
	if c.ClearEnv {
		env = append(env, "PATH="+os.Getenv("PATH"))
	} else {
		env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			switch name {
			case "PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "FCGI_WEB_SERVER_ADDRS", "REDIRECT_STATUS", "USER", "HOME", "LOGNAME", "NOTIFY_SOCKET":
				return dir.owner != nil || (name != "USER" && name != "HOME" && name != "LOGNAME")
			}
			return strings.HasPrefix(name, "PHPSERVE_")
		})
	}
	if dir.owner != nil {
		env = append(env, dir.owner.environment()...)
	} else if c.ClearEnv {
		env = append(env, "USER="+os.Getenv("USER"), "HOME="+os.Getenv("HOME"))
	}
	for _, kv := range c.Env {
		if !strings.Contains(kv, "=") {
			kv += "=" + os.Getenv(kv)
		}
		env = append(env, kv)
	}
	for i, kv := range env {
		if name, value, _ := strings.Cut(kv, "="); slices.Contains(startVariables, name) {
			env[i] = veiled(name) + "=" + value
		}
	}
	// php-cgi would end after 500 requests by default; phpserve counts them itself.
	return append(append(env, "PHP_FCGI_MAX_REQUESTS=0"), c.iniEnv(dir.file(scanDir))...)
}

// forgetEnvironment takes the variables that only phpserve and php-cgi itself need out of the environment of a php-cgi that has started
// and runs no script. Where that cannot be done it is said once.
func (p *Pool) forgetEnvironment(pid int) {
	if err := cleanEnvironment(pid, p.dir.owner); err != nil {
		p.veil.Do(func() {
			p.log.Warn("scripts see variables of phpserve in their environment", "variables", strings.Join(startVariables[:3], ", "), "why", err.Error())
		})
	}
}

// editEnvironment says of each variable whether it is kept, and with what name: the veiled ones get their own.
func editEnvironment(strs []string) (edited []string, keep []bool) {
	edited, keep = slices.Clone(strs), make([]bool, len(strs))
	for i, kv := range strs {
		name, value, _ := strings.Cut(kv, "=")
		keep[i] = !slices.Contains(startVariables, name)
		for _, v := range startVariables {
			if name == veiled(v) {
				edited[i] = v + "=" + value
			}
		}
	}
	return edited, keep
}
