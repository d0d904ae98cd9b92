package manager

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// checkDropped makes sure that a zygote that was to give root up has done so: with every user id the pool's, no other group, and
// no capability that the kernel would let it use or take, it can never be root again (proc_pid_status(5), credentials(7),
// capabilities(7)).
func checkDropped(pid int, owner *credential) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return fmt.Errorf("cannot look whether it has given up root: %w", err)
	}
	has := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		has[name] = strings.Fields(value)
	}
	same := func(id uint32) []string { return slices.Repeat([]string{strconv.Itoa(int(id))}, 4) }
	allowed := []string{strconv.Itoa(int(owner.gid))}
	for _, g := range owner.groups {
		allowed = append(allowed, strconv.Itoa(int(g)))
	}
	foreign := slices.ContainsFunc(has["Groups"], func(g string) bool { return !slices.Contains(allowed, g) })
	none := []string{"0000000000000000"}
	switch {
	case owner.uid == 0 || !slices.Equal(has["Uid"], same(owner.uid)):
		return fmt.Errorf("it has not become user %d: its user ids are %v", owner.uid, has["Uid"])
	case !slices.Equal(has["Gid"], same(owner.gid)) || foreign:
		return fmt.Errorf("it has not become group %d: its group ids are %v, and %v", owner.gid, has["Gid"], has["Groups"])
	case !slices.Equal(has["CapPrm"], none) || !slices.Equal(has["CapEff"], none) || !slices.Equal(has["CapInh"], none):
		return fmt.Errorf("it has kept capabilities: %v", has["CapPrm"])
	}
	return nil
}
