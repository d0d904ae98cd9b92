package main

import (
	"errors"
	"fmt"

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
		note(p.StatusPath != "", name+"pm.status_path")
		note(p.StatusListen != "", name+"pm.status_listen")
		note(p.PingPath != "", name+"ping.path")
		note(p.RequestSlowlogTimeout > 0, name+"request_slowlog_timeout")
		note(p.AppArmorHat != "", name+"apparmor_hat")
		note(p.ListenSetfib >= 0, name+"listen.setfib")
	}
	return texts
}

// refused are the directives that phpserve cannot do without and does not have: to ignore them would run PHP with more rights
// than the operator means it to have, or keep the web server out.
func refused(conf *fpmconf.Config) error {
	var errs []error
	for _, p := range conf.Pools {
		if p.ListenACLUsers != "" || p.ListenACLGroups != "" {
			errs = append(errs, fmt.Errorf("[pool %s] listen.acl_users and listen.acl_groups are not supported in this version of phpserve; use listen.owner, listen.group and listen.mode", p.Name))
		}
	}
	return errors.Join(errs...)
}
