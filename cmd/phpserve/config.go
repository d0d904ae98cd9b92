package main

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

const (
	envPrefix = "PHPSERVE_"
	// delimiter separates the levels of a key for viper. Not a dot: php-fpm's names have dots.
	delimiter = "::"
)

// configNames are the files that are looked for in the working folder when --config is not given.
var configNames = []string{"phpserve.yaml", "phpserve.yml", "phpserve.toml", "phpserve.json"}

// flagKeys are the flags that set a key of another name; flags with a key's own name need no entry.
var flagKeys = map[string]string{
	"workers": "pm.max_children", "fpm-config": "fpm_config", "front-controller": "front_controller", "php-value": "php_value",
	"access-log": "access.log", "log-format": "log.format", "log-level": "log.level", "allow-root": "allow_root",
}

// loader reads the configuration: defaults, then the file, then PHPSERVE_* variables, then flags.
type loader struct {
	v       *viper.Viper
	environ []string
	file    string // empty: no file
	keys    []string
	flags   map[string]string // the flag that set a key
	pools   []*namedPool      // that the settings describe, for messages
}

// load returns the settings and where they came from.
func load(flags *pflag.FlagSet, environ []string) (settings, *loader, error) {
	l := &loader{v: viper.NewWithOptions(viper.KeyDelimiter(delimiter)), environ: environ, flags: map[string]string{}}
	defaults := defaultSettings()
	l.keys = keysOf(reflect.TypeOf(defaults), "")
	if err := l.readFile(flags); err != nil {
		return settings{}, l, &configError{err}
	}
	if err := l.bindEnv(); err != nil {
		return settings{}, l, &configError{err}
	}
	l.setFlags(flags)
	s := defaults
	if err := l.decode(l.values(), &s, ""); err != nil {
		return settings{}, l, &configError{err}
	}
	return s, l, nil
}

// readFile reads the file that --config or PHPSERVE_CONFIG names, or one of configNames.
func (l *loader) readFile(flags *pflag.FlagSet) error {
	file, _ := flags.GetString("config") // the flag exists
	if file == "" {
		file = l.getenv(envPrefix + "CONFIG")
	}
	if file == "" {
		found := slices.DeleteFunc(slices.Clone(configNames), func(name string) bool { return !exists(name) })
		switch len(found) {
		case 0:
			return nil
		case 1:
			file = found[0]
			if other := otherAuthor(file); other != "" {
				return &hintError{
					fmt.Errorf("cannot use %s as root: %s can write it, and could so have root run or write anything", file, other),
					"if you trust it, name it: --config " + file + "; or start phpserve as the user of the site",
				}
			}
		default:
			return &hintError{fmt.Errorf("cannot choose a configuration: %s are both here", strings.Join(found[:2], " and ")), "keep one of them, or name one with --config"}
		}
	}
	l.file = file
	if !slices.Contains([]string{".yaml", ".yml", ".toml", ".json"}, filepath.Ext(file)) { // viper knows more than we explain
		return &hintError{fmt.Errorf("cannot read %s: unknown kind of file", file), "the name must end in .yaml, .yml, .toml or .json"}
	}
	reader := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	reader.SetConfigFile(file)
	err := reader.ReadInConfig()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &hintError{fmt.Errorf("cannot read %s: there is no such file", file), "docs/phpserve.example.yaml is one to begin with"}
	case err != nil:
		return parseError(file, err)
	}
	return l.takeFile(reader)
}

// takeFile takes the keys of the file, in which "a.b: 1" and "a: {b: 1}" are the same key.
func (l *loader) takeFile(reader *viper.Viper) error {
	values, taken := map[string]any{}, map[string]bool{}
	if reader.InConfig("pools") {
		pools, err := l.poolEntries(reader.Get("pools"))
		if err != nil {
			return err
		}
		values["pools"] = pools
	}
	for _, spelled := range reader.AllKeys() {
		if spelled == "pools" || strings.HasPrefix(spelled, "pools"+delimiter) {
			continue // taken whole: viper would take the keys apart
		}
		key := strings.ReplaceAll(spelled, delimiter, ".")
		for _, k := range l.keys {
			if strings.ReplaceAll(k, delimiter, ".") == key {
				key = k
			}
		}
		if taken[key] {
			return fmt.Errorf("%s: %s is set twice", l.where("", key), strings.ReplaceAll(key, delimiter, "."))
		}
		taken[key] = true
		setPath(values, strings.Split(key, delimiter), reader.Get(spelled))
	}
	if err := l.v.MergeConfigMap(values); err != nil {
		return fmt.Errorf("cannot read %s: %v", l.file, err)
	}
	return nil
}

// bindEnv binds every key to its variable and refuses variables that name no key.
func (l *loader) bindEnv() error {
	known := map[string]string{envPrefix + "CONFIG": ""}
	for _, key := range l.keys {
		name := envName(key)
		known[name] = key
		if value := l.getenv(name); value != "" {
			l.v.Set(key, value) // stronger than the file; a flag overwrites it
		}
	}
	for _, kv := range l.environ {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := known[name]; !ok && strings.HasPrefix(name, envPrefix) {
			return &hintError{
				fmt.Errorf("environment: %s names no setting", name),
				"the variable of a key is its name in capitals, with _ for dots: " + envName("pm.max_children"),
			}
		}
	}
	return nil
}

// setFlags takes the flags that were given; they are the strongest.
func (l *loader) setFlags(flags *pflag.FlagSet) {
	flags.Visit(func(f *pflag.Flag) {
		key := f.Name
		if k, ok := flagKeys[key]; ok {
			key = k
		}
		if !slices.Contains(l.keys, key) {
			return
		}
		l.flags[key] = f.Name
		if list, ok := f.Value.(pflag.SliceValue); ok {
			l.v.Set(key, list.GetSlice())
		} else {
			l.v.Set(key, f.Value.String())
		}
	})
}

// envName is the variable of a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", delimiter, "_").Replace(key))
}

// values gathers what is set, by key, so that what is not set keeps its default.
func (l *loader) values() map[string]any {
	out := map[string]any{}
	for _, key := range l.v.AllKeys() {
		setPath(out, strings.Split(key, delimiter), l.v.Get(key))
	}
	return out
}

func setPath(m map[string]any, path []string, value any) {
	for len(path) > 1 {
		next, ok := m[path[0]].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[path[0]] = next
		}
		m, path = next, path[1:]
	}
	m[path[0]] = value
}

// decode fills to from values, strictly: an unknown key or a value of the wrong kind is an error that says where.
func (l *loader) decode(values map[string]any, to any, prefix string) error {
	var meta mapstructure.Metadata
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		// ZeroFields: a list replaces the default one; it must not be written into the memory that other sites share.
		Result: to, Metadata: &meta, WeaklyTypedInput: true, ZeroFields: true, MatchName: func(a, b string) bool { return a == b },
		DecodeHook: mapstructure.ComposeDecodeHookFunc(textHook, listHook, strictHook),
	})
	if err != nil {
		return err
	}
	if err := d.Decode(values); err != nil {
		return l.explain(err, prefix)
	}
	if len(meta.Unused) == 0 {
		return nil
	}
	return l.unknownKeys(prefix, meta.Unused, reflect.TypeOf(to).Elem())
}

// textHook decodes our own units from numbers and strings.
func textHook(_, to reflect.Type, data any) (any, error) {
	target := reflect.New(to)
	u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](target)
	if !ok {
		return data, nil
	}
	if b, isBool := data.(bool); isBool && u.UnmarshalText([]byte(strconv.FormatBool(b))) == nil { // YAML takes the word yes for true
		return target.Elem().Interface(), nil
	}
	text, err := numberText(data)
	if err == nil {
		err = u.UnmarshalText([]byte(text))
	}
	if err != nil {
		return nil, err
	}
	return target.Elem().Interface(), nil
}

// maxExact is the number up to which a float64 holds every whole number: JSON, and YAML's 1e6, know no other numbers.
const maxExact = 1 << 53

// numberText is a value of a file in the way that it is written by people: not 1e+06.
func numberText(data any) (string, error) {
	switch n := data.(type) {
	case float64:
		if math.Abs(n) > maxExact {
			return "", fmt.Errorf("%s is too large for a number of this file to be exact: write its digits in quotes", valueText(n))
		}
		return valueText(n), nil
	case bool:
		return "", fmt.Errorf("%v is yes or no, and not a number", n)
	}
	return fmt.Sprint(data), nil
}

// valueText is a value of a file in a message, and as it would be quoted in one: a number as people write it, not 1e+06.
func valueText(data any) string {
	switch v := data.(type) {
	case float64:
		if math.Abs(v) <= maxExact { // of larger ones not all digits were written
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = valueText(v[i])
		}
		return "[" + strings.Join(texts, " ") + "]"
	case map[string]any:
		texts := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			texts = append(texts, key+":"+valueText(v[key]))
		}
		return "map[" + strings.Join(texts, " ") + "]"
	}
	return fmt.Sprint(data)
}

// isWhole says whether a number of a file is one that an int holds.
func isWhole(data any) bool {
	switch n := data.(type) {
	case float64:
		return math.Abs(n) <= maxExact && n == math.Trunc(n)
	case uint64:
		return n <= math.MaxInt
	case bool:
		return false
	}
	return true
}

// listHook splits a variable's value into a list: at line breaks if it has any, else at commas.
func listHook(from, to reflect.Type, data any) (any, error) {
	if from.Kind() != reflect.String || to.Kind() != reflect.Slice {
		return data, nil
	}
	separator := ","
	if strings.Contains(data.(string), "\n") {
		separator = "\n"
	}
	var list []string
	for item := range strings.SplitSeq(data.(string), separator) {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list, nil
}

// strictHook refuses the weak conversions that would hide a mistake; those from a variable's text stay.
func strictHook(from, to reflect.Type, data any) (any, error) {
	switch {
	case to.Kind() == reflect.String && from.Kind() == reflect.Bool:
		// YAML reads off, on, yes and no as booleans; front_controller: off and access.log: off are words.
		if data.(bool) {
			return "on", nil
		}
		return frontOff, nil
	case to == reflect.TypeFor[fileMode]() && from.Kind() != reflect.String:
		return nil, fmt.Errorf("%s is a number: write the octal digits of a mode in quotes, such as \"0660\"", valueText(data))
	case to.Kind() == reflect.Bool && from.Kind() != reflect.Bool && from.Kind() != reflect.String,
		to.Kind() == reflect.Int && !isWhole(data):
		return nil, fmt.Errorf("%s is not %s", valueText(data), kindName(to))
	case to.Kind() == reflect.Slice && from.Kind() != reflect.Slice && from.Kind() != reflect.String:
		return nil, fmt.Errorf("%s is not a list; for a list of one write [%[1]s]", valueText(data))
	case to.Kind() == reflect.Bool && from.Kind() == reflect.String:
		switch strings.ToLower(data.(string)) {
		case "1", "yes", "true", "on":
			return true, nil
		case "0", "no", "false", "off":
			return false, nil
		}
		return nil, fmt.Errorf("%q is not yes or no", data)
	}
	return data, nil
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "yes or no"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a text"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	}
	return "a " + t.Kind().String()
}

// keysOf lists the keys of a settings struct, nested ones joined by the delimiter.
func keysOf(t reflect.Type, prefix string) (keys []string) {
	eachKey(t, prefix, func(key string, _ reflect.Type) { keys = append(keys, key) })
	return keys
}

// listsOf lists the keys of a settings struct whose values are lists of texts.
func listsOf(t reflect.Type) (keys []string) {
	eachKey(t, "", func(key string, kind reflect.Type) {
		if kind == reflect.TypeFor[[]string]() {
			keys = append(keys, key)
		}
	})
	return keys
}

// eachKey names the keys of a settings struct with the types of their values. Fields without a key are what is known besides.
func eachKey(t reflect.Type, prefix string, key func(string, reflect.Type)) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		switch {
		case options == "squash":
			eachKey(f.Type, prefix, key)
		case name == "":
		case f.Type.Kind() == reflect.Struct:
			eachKey(f.Type, prefix+name+delimiter, key)
		default:
			key(prefix+name, f.Type)
		}
	}
}

func (l *loader) getenv(name string) string {
	for _, kv := range l.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// inEnv says whether a key's variable is set; an empty one counts as not set.
func (l *loader) inEnv(key string) bool { return l.getenv(envName(key)) != "" }

// isSet says whether file, environment or flags set a key.
func (l *loader) isSet(key string) bool { return l.v.IsSet(key) }
