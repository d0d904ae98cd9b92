package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	namedPoolError = regexp.MustCompile(`^\[pool ([^\]]+)\]`)
	poolsKey       = regexp.MustCompile(`(?i)^[\s{,]*["']?pools["']?\s*:`)
	tomlTable      = regexp.MustCompile(`^\s*\[`)
	indentation    = regexp.MustCompile(`^[\s{]*`)
)

// poolOf is the name in a prefix pools.NAME. of a key.
func poolOf(prefix string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(prefix, "pools.")
	return strings.TrimSuffix(rest, "."), ok
}

// says reports whether a line says anything: it is neither empty nor a comment.
func says(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && line[0] != '#'
}

// indent is how far a line is from the margin.
func indent(line string) int { return len(indentation.FindString(line)) }

// belowLine is where the lines end that belong to the one at n: those that are further from the margin.
func belowLine(lines []string, n int) (end int) {
	for end = n + 1; end < len(lines); end++ {
		if says(lines[end]) && indent(lines[end]) <= indent(lines[n]) {
			break
		}
	}
	return end
}

// poolLines are the lines of an entry of pools: those from first to before last; -1 if it cannot be found.
func poolLines(lines []string, name string) (first, last int) {
	quoted := regexp.QuoteMeta(name)
	table := regexp.MustCompile(`(?i)^\s*\[\s*pools\s*\.\s*["']?` + quoted + `["']?\s*([\].])`)
	entry := regexp.MustCompile(`(?i)^[\s{,]*["']?` + quoted + `["']?\s*:`)
	for n, line := range lines {
		if table.MatchString(line) {
			for last = n + 1; last < len(lines) && (!tomlTable.MatchString(lines[last]) || table.MatchString(lines[last])); last++ {
				continue
			}
			return n, last
		}
		if !poolsKey.MatchString(line) {
			continue
		}
		margin := -1
		for m := n + 1; m < belowLine(lines, n); m++ {
			if says(lines[m]) && margin < 0 {
				margin = indent(lines[m])
			}
			if entry.MatchString(lines[m]) && indent(lines[m]) == margin {
				return m, belowLine(lines, m)
			}
		}
	}
	return -1, -1
}

// withoutPools are the lines without those of pools, whose keys have the names of others.
func withoutPools(lines []string) []string {
	lines = slices.Clone(lines)
	for n := 0; n < len(lines); n++ {
		first, last := n, n
		if tomlTable.MatchString(lines[n]) && strings.HasPrefix(strings.TrimLeft(lines[n], " \t["), "pools") {
			for last = n + 1; last < len(lines) && !tomlTable.MatchString(lines[last]); last++ {
				continue
			}
		} else if poolsKey.MatchString(lines[n]) {
			first, last = n+1, belowLine(lines, n)
		}
		for m := first; m < last; m++ {
			lines[m] = ""
		}
	}
	return lines
}

// fpmWords are php-fpm's words for directives that its messages do not call by their names.
var fpmWords = strings.NewReplacer("the status path", "pm.status_path", "the ping path", "ping.path", "the ping response page", "ping.response")

// locatePool is locate for an error about a pool: it is in the file where the pool says what is wrong, or the top does, or at least
// where the pool begins.
func (l *loader) locatePool(name string, err error) error {
	i := slices.IndexFunc(l.pools, func(p *namedPool) bool { return p.name == name })
	prefix, set := "pools."+name+".", l.pools[i].set
	text := err.Error()
	named := namedKey.FindAllString(fpmWords.Replace(namedPoolError.ReplaceAllString(text, "")), -1)
	quotes := func(key string) bool { return quotesValue(text, l.poolValue(name, key)) }
	for _, found := range []func(key string) bool{
		func(key string) bool { return slices.Contains(set, key) && slices.Contains(named, key) && quotes(key) },
		func(key string) bool { return slices.Contains(set, key) && quotes(key) },
	} {
		if i := slices.IndexFunc(set, found); i >= 0 && strings.Contains(text, set[i]) {
			return fmt.Errorf("%s: %w", l.where(prefix, set[i]), err)
		} else if i >= 0 { // php-fpm's words do not name it
			return fmt.Errorf("%s: %s: %w", l.where(prefix, set[i]), set[i], err)
		}
	}
	for _, key := range named {
		if slices.Contains(set, key) {
			return fmt.Errorf("%s: %w", l.where(prefix, key), err)
		}
		if spelled := strings.Replace(key, ".", delimiter, 1); slices.Contains(l.keys, key) && l.isSet(key) || slices.Contains(l.keys, spelled) && l.isSet(spelled) {
			return fmt.Errorf("%s: %w", l.where("", key), err)
		}
	}
	if len(set) > 0 {
		return fmt.Errorf("%s: %w", l.where(prefix, ""), err)
	}
	return err
}

// poolValue is what the file has for a key of a pool.
func (l *loader) poolValue(name, key string) any {
	entries, _ := l.v.Get("pools").([]poolEntry) // or the environment's, which has been refused
	for _, e := range entries {
		if e.name == name {
			return e.values[key]
		}
	}
	return nil
}

// quotesValue says whether a message quotes a value, or one of a list.
func quotesValue(text string, value any) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, func(v any) bool { return quotesValue(text, v) })
	}
	v := valueText(value)
	return value != nil && v != "" && (strings.Contains(text, v+"'") || strings.Contains(text, v+`"`) || strings.Contains(text, v+")"))
}
