//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestFPMErrorHeader: fastcgi.error_header is in the head of what ends with a fatal error, and nowhere else.
func TestFPMErrorHeader(t *testing.T) {
	t.Parallel()
	requests := []sideRequest{
		{name: "nothing wrong", script: `echo 1;`},
		{name: "fatal", script: `undefined();`, fails: true},
		{name: "fatal behind output that is buffered", script: `ob_start(); echo 1; undefined();`, fails: true},
		{name: "fatal behind a header", script: `header('X-One: 1'); header('X-Mine: no'); undefined();`, fails: true},
		{name: "fatal behind output that is out", script: `echo str_repeat('x', 100); flush(); undefined();`, fails: true},
		{name: "fatal behind a status", script: `http_response_code(403); undefined();`, fails: true},
		{name: "parse error", script: `this is none`, fails: true},
		{name: "memory", script: `ini_set('display_errors', '0'); ini_set('memory_limit', '4M'); str_repeat('x', 1 << 24);`, fails: true},
		{name: "the script's own 500", script: `http_response_code(500); echo "mine";`},
		{name: "a warning", script: `echo $undefined;`},
		{name: "a message like it", script: `error_log('about a PHP Fatal error: none'); echo 1;`, fails: true},
		{name: "a large head", script: `for ($i = 0; $i < 30; $i++) header("X-$i: " . str_repeat('y', 1000)); undefined();`, fails: true},
	}
	for _, header := range []string{`"HTTP/1.1 550 Server Made Boo Boo"`, `"HTTP/1.0 500 PHP Error"`, `"X-Mine: php failed"`, ""} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			for _, display := range []string{"0", "1"} {
				config := poolWith("php_admin_value[fastcgi.error_header] = "+header, "php_flag[display_errors] = "+display, "php_flag[html_errors] = 0", "php_admin_value[log_errors] = 1")
				if header == "" {
					config = strings.Replace(config, "php_admin_value[fastcgi.error_header] = \n", "", 1)
				}
				fpm, own := bothSides(t, config, requests)
				endBoth(t, fpm, own, syscall.SIGTERM)
			}
		})
	}
}
