package manager

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// iniPlaces are the folders that a pool's ini file speaks of, and whom workers with a late drop become; else that is empty.
type iniPlaces struct {
	boot, worker string // of the zygote's script, and of the greeting's as workers see it
	preload      string // the script for opcache.preload; empty: none
	observer     string // the script that measures requests, as workers see it
	lateUser     string
}

// iniFile renders the ini file that every php-cgi of a pool reads last (PHP_INI_SCAN_DIR).
func (c *PoolConfig) iniFile(at iniPlaces, php *PHP) (string, error) {
	b := iniWriter{pool: c.Name}
	values, admin := c.values(), c.adminValues()
	folders, own := c.AdminRoots, c.ownSettings(at, php)
	slashes := admin
	if c.Chroot != "" && c.fromClient() { // see ClientValue
		values, admin = c.PHPValue, c.PHPAdminValue
		folders, slashes = nil, slices.Concat(c.ClientValue, admin, c.ClientAdminValue)
	}
	start := slices.DeleteFunc(slices.Clone(admin), func(kv string) bool { return !StartOnlyINI(kv) })
	b.set("", slices.Concat(values, start, own, c.startSettings(at, php))) // the last one counts
	during := func(admin []string) []string {
		return append(slices.DeleteFunc(slices.Clone(admin), StartOnlyINI), own...)
	}
	debugs := php.iniAfter(c, debuggerStart)
	if debugs != "" { // while PHP starts it holds for the preloaded script; scripts of sites have it by their folders
		b.set("", []string{debuggerStart + "=no"})
		if !slices.ContainsFunc(admin, func(kv string) bool { return strings.HasPrefix(kv, debuggerStart+"=") }) {
			own = append(own, debuggerStart+"="+debugs)
		}
	}
	if len(slashes) > 0 || debugs != "" {
		// For what begins with two slashes and for scripts directly in the root folder, where a section [PATH=/] does not hold: PHP
		// looks for the values of a folder in the same table in which it keeps those of NAME[KEY]=VALUE under NAME
		// (main/php_ini.c:php_ini_parser_cb, php_ini_activate_per_dir).
		b.set("/", during(slashes))
	}
	if len(admin) > 0 || debugs != "" {
		for _, folder := range folders {
			b.section(folder, during(admin))
		}
	}
	for _, dir := range slices.Compact([]string{at.boot, at.worker}) { // last: of one folder, the last value counts
		b.section(dir, bootSettings)
	}
	return b.String(), b.err
}

// debuggerStart says whether Xdebug debugs each script, or which.
const debuggerStart = "xdebug.start_with_request"

// bootSettings hold for phpserve's own scripts: nothing of what operators and tenants set may disturb them.
var bootSettings = []string{
	// The zygote's endless request must not live in opcache's memory, which opcache_reset() clears.
	"opcache.enable=0",
	"doc_root=none", // it cannot be emptied, but counts only as an absolute path (fopen_wrappers.c:php_fopen_primary_script)
	"open_basedir=", "auto_prepend_file=", "auto_append_file=", "user_ini.filename=",
	"output_handler=", "output_buffering=0", "zlib.output_compression=0", "implicit_flush=0",
	"memory_limit=-1", "max_execution_time=0", "session.auto_start=0",
	"variables_order=EGPCS", "auto_globals_jit=1", "filter.default=unsafe_raw",
	// Where they belong to root they write no file: the pool's user may have put a link there.
	"error_log=", "html_errors=0",
	// What goes wrong belongs into phpserve's message. The first worker ends the connection of the zygote's request.
	"error_reporting=32767", "display_errors=1", "ignore_user_abort=1",
	// A debugger or profiler that waits for its user would hold up the whole pool.
	"xdebug.start_with_request=no", "xdebug.start_upon_error=no",
}

// ownSettings are those that phpserve needs in each request, whatever the operator sets.
func (c *PoolConfig) ownSettings(at iniPlaces, php *PHP) (own []string) {
	own = []string{
		// What fastcgi_finish_request() and the request's error records need.
		"fastcgi.logging=1",
	}
	if c.Responder && !INIBool(php.iniAfter(c, "cgi.fix_pathinfo")) {
		own = append(own, "cgi.fix_pathinfo=0", "cgi.discard_path="+php.iniAfter(c, "cgi.discard_path"))
	} else { // then no parameter but SCRIPT_FILENAME can ever name the script (cgi_main.c:init_request_info)
		own = append(own, "cgi.fix_pathinfo=1", "cgi.discard_path=1")
	}
	o := c.observes(php)
	if o.setting == "" {
		return own
	}
	own = append(own, o.setting+"="+at.observer) // it includes the operator's
	if base := php.iniAfter(c, "open_basedir"); base != "" {
		own = append(own, "open_basedir="+base+string(filepath.ListSeparator)+at.observer)
	}
	return own
}

// startSettings are those that phpserve needs and that PHP reads at its start.
func (c *PoolConfig) startSettings(at iniPlaces, php *PHP) (own []string) {
	if at.preload != "" {
		own = append(own, "opcache.preload="+at.preload)
	}
	if user := preloadUser(c, php, at.lateUser); user != "" {
		own = append(own, "opcache.preload_user="+user)
	}
	if at.lateUser != "" { // root would load what the pool's user has put there
		own = append(own, "opcache.file_cache=", "opcache.file_cache_only=0")
		for _, name := range []string{"error_log", "opcache.error_log"} {
			if _, who := c.logOfOthers(php, name); who != "" {
				own = append(own, name+"=")
			}
		}
	}
	if off := php.disabledFunctions(c); off != "" {
		own = append(own, "disable_functions="+off)
	}
	return own
}

// AdminFolders are the folders that need a section with php_admin_value so that it holds below some others, as PHP sees them: each one
// in the root folder that is on the way to one of those, by its name and without symbolic links.
func AdminFolders(below ...string) (folders []string) {
	for _, root := range below {
		if abs, err := filepath.Abs(root); err == nil { // else there is no working folder
			root = abs
		}
		for _, name := range []string{root, realPath(root)} {
			if folder := topFolder(name); folder != "" && !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

// realPath is a folder's path without symbolic links; what cannot be followed stays as it is.
func realPath(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// topFolder is the part of an absolute path that a section [PATH=...] is made for; empty: there is none.
func topFolder(name string) string {
	if filepath.Separator != '/' {
		return name // C:\...
	}
	name = path.Clean("/" + name)
	if end := strings.IndexByte(name[1:], '/'); end >= 0 {
		name = name[:end+1]
	}
	if name == "/" || strings.HasSuffix(name, `\`) || strings.ContainsRune(name, 0) { // PHP takes a backslash off the end
		return ""
	}
	return name
}

// AdminHolds says whether php_admin_value holds for a script of this name. Where it does not, it does for the same name with one more
// slash in front.
func (c *PoolConfig) AdminHolds(script string) bool {
	if filepath.Separator != '/' || strings.HasPrefix(script, "//") {
		return true
	}
	end := strings.IndexByte(strings.TrimPrefix(script, "/"), '/')
	return end < 0 || slices.Contains(c.AdminRoots, script[:end+1])
}

// ScriptName is how PHP is told of a script so that php_admin_value holds for it. It has a slash more than the script's own path where
// the script is below a folder that has come into the root folder since.
func (p *Pool) ScriptName(script string) string {
	if len(p.cfg.PHPAdminValue)+len(p.cfg.ClientAdminValue) > 0 && !p.cfg.AdminHolds(script) {
		return "/" + script
	}
	return script
}

// iniWriter collects an ini file. Once a setting could not be written, no other is.
type iniWriter struct {
	strings.Builder
	pool string
	err  error
}

// set writes settings, NAME=VALUE each, as keys of table unless that is empty.
func (w *iniWriter) set(table string, settings []string) {
	for _, kv := range settings {
		name, value, _ := strings.Cut(kv, "=")
		quoted, err := quoteINI(value)
		if err == nil && !iniName.MatchString(name) {
			err = fmt.Errorf("%q is not the name of a php.ini setting", name)
		}
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("[pool %s] cannot set %s: %v", w.pool, name, err)
		}
		if w.err != nil {
			return
		}
		if table != "" {
			name = table + "[" + name + "]"
		}
		fmt.Fprintf(w, "%s = %s\n", name, quoted)
	}
}

// section writes settings that hold for scripts below a folder. PHP has no sections without a path: nothing is to follow them.
func (w *iniWriter) section(folder string, settings []string) {
	quoted, err := quoteINI(folder)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("[pool %s] cannot set values for the folder %q: %v", w.pool, folder, err)
	}
	fmt.Fprintf(w, "[PATH=%s]\n", quoted)
	w.set("", settings)
}
