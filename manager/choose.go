package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Check says whether the pool can run with php: it validates the configuration and asks php what it can do. It returns the
// engine that the pool will have, and why.
func (c *PoolConfig) Check(ctx context.Context, php *PHP) (engine, why string, err error) {
	if err := c.Validate(); err != nil {
		return "", "", err
	}
	owner, err := findCredential(c)
	if err != nil {
		return "", "", err
	}
	if err := c.FindINI(ctx, php); err != nil {
		return "", "", fmt.Errorf("[pool %s] %v", c.Name, err)
	}
	if err := php.probe(ctx, c, owner); err != nil {
		return "", "", fmt.Errorf("[pool %s] %v", c.Name, err)
	}
	if engine, why, err = chooseEngine(c, php); err != nil {
		return engine, why, err
	}
	if late, _ := c.lateDrop(engine, php, owner); !late || engine != EngineZygote {
		if err := c.checkINIFiles(php); err != nil { // first: the engine may be what it is for want of them
			return "", "", err
		}
	}
	return engine, why, c.checkLateDrop(engine, why, php, owner)
}

// checkINIFiles reports ini files that PHP, which is started as the pool's user, would pass over without a word.
func (c *PoolConfig) checkINIFiles(php *PHP) error {
	files := php.facts["unreadable"]
	if files == "" {
		return nil
	}
	first, more, _ := strings.Cut(files, "\n")
	if more != "" {
		first += fmt.Sprintf(" (and %d more)", strings.Count(files, "\n"))
	}
	return fmt.Errorf("[pool %s] user %q, as whom PHP is started, cannot read %s: PHP would run without it", c.Name, c.User, first)
}

// chooseEngine resolves "auto" and refuses a zygote that cannot be.
func chooseEngine(c *PoolConfig, php *PHP) (engine, why string, err error) {
	obstacle := php.zygoteObstacle(c)
	switch {
	case c.Engine == EngineSpawn:
		return EngineSpawn, "as asked for; workers do not share an opcache", nil
	case obstacle == "":
		return EngineZygote, "workers are forked and share one opcache", nil
	case c.Engine == EngineZygote:
		return "", "", fmt.Errorf("[pool %s] cannot use the zygote engine: %s", c.Name, obstacle)
	}
	return EngineSpawn, obstacle + "; workers do not share an opcache", nil
}

// zygoteObstacle says why this PHP cannot run the zygote engine in a pool; empty if it can.
func (p *PHP) zygoteObstacle(c *PoolConfig) string {
	for _, class := range functionList(p.iniAfter(c, "disable_classes") + "," + p.facts["disable_classes"]) {
		if strings.EqualFold(class, "SplFileObject") {
			return class + " is in disable_classes"
		}
	}
	return p.obstacle(c, "need", "missing")
}

// lateDropObstacle says why workers of this PHP cannot give up root by themselves; empty if they can.
func (p *PHP) lateDropObstacle(c *PoolConfig) string {
	return p.obstacle(c, "drop_need", "drop_missing")
}

// obstacle says which of the functions of one fact is disabled or in the list of another, of missing ones.
func (p *PHP) obstacle(c *PoolConfig, need, missingOnes string) string {
	for _, f := range functionList(p.iniAfter(c, "disable_functions") + "," + p.facts["disable_functions"]) {
		if slices.Contains(strings.Fields(p.facts[need]), f) {
			return f + " is in disable_functions"
		}
	}
	missing := strings.Fields(p.facts[missingOnes])
	switch {
	case len(missing) == 0:
		return ""
	case strings.HasPrefix(missing[0], "pcntl"):
		return "this PHP has no pcntl extension"
	case strings.HasPrefix(missing[0], "posix"):
		return "this PHP has no posix extension"
	}
	return "this PHP has no " + missing[0] + "()"
}

// functionList splits a value of disable_functions.
func functionList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}
