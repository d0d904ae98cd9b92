package manager

import (
	"fmt"
	"slices"
	"strings"
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
		if d := distance(strings.ToLower(name), k); d < best {
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

// distance counts the letters to be inserted, removed and changed between two names (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
