package fpmconf

import (
	"errors"
	"slices"
	"strings"
	"syscall"
)

// glob finds the files of a pattern in byte order as glob(3) does with GLOB_ERR and GLOB_MARK: directories end in "/".
// readable is false when a directory on the way cannot be read.
func (s *system) glob(pattern string) (matches []string, readable bool) {
	if pattern == "" {
		return nil, true
	}
	rest := strings.TrimLeft(pattern, "/")
	found := []string{pattern[:len(pattern)-len(rest)]}
	for rest != "" {
		part, more, _ := strings.Cut(rest, "/")
		more = strings.TrimLeft(more, "/")
		slashes := rest[len(part) : len(rest)-len(more)]
		var next []string
		for _, dir := range found {
			names, ok := s.globPart(dir, part, slashes)
			if !ok {
				return nil, false
			}
			next = append(next, names...)
		}
		found, rest = next, more
	}
	for i, name := range found {
		if !strings.HasSuffix(name, "/") && s.isDir(name) {
			found[i] = name + "/"
		}
	}
	slices.Sort(found)
	return found, true
}

// globPart returns dir joined with what matches one part of the pattern and with the slashes behind it. Only the last part,
// which has none, matches files.
func (s *system) globPart(dir, part, slashes string) (names []string, readable bool) {
	last := slashes == ""
	keep := func(name string) {
		if path := dir + name; last && s.exists(path) || !last && s.isDir(path) {
			names = append(names, path+slashes)
		}
	}
	if !strings.ContainsAny(part, "*?[") {
		if last {
			keep(unquote(part))
		} else {
			names = append(names, dir+unquote(part)+slashes) // missing or not, the next part will tell
		}
		return names, true
	}
	open := dir
	if open == "" {
		open = "."
	}
	list, err := s.readDir(open)
	if err != nil {
		return nil, errors.Is(err, syscall.ENOTDIR) // glob(3) takes a file for no match and stops at all else
	}
	for _, name := range list {
		if fnmatch(part, name) {
			keep(name)
		}
	}
	return names, true
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// fnmatch is fnmatch(3) with FNM_PERIOD for one part of a path.
func fnmatch(pattern, name string) bool {
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(strings.TrimPrefix(pattern, `\`), ".") {
		return false
	}
	// star and mark are where to go on when a later part does not fit: the last "*" takes one more character.
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, n
			p++
			continue
		}
		if size, ok := matchOne(pattern[p:], name[n]); ok {
			p += size
			n++
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne compares c with the first element of pattern, which is size bytes long.
func matchOne(pattern string, c byte) (size int, ok bool) {
	switch {
	case pattern == "":
		return 0, false
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, pattern[1] == c
	case pattern[0] == '[':
		if size, in, closed := matchSet(pattern, c); closed {
			return size, in
		}
	}
	return 1, pattern[0] == c
}

// matchSet compares c with [...]; closed is false when the bracket is not closed and stands for itself.
func matchSet(pattern string, c byte) (size int, in, closed bool) {
	i, not := 1, false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		not = true
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, in != not, true
		}
		if name, after, ok := strings.Cut(pattern[i:], ":]"); ok && strings.HasPrefix(name, "[:") {
			in = in || inClass(name[2:], c)
			i = len(pattern) - len(after)
			continue
		}
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
		}
		low, high := pattern[i], pattern[i]
		i++
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high = pattern[i+1]
			i += 2
		}
		in = in || low <= c && c <= high
	}
	return 0, false, false
}

func inClass(name string, c byte) bool {
	lower, upper, digit := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
	switch name {
	case "alpha":
		return lower || upper
	case "lower":
		return lower
	case "upper":
		return upper
	case "digit":
		return digit
	case "alnum":
		return lower || upper || digit
	case "xdigit":
		return digit || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r'
	case "blank":
		return c == ' ' || c == '\t'
	case "punct":
		return c > ' ' && c < 0x7f && !lower && !upper && !digit
	case "graph":
		return c > ' ' && c < 0x7f
	case "print":
		return c >= ' ' && c < 0x7f
	case "cntrl":
		return c < ' ' || c == 0x7f
	}
	return false
}
