package fpmconf

import "strings"

// constant is the value of a PHP 8.2 constant as text. Constants that depend on the build of PHP are the caller's.
func constant(name string) (value string, ok bool) {
	switch strings.ToLower(name) { // these three alone are known in any case (php-src Zend/zend_constants.c)
	case "true":
		return "1", true
	case "false", "null":
		return "", true
	}
	for _, c := range [...]struct{ name, value string }{
		{"E_ERROR", "1"},
		{"E_WARNING", "2"},
		{"E_PARSE", "4"},
		{"E_NOTICE", "8"},
		{"E_CORE_ERROR", "16"},
		{"E_CORE_WARNING", "32"},
		{"E_COMPILE_ERROR", "64"},
		{"E_COMPILE_WARNING", "128"},
		{"E_USER_ERROR", "256"},
		{"E_USER_WARNING", "512"},
		{"E_USER_NOTICE", "1024"},
		{"E_STRICT", "2048"},
		{"E_RECOVERABLE_ERROR", "4096"},
		{"E_DEPRECATED", "8192"},
		{"E_USER_DEPRECATED", "16384"},
		{"E_ALL", "32767"},
		{"PHP_SAPI", "fpm-fcgi"},
		{"PHP_INT_MAX", "9223372036854775807"},
		{"PHP_INT_MIN", "-9223372036854775808"},
		{"PHP_INT_SIZE", "8"},
		{"DIRECTORY_SEPARATOR", "/"},
		{"PATH_SEPARATOR", ":"},
		{"PHP_EOL", "\n"},
		{"M_PI", "3.1415926535898"},
		{"INF", "INF"},
		{"NAN", "NAN"},
	} {
		if c.name == name {
			return c.value, true
		}
	}
	return "", false
}
