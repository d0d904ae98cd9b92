//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestNumbersInMessagesHaveAllTheirDigits: JSON, and YAML's 1e6, know no whole numbers, and nobody has written 1e+06.
func TestNumbersInMessagesHaveAllTheirDigits(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`"listen": [NUMBER]`, `"php_value": ["a=b", NUMBER]`, `"hosts": [NUMBER, "a..b"]`, `"trusted_proxies": [NUMBER]`, `"fastcgi_param": NUMBER`,
		`"listen": [[NUMBER]]`, `"pm.max_children": NUMBER.5`, `"pools": {"a": {"queue.size": NUMBER.5}}`, `"max_body_size": NUMBER.5`,
		`"queue.timeout": NUMBER.5`, `"sites": [{"root": ".", "hosts": [NUMBER], "max_body_size": NUMBER.5}]`, `"clear_env": NUMBER`,
		`"front_controller": NUMBER`, `"pool": NUMBER`, `"rlimit_core": NUMBER.5`, `"cgi": NUMBER`, `"types": [NUMBER]`,
		`"tls": {"redirect_port": NUMBER.5}`, `"access.format": NUMBER`, `"log.level": NUMBER`, `"php": NUMBER`, `"user": NUMBER`,
	} {
		for _, number := range []string{"1000000", "123456789012"} {
			file := filepath.Join(t.TempDir(), "phpserve.json")
			writeFile(t, file, "{\"root\": \".\", "+strings.ReplaceAll(text, "NUMBER", number)+"}")
			_, out, errs := phpserve(t, "check", "--allow-root", "--config", file)
			if all := out + errs; strings.Contains(all, "e+") || !strings.Contains(all, number) && strings.Contains(all, "error") {
				t.Errorf("%s: %s", strings.ReplaceAll(text, "NUMBER", number), all)
			}
		}
	}
}
