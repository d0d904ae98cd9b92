package manager

import (
	"strings"
)

// Only PHP itself knows how much memory a script has used, and only until its request ends. So a script of phpserve's own tells it: behind
// each script, where no script sees it run; or, where the memory of scripts that exit is wanted too, in front.

// observation is the script that measures the requests of a pool.
type observation struct {
	setting string   // of php.ini, that has it run
	file    string   // in runtime/
	needs   []string // the functions it calls; without one of them nothing is measured
}

// observes is how a pool's requests are measured; the zero value if they are not.
func (c *PoolConfig) observes(php *PHP) (o observation) {
	switch {
	case c.ObserveAll:
		o = observation{"auto_prepend_file", "observeall.php", []string{"register_shutdown_function", "error_log", "memory_get_peak_usage"}}
	case c.Observe:
		o = observation{"auto_append_file", "observe.php", []string{"error_log", "memory_get_peak_usage"}}
	}
	if php.missing(c, o.needs) != "" {
		return observation{}
	}
	return o
}

// observer is the script as workers see it; empty: there is none.
func (d *runtimeDir) observer() string {
	if d.guest != nil {
		return d.guest.inside(observeFile)
	}
	return d.file(observeFile)
}

// observe is the text of the script, which includes what the operator has set for the same setting.
func (d *runtimeDir) observe(c *PoolConfig, php *PHP) string {
	o := c.observes(php)
	if o.file == "" {
		return ""
	}
	include := ""
	if own := php.iniAfter(c, o.setting); own != "" && own != "none" {
		include = "require " + phpString(own) + "; // " + o.setting + " of php.ini or of the pool"
	}
	return strings.NewReplacer("@TOKEN@", d.token, "@INCLUDE@", include).Replace(embedded(o.file))
}

// observerWarning tells what measuring costs; empty: nothing.
func (c *PoolConfig) observerWarning(php *PHP) string {
	if c.observes(php).setting != "auto_prepend_file" {
		return ""
	}
	return "access.format has %M, so a script of phpserve runs in front of each script and is the first of get_included_files(): " +
		"scripts that look there for who included them are misled"
}
