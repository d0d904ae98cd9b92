package manager

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Unchanged says whether a pool of cfg and php would be no other than this one: the same configuration and the same PHP, whose
// binary, extensions and ini files are as they were when the pool was made. A pool whose opcache does not look at its scripts
// again (opcache.validate_timestamps=0) cannot tell, and so is never unchanged: to reload is how it gets new code.
func (p *Pool) Unchanged(cfg PoolConfig, php *PHP) bool {
	return php != nil && php.Path == p.php.Path && reflect.DeepEqual(cfg, p.asked) &&
		(!p.php.hasOPcache() || INIBool(p.php.iniAfter(&p.cfg, "opcache.validate_timestamps"))) && slices.Equal(p.stamps, p.php.stamps())
}

// stamps tell whether the files that PHP reads at its start have changed.
func (p *PHP) stamps() []string { return p.facts.stamps(p.Path) }

// stamps are those of the files that PHP has named, and of its binary.
func (f phpFacts) stamps(binary string) []string {
	var stamps []string
	for _, file := range append(strings.Split(f["files"], "\n"), binary) {
		info, err := os.Stat(file)
		if err != nil {
			stamps = append(stamps, file+" is not there")
			continue
		}
		stamps = append(stamps, fmt.Sprintf("%s %d %d %v", file, info.ModTime().UnixNano(), info.Size(), info.Mode()))
	}
	return stamps
}
