package manager

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phpserve/phpserve/internal/spelling"
)

// unknownSettings tells of the pool's settings that this PHP does not have: a name may be wrong, or an extension missing.
func (c *PoolConfig) unknownSettings(php *PHP) (warnings []string) {
	known := strings.Fields(php.facts["settings"])
	for _, kv := range slices.Concat(c.values(), c.adminValues()) {
		name, _, _ := strings.Cut(kv, "=")
		if len(known) == 0 || slices.Contains(known, name) || slices.Contains(extensionSettings, name) {
			continue
		}
		warning := fmt.Sprintf("this PHP has no setting %s, which a php_value or php_admin_value of the pool sets", name)
		if like := similarSetting(name, known); like != "" {
			warning += "; did you mean " + like + "?"
		}
		warnings = append(warnings, warning)
	}
	return warnings
}

// similarSetting is the known name that another one was probably to be; empty: none.
func similarSetting(name string, known []string) (like string) {
	const typos = 2
	best := typos + 1
	for _, k := range known {
		if d := spelling.Distance(strings.ToLower(name), k); d < best {
			best, like = d, k
		}
	}
	if like != "" {
		return like
	}
	for _, k := range known {
		if strings.HasPrefix(k, name) && (like == "" || len(k) < len(like)) {
			like = k
		}
	}
	return like
}
