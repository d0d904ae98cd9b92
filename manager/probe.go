package manager

import (
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// phpFacts is what runtime/probe.php found out.
type phpFacts map[string]string

// probe asks php-cgi what it can do with the ini files of a pool.
func (p *PHP) probe(ctx context.Context, c *PoolConfig, owner *credential) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, "-q", "-d", "display_errors=1")
	cmd.Stdin = strings.NewReader(embedded("probe.php")) // open_basedir does not hold for standard input
	cmd.Env = append(bareEnv(), c.iniEnv("")...)         // as the workers get them
	cmd.Dir = string(filepath.Separator)
	cmd.SysProcAttr = sysProcAttr(owner, 0)
	out, err := cmd.CombinedOutput()
	facts := phpFacts{}
	for line := range strings.Lines(string(out)) {
		kv, ok := strings.CutPrefix(strings.TrimSpace(line), "phpserve:")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(kv, "=")
		text, err := hex.DecodeString(value)
		if err != nil {
			return fmt.Errorf("cannot read what PHP %q says of itself: %v", p.Path, err)
		}
		facts[name] = string(text)
	}
	if _, ok := facts["ini"]; !ok {
		return fmt.Errorf("cannot run a script with PHP %q: %v: %s", p.Path, err, firstLine(string(out)))
	}
	p.facts = facts
	return nil
}

// OPcache says whether opcache is loaded and on.
func (p *PHP) OPcache() bool { return p.facts["opcache"] != "" }

// INI is the php.ini that was read; empty if none.
func (p *PHP) INI() string { return p.facts["ini"] }

// iniAfter is the value that a setting has once the pool's own values are applied.
func (p *PHP) iniAfter(c *PoolConfig, name string) string {
	value := p.facts[name]
	for _, kv := range append(append([]string(nil), c.PHPValue...), c.PHPAdminValue...) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}
