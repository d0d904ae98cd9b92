package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/phpserve/phpserve/internal/spelling"

	"github.com/go-viper/mapstructure/v2"
)

// where says which source a key's value came from, with the line if that is the file. prefix is sites[N]. or pools.NAME. for a key
// of that site or pool, else empty.
func (l *loader) where(prefix, key string) string {
	top, _, _ := strings.Cut(key, "[")
	switch flag := l.flags[top]; {
	case prefix != "":
		if line := lineOf(l.file, prefix, top); line > 0 {
			return fmt.Sprintf("%s:%d", l.file, line)
		}
		if name, ok := poolOf(prefix); ok {
			if first, _ := poolLines(linesOf(l.file), name); first >= 0 {
				return fmt.Sprintf("%s:%d", l.file, first+1)
			}
			return l.where("", "pools")
		}
		return l.where("", "sites")
	case flag != "":
		return "command line --" + flag
	case l.inEnv(top):
		return "environment " + envName(top)
	case l.file != "":
		if line := lineOf(l.file, "", top); line > 0 {
			return fmt.Sprintf("%s:%d", l.file, line)
		}
		return l.file
	}
	return "default"
}

// fromFile says whether it is the file that decides on a key.
func (l *loader) fromFile(key string) bool {
	return l.file != "" && l.flags[key] == "" && !l.inEnv(key) && l.isSet(key)
}

// relative makes a path of the file relative to the file's folder; those of flags and variables are relative to the
// working folder.
func (l *loader) relative(key, path string) string {
	if path == "" || filepath.IsAbs(path) || !l.fromFile(key) {
		return path
	}
	return l.inFolder(path)
}

// inFolder makes a relative path one in the file's folder.
func (l *loader) inFolder(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(l.file), path)
}

var (
	yamlEntry = regexp.MustCompile(`^(\s*)-(\s|$)`)
	tomlEntry = regexp.MustCompile(`^\s*\[\[\s*sites\s*\]\]`)
)

// lineOf finds the line that sets key in a YAML, TOML or JSON file; 0 if there is none. With prefix sites[N]. it looks
// in that entry of sites only, as far as one can be told from the next.
func lineOf(file, prefix, key string) int {
	lines := linesOf(file)
	first, last := 0, len(lines)
	if name, ok := poolOf(prefix); ok {
		first, last = poolLines(lines, name)
	} else if prefix != "" {
		first, last = siteLines(lines, prefix)
	} else if key != "pools" {
		lines = withoutPools(lines)
	}
	dotted := strings.ReplaceAll(key, delimiter, ".")
	level, _, _ := strings.Cut(dotted, ".") // {max_children: 8} on the line of pm
	for _, name := range []string{dotted, dotted[strings.LastIndex(dotted, ".")+1:], level} {
		sets := regexp.MustCompile(`(?i)^[\s\-{,]*["']?` + regexp.QuoteMeta(name) + `["']?\s*[:=]`)
		for n := first; n < last; n++ {
			if sets.MatchString(lines[n]) {
				return n + 1
			}
		}
	}
	return 0
}

// linesOf are the lines of a file, none if it cannot be read.
func linesOf(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// siteLines are the lines of an entry of sites: those from first to before last.
func siteLines(lines []string, prefix string) (first, last int) {
	index, _ := strconv.Atoi(strings.Trim(prefix, "site[].")) // only addSites makes it
	indent, inSites, entry := "", false, -1
	for n, line := range lines {
		inSites = inSites || strings.HasPrefix(strings.Trim(line, " \t\"'{"), "sites")
		m := yamlEntry.FindStringSubmatch(line)
		if entry < 0 && m != nil {
			indent = m[1]
		}
		if tomlEntry.MatchString(line) || inSites && m != nil && m[1] == indent {
			if entry++; entry == index {
				first = n
			} else if entry == index+1 {
				return first, n
			}
		}
	}
	return first, len(lines)
}

var (
	namedKey  = regexp.MustCompile(`[a-z_]+(?:\.[a-z_]+)*`)
	namedSite = regexp.MustCompile(`^\[site ([^\]]+)\]`)
)

// locate puts the source of the value in front of each error that names a key in its text: those of packages below know
// what is wrong, but not who said it. What is not set anywhere follows from something that is, and stays as it is.
func (l *loader) locate(err error) error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range many.Unwrap() {
			errs = append(errs, l.locate(e))
		}
		return errors.Join(errs...)
	}
	text := err.Error()
	if m := namedPoolError.FindStringSubmatch(text); m != nil && slices.ContainsFunc(l.pools, func(p *namedPool) bool { return p.name == m[1] }) {
		return l.locatePool(m[1], err)
	}
	for _, key := range namedKey.FindAllString(namedSite.ReplaceAllString(text, ""), -1) {
		if !slices.Contains(l.keys, key) && !slices.Contains(l.keys, strings.Replace(key, ".", delimiter, 1)) {
			continue
		}
		if where := l.whoSays(key, text); where != "" {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return err
}

// whoSays is the source of key in an error's text; empty if nothing sets it. Of several sites that set it, it is the one
// that the text names, or else the one whose value is in the text.
func (l *loader) whoSays(key, text string) string {
	sites, _ := l.v.Get("sites").([]any) // another kind of value has been refused
	named := namedSite.FindStringSubmatch(text)
	for i, entry := range sites {
		site, _ := entry.(map[string]any)
		value, set := site[key]
		if named != nil {
			if set && firstHost(site) == named[1] {
				return l.where(fmt.Sprintf("sites[%d].", i), key)
			}
			continue
		}
		if list, ok := value.([]any); ok && set {
			set = slices.ContainsFunc(list, func(v any) bool { return strings.Contains(text, fmt.Sprintf("%q", valueText(v))) })
		} else if set {
			set = strings.Contains(text, fmt.Sprintf("%q", valueText(value)))
		}
		if set {
			return l.where(fmt.Sprintf("sites[%d].", i), key)
		}
	}
	if l.isSet(key) || l.isSet(strings.Replace(key, ".", delimiter, 1)) {
		return l.where("", key)
	}
	return ""
}

// firstHost is the name of a site in messages, see [site.Config.Name].
func firstHost(entry map[string]any) string {
	switch hosts := entry["hosts"].(type) {
	case []any:
		if len(hosts) > 0 {
			return valueText(hosts[0])
		}
	case string:
		first, _, _ := strings.Cut(hosts, ",")
		return strings.TrimSpace(first)
	}
	return ""
}

// explain puts the source before each of mapstructure's errors, in the words of this program.
func (l *loader) explain(err error, prefix string) error {
	if many, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		var errs []error
		for _, e := range many.Unwrap() {
			errs = append(errs, l.explain(e, prefix))
		}
		return errors.Join(errs...)
	}
	decode, ok := errors.AsType[*mapstructure.DecodeError](err)
	if !ok {
		return err
	}
	cause := decode.Unwrap().Error()
	if parse, ok := errors.AsType[*mapstructure.ParseError](err); ok {
		cause = fmt.Sprintf("%q is not %s", valueText(parse.Value), kindName(parse.Expected.Type()))
	} else if kind, ok := errors.AsType[*mapstructure.UnconvertibleTypeError](err); ok {
		cause = fmt.Sprintf("%s is not %s", valueText(kind.Value), kindName(kind.Expected.Type()))
	} else if strings.HasPrefix(cause, "expected a map") {
		cause = "it is not a mapping"
	}
	return fmt.Errorf("%s: %s%s: %s", l.where(prefix, decode.Name()), prefix, decode.Name(), cause)
}

// parseError says where a file is no YAML, TOML or JSON, and how to write what these know no way for: pm is a value, and the beginning of
// other keys.
func parseError(file string, err error) error {
	text := syntaxError(file, err)
	if valueAndTable.MatchString(err.Error()) {
		return &hintError{text, `a key that has a value cannot have others below it: write their whole names, in TOML in quotes: "pm.max_children" = 8`}
	}
	return text
}

var valueAndTable = regexp.MustCompile(`to be a table, not a |mapping key "(pm|access|log|slowlog)" already defined|key \S+ (is already defined|should be a table)`)

// syntaxError is what parseError says first.
func syntaxError(file string, err error) error {
	line := 0
	if toml, ok := errors.AsType[interface {
		error
		Position() (row, column int)
	}](err); ok {
		line, _ = toml.Position()
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if text, readErr := os.ReadFile(file); readErr == nil {
			line = 1 + strings.Count(string(text[:min(len(text), int(syntax.Offset))]), "\n")
		}
	}
	text := strings.TrimPrefix(err.Error(), "While parsing config: ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "unmarshal errors:\n")
	if m := yamlLine.FindStringSubmatch(text); m != nil && !strings.Contains(text, "\n") {
		return fmt.Errorf("cannot read %s:%s: %s", file, m[1], yamlWords.Replace(m[2]))
	}
	if line > 0 {
		return fmt.Errorf("cannot read %s:%d: %s", file, line, text)
	}
	return fmt.Errorf("cannot read %s: %s", file, strings.Join(strings.Fields(yamlWords.Replace(text)), " "))
}

var (
	yamlLine  = regexp.MustCompile(`^\s*line (\d+): (.*)$`)
	yamlWords = strings.NewReplacer("cannot unmarshal !!seq into map[string]interface {}", "a list, not keys with values",
		"cannot unmarshal !!str", "text", "into map[string]interface {}", "is not a key with a value")
)

// unknownKeys is the error for keys that a settings struct does not have.
func (l *loader) unknownKeys(prefix string, keys []string, settings reflect.Type) error {
	allowed, lists := keysOf(settings, ""), listsOf(settings)
	for i := range allowed {
		allowed[i] = strings.ReplaceAll(allowed[i], delimiter, ".")
	}
	slices.Sort(allowed)
	slices.Sort(keys)
	var errs []error
	unlike := false // some key is like none
	for _, key := range keys {
		if list := below(key, lists); list != "" {
			errs = append(errs, fmt.Errorf("%s: %s is a list, not a mapping: write [NAME=VALUE, ...]", l.where(prefix, list), prefix+list))
			continue
		}
		near := nearestKeys(key, allowed)
		unlike = unlike || len(near) == 0
		errs = append(errs, fmt.Errorf("%s: unknown key %q%s", l.where(prefix, key), prefix+key, didYouMean(near)))
	}
	if unlike {
		return &hintError{errors.Join(errs...), "docs/configuration.md explains the keys, docs/phpserve.example.yaml has all of them with their defaults"}
	}
	return errors.Join(errs...)
}

// didYouMean asks for one of some words; empty if there are none.
func didYouMean(words []string) string {
	if len(words) == 0 {
		return ""
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	last := len(quoted) - 1
	if last == 0 {
		return ", did you mean " + quoted[0] + "?"
	}
	return ", did you mean " + strings.Join(quoted[:last], ", ") + " or " + quoted[last] + "?"
}

// below is the key that has a mapping where a list is meant: {memory_limit: 512M} below php_value; empty if it is another
// mistake.
func below(key string, lists []string) string {
	for i, c := range key {
		if c == '.' && slices.Contains(lists, key[:i]) {
			return key[:i]
		}
	}
	return ""
}

// nearest is the first of [nearestKeys]; empty if there is none.
func nearest(word string, keys []string) string {
	if near := nearestKeys(word, keys); len(near) > 0 {
		return near[0]
	}
	return ""
}

// mostNear is how many words a message offers in place of a wrong one.
const mostNear = 3

// nearestKeys finds what was probably meant: the key of a flag of that name, keys with that last part, or the keys that
// take the fewest changes, at most a third of the word's letters.
func nearestKeys(word string, keys []string) []string {
	plain := func(s string) string { return strings.NewReplacer("_", "", "-", "", ".", "").Replace(s) }
	for flag, key := range flagKeys {
		if plain(flag) == plain(word) && slices.Contains(keys, key) {
			return []string{key}
		}
	}
	var same, best []string
	least := len(word)/3 + 1
	for _, key := range keys {
		leaf := key[strings.LastIndex(key, ".")+1:]
		if plain(key) == plain(word) {
			return []string{key}
		}
		if leaf == word {
			same = append(same, key)
		}
		if d := spelling.Distance(plain(word), plain(key)); d < least {
			best, least = []string{key}, d
		} else if d == least && len(best) > 0 {
			best = append(best, key)
		}
	}
	if len(same) > 0 {
		best = same
	}
	return best[:min(len(best), mostNear)]
}
