package server

import (
	"fmt"
	"reflect"

	"github.com/phpserve/phpserve/server/site"
)

// restartKeys are the settings that a reload leaves as they are, by the fields of [Config]: all but those of pools and of what watches
// over them.
func restartKeys() map[string]string {
	return map[string]string{
		"Listen": "listen", "TLS": "tls", "TrustedProxies": "trusted_proxies", "RequestIDHeader": "request_id_header", "ErrorPages": "error_pages",
		"HeaderTimeout": "timeouts.header", "BodyTimeout": "timeouts.body", "WriteTimeout": "timeouts.write", "IdleTimeout": "timeouts.idle",
		"MaxConnections": "max_connections", "MaxHeaderBytes": "max_header_size",
		"SpoolMemory": "spool.memory", "SpoolMemoryTotal": "spool.memory_total", "SpoolDisk": "spool.disk", "SpoolResponses": "spool.responses",
		"SpoolBodies": "spool.bodies", "SpoolDir": "spool.dir", "Admin": "admin", "AdminToken": "admin_token",
		"AccessLog": "access.log", "AccessFormat": "access.format",
	}
}

// siteKeys are the settings of a site by the fields of [site.Config].
func siteKeys() map[string]string {
	return map[string]string{
		"Hosts": "hosts", "Root": "root", "FrontController": "front_controller", "MissingFiles": "missing_files", "Index": "index",
		"PathInfo": "path_info", "ScriptExtensions": "script_extensions", "CGI": "cgi", "ResolveSymlinks": "resolve_symlinks",
		"FollowSymlinks": "follow_symlinks", "Deny": "deny", "Charset": "charset", "Types": "types", "MaxBodySize": "max_body_size",
		"Env": "fastcgi_param", "Pool": "pool",
	}
}

// reloadedFields are the fields of [Config] that a reload takes over, and Sites, which are compared one by one.
func reloadedFields() []string {
	return []string{"Sites", "Responders", "Pools", "ProcessMax", "EmergencyRestartThreshold", "EmergencyRestartInterval", "ProcessControlTimeout"}
}

// needRestart names the settings that differ and that a reload does not change.
func needRestart(now, next *Config) (keys []string) {
	keys = differing(reflect.ValueOf(now).Elem(), reflect.ValueOf(next).Elem(), restartKeys())
	if len(now.Sites) != len(next.Sites) {
		return append(keys, "sites")
	}
	for i := range now.Sites {
		for _, key := range differing(reflect.ValueOf(&now.Sites[i]).Elem(), reflect.ValueOf(&next.Sites[i]).Elem(), siteKeys()) {
			keys = append(keys, siteKey(&now.Sites[i], key, len(now.Sites) > 1))
		}
	}
	return keys
}

// siteKey is a key of a site in a message.
func siteKey(s *site.Config, key string, several bool) string {
	if several {
		return fmt.Sprintf("%s of site %s", key, s.Name())
	}
	return key
}

// differing names the fields that differ, in their order.
func differing(a, b reflect.Value, names map[string]string) (keys []string) {
	for f := range a.Type().Fields() {
		key, ok := names[f.Name]
		x, y := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)
		if !ok || x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 { // none may be nil or empty
			continue
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
