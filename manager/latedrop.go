package manager

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/phpserve/phpserve/safefile"
)

// PHP gives up root in one of two ways. Mostly php-cgi is started as the pool's user, as any program is. In a pool with a late
// drop the zygote is started as root, and gives root up itself, once, before its first worker exists (runtime/zygote.php). Only so
// can a worker be in a folder in which there is no PHP (chroot(2)), and only so does the kernel mark it, and what it forks, as not
// dumpable: what is executed after the change of user can be dumped and traced by that user (prctl(2), PR_SET_DUMPABLE).
//
// As long as it is root's, the zygote must meet nothing that tenants could have prepared. There is no worker yet that could write to
// the memory it shares. What an operator has preloaded (opcache.preload) or cached in files (opcache.file_cache) comes from tenants,
// so it is left out in a chroot. Elsewhere it counts for more than process.dumpable = no, which is php-fpm's default.

// lateDropWarnings are the settings that a pool in a chroot goes without.
func (c *PoolConfig) lateDropWarnings(php *PHP) (warnings []string) {
	if php.iniAfter(c, "opcache.preload") != "" {
		warnings = append(warnings, "opcache.preload has no effect in a pool with a chroot: PHP starts as root there, and must not load what tenants wrote")
	}
	if php.iniAfter(c, "opcache.file_cache") != "" {
		warnings = append(warnings, "opcache.file_cache has no effect in a pool with a chroot: PHP starts as root there, and must not load what tenants wrote")
	}
	if kv, who := c.logOfOthers(php, "error_log"); who != "" {
		warnings = append(warnings, fmt.Sprintf("scripts cannot change error_log in a pool with a chroot while %s can put a link in the place "+
			"of %s: PHP starts as root, and has that value only afterwards", who, kv))
	}
	if kv, who := c.logOfOthers(php, "opcache.error_log"); who != "" {
		warnings = append(warnings, fmt.Sprintf("%s has no effect in a pool with a chroot: PHP starts as root there, and %s can put a link in its place", kv, who))
	}
	return warnings
}

// logOfOthers is a setting, NAME=VALUE, with the file that PHP would write to while it is root's, and who else than root could put a link
// in the place of it (CWE-59); empty: nobody. What goes wrong at PHP's start, before any script, goes to error_log and opcache.error_log.
func (c *PoolConfig) logOfOthers(php *PHP, name string) (kv, who string) {
	value, set := php.facts[name], c.PHPValue
	if StartOnlyINI(name) {
		set = slices.Concat(set, c.PHPAdminValue)
	}
	for _, kv := range set {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	if value == "" || value == "syslog" && name == "error_log" || value == "stderr" && name == "opcache.error_log" {
		return "", ""
	}
	path := value
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.startDir(), path)
	}
	who, err := safefile.Placer(path)
	if err != nil {
		who = fmt.Sprintf("somebody (%v)", err)
	}
	return name + "=" + value, who
}

// withhold has PHP start without an error_log that root must not write to. As php_admin_value it holds for scripts only. There is no
// section that would leave it to scripts to change it.
func (c *PoolConfig) withhold(php *PHP) {
	if kv, who := c.logOfOthers(php, "error_log"); who != "" {
		c.PHPAdminValue = slices.Concat([]string{kv}, c.PHPAdminValue)
	}
}

// lateDrop says whether the pool's zygote is started as root. warning is what the operator wants and cannot have.
func (c *PoolConfig) lateDrop(engine string, php *PHP, owner *credential) (late bool, warning string) {
	if c.Chroot != "" {
		if c.Dumpable != nil && *c.Dumpable {
			warning = "process.dumpable = yes has no effect in a chroot: the kernel makes no core dump of a process that has " +
				"given up root by itself, and php-cgi cannot ask for one"
		}
		return true, warning
	}
	if c.fromClient() {
		return false, "" // the zygote reads these settings
	}
	if c.Dumpable == nil || *c.Dumpable || owner == nil || owner.uid == 0 {
		return false, "" // without a change of user php-fpm leaves the process as it is, too
	}
	why := php.lateDropObstacle(c)
	for _, name := range []string{"opcache.preload", "opcache.file_cache"} {
		if php.iniAfter(c, name) != "" {
			why = name + " is set, and a PHP that starts as root must not load what tenants wrote"
		}
	}
	for _, name := range []string{"error_log", "opcache.error_log"} {
		if kv, who := c.logOfOthers(php, name); who != "" {
			why = fmt.Sprintf("%s is set, %s can put a link in its place, and a PHP that starts as root must not write there", kv, who)
		}
	}
	if engine != EngineZygote {
		why = "the spawn engine starts php-cgi as the pool's user"
	}
	if why != "" {
		return false, "process.dumpable = no has no effect: " + why
	}
	return true, ""
}

// lateDropParams tell the zygote whom its workers are to become, and where.
func (c *PoolConfig) lateDropParams(owner *credential) map[string]string {
	groups := []string{strconv.Itoa(int(owner.gid))}
	for _, g := range owner.groups {
		groups = append(groups, strconv.Itoa(int(g)))
	}
	slices.Sort(groups)
	return map[string]string{
		"PHPSERVE_UID":    strconv.Itoa(int(owner.uid)),
		"PHPSERVE_GID":    strconv.Itoa(int(owner.gid)),
		"PHPSERVE_GROUPS": strings.Join(slices.Compact(groups), ","),
		"PHPSERVE_CHROOT": c.Chroot,
		"PHPSERVE_CHDIR":  cmp.Or(c.Chdir, "/"),
	}
}

// keepingRoot is the credential of a zygote with a late drop: root, but with the pool's groups already, so that nothing in a
// chroot (/etc/group) decides on them and a worker has only its user to change.
func (o *credential) keepingRoot() *credential {
	zygote := *o
	zygote.uid = 0
	return &zygote
}

// startDir is the working folder that php-cgi is started in. With a chroot it is that: at the end of its script PHP goes back
// to the folder it was in before (main/main.c:php_execute_script), which a worker then no longer finds, and so stays in
// Chdir.
func (c *PoolConfig) startDir() string {
	return cmp.Or(c.Chroot, c.Chdir, string(filepath.Separator))
}

// checkLateDrop reports why a pool with a chroot cannot be.
func (c *PoolConfig) checkLateDrop(engine, why string, php *PHP, owner *credential) error {
	if c.Chroot == "" {
		return nil
	}
	if owner == nil || owner.uid == 0 {
		return fmt.Errorf("[pool %s] chroot needs a 'user' other than root: root can leave a chroot", c.Name)
	}
	if engine != EngineZygote {
		return fmt.Errorf("[pool %s] chroot needs the zygote engine, because php-cgi cannot be started where there is no PHP; but %s",
			c.Name, why)
	}
	if why := php.lateDropObstacle(c); why != "" {
		return fmt.Errorf("[pool %s] cannot chroot: %s", c.Name, why)
	}
	return nil
}
