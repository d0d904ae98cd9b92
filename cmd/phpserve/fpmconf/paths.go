package fpmconf

import "strings"

// fullPath makes a relative path absolute: below the pool's prefix, the global one, or base
// (php-src sapi/fpm/fpm/fpm_conf.c:fpm_evaluate_full_path).
func (l *loader) fullPath(path string, p *Pool, base string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	path = l.prefix(p, base) + "/" + path
	if p != nil {
		return l.fullPath(path, nil, base)
	}
	return path
}

func (l *loader) prefix(p *Pool, base string) string {
	switch {
	case p != nil && p.given["prefix"]:
		return p.Prefix
	case l.o.Prefix != "":
		return l.o.Prefix
	}
	return base
}

// chrootPath is fullPath for chroot, which may start with $prefix.
func (l *loader) chrootPath(p *Pool) string {
	const variable = "$prefix"
	path := p.Chroot
	switch i := strings.Index(path, variable); {
	case strings.HasPrefix(path, "/") || i < 0:
		return l.fullPath(path, p, l.o.DefaultPrefix)
	case i > 0:
		l.fail("'$prefix' must be use at the beginning of the value")
		return path
	}
	path = strings.TrimPrefix(path, variable)
	prefix := l.prefix(p, l.o.DefaultPrefix)
	if path != "" {
		prefix += "/" + path
	}
	return l.fullPath(prefix, nil, l.o.DefaultPrefix)
}

// isINIPath reports whether the value of a PHP setting is a path to complete (fpm_php.h:FPM_PHP_INI_TO_EXPAND).
func isINIPath(name string) bool {
	switch strings.ToLower(name) {
	case "error_log", "extension_dir", "mime_magic.magicfile", "sendmail_path", "session.cookie_path",
		"session_pgsql.sem_file_name", "soap.wsdl_cache_dir", "uploadprogress.file.filename_template", "xdebug.output_dir",
		"xdebug.profiler_output_dir", "xdebug.trace_output_dir", "xmms.path", "axis2.client_home", "blenc.key_file",
		"coin_acceptor.device":
		return true
	}
	return false
}

// expandINIPaths completes the paths among the pool's PHP settings.
func (l *loader) expandINIPaths(p *Pool) {
	for _, list := range [][]INIValue{p.PHPValues, p.PHPAdminValues} {
		for i := range list {
			v := &list[i]
			if v.Admin && equalFold(v.Name, "error_log") && equalFold(v.Value, "syslog") || !isINIPath(v.Name) {
				continue
			}
			v.Value = l.fullPath(v.Value, p, l.o.DefaultPrefix)
		}
	}
}
