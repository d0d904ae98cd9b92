package main

import (
	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
)

// withoutEffect are the directives that are set and that phpserve does not act on, for the log: docs/fpm-compat.md says why.
func withoutEffect(conf *fpmconf.Config) (texts []string) {
	note := func(set bool, text string) {
		if set {
			texts = append(texts, text+" has no effect in this version of phpserve, see docs/fpm-compat.md")
		}
	}
	for _, p := range conf.Pools {
		if p.StatusOf != nil {
			continue
		}
		name := "[pool " + p.Name + "] "
		note(p.AppArmorHat != "", name+"apparmor_hat")
		note(p.ListenSetfib >= 0, name+"listen.setfib")
	}
	return texts
}
