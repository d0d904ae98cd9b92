package web

import "unicode/utf8"

// clip shortens s to at most limit characters, the last of them an ellipsis if
// some were cut.
func clip(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
