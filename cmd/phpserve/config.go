package main

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
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
	"workers": "pm.max_children", "front-controller": "front_controller", "php-value": "php_value",
	"access-log": "access.log", "log-format": "log.format", "log-level": "log.level", "allow-root": "allow_root",
}

// loader reads the configuration: defaults, then the file, then PHPSERVE_* variables, then flags.
type loader struct {
	v       *viper.Viper
	environ []string
	file    string // empty: no file
	keys    []string
}

// load returns the settings and where they came from.
func load(flags *pflag.FlagSet, environ []string) (settings, *loader, error) {
	l := &loader{v: viper.NewWithOptions(viper.KeyDelimiter(delimiter)), environ: environ}
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
		for _, name := range configNames {
			if exists(name) {
				file = name
				break
			}
		}
	}
	if file == "" {
		return nil
	}
	l.file = file
	l.v.SetConfigFile(file)
	err := l.v.ReadInConfig()
	var unsupported viper.UnsupportedConfigError
	switch {
	case errors.As(err, &unsupported):
		return &hintError{fmt.Errorf("cannot read %s: unknown kind of file", file), "the name must end in .yaml, .yml, .toml or .json"}
	case errors.Is(err, os.ErrNotExist):
		return &hintError{fmt.Errorf("cannot read %s: there is no such file", file), "docs/phpserve.example.yaml is one to begin with"}
	case err != nil:
		return fmt.Errorf("cannot read %s: %v", file, err)
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
		Result: to, Metadata: &meta, WeaklyTypedInput: true, MatchName: func(a, b string) bool { return a == b },
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
	slices.Sort(meta.Unused)
	var errs []error
	for _, key := range meta.Unused {
		errs = append(errs, fmt.Errorf("%s: unknown key %q; allowed are: %s", l.where(key), prefix+key,
			strings.Join(keysOf(reflect.TypeOf(to).Elem(), ""), ", ")))
	}
	return errors.Join(errs...)
}

// textHook decodes our own units from numbers and strings.
func textHook(_, to reflect.Type, data any) (any, error) {
	target := reflect.New(to)
	u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](target)
	if !ok {
		return data, nil
	}
	if err := u.UnmarshalText([]byte(fmt.Sprint(data))); err != nil {
		return nil, err
	}
	return target.Elem().Interface(), nil
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
	case to.Kind() == reflect.Bool && from.Kind() != reflect.Bool && from.Kind() != reflect.String,
		to.Kind() == reflect.Int && from.Kind() == reflect.Bool,
		to.Kind() == reflect.Int && from.Kind() == reflect.Float64 && data.(float64) != float64(int64(data.(float64))),
		to.Kind() == reflect.Slice && from.Kind() != reflect.Slice && from.Kind() != reflect.String:
		return nil, fmt.Errorf("%v is not a %s", data, kindName(to))
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
		return "whole number"
	case reflect.Slice:
		return "list"
	}
	return t.Kind().String()
}

var decodeErrorKey = regexp.MustCompile(`'([^' ]*)'`)

// explain puts file and line before each of mapstructure's errors.
func (l *loader) explain(err error, prefix string) error {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		key := ""
		if m := decodeErrorKey.FindStringSubmatch(err.Error()); m != nil {
			key = m[1]
		}
		cause := err.Error()
		if inner, ok := errors.AsType[*mapstructure.DecodeError](err); ok {
			key, cause = inner.Name(), inner.Unwrap().Error()
		}
		return fmt.Errorf("%s: %s%s: %s", l.where(key), prefix, key, cause)
	}
	var errs []error
	for _, e := range many.Unwrap() {
		errs = append(errs, l.explain(e, prefix))
	}
	return errors.Join(errs...)
}

// where says which of the three sources a key's value came from, with the line if that is the file.
func (l *loader) where(key string) string {
	top, _, _ := strings.Cut(key, "[")
	if l.file != "" {
		if line := lineOf(l.file, top[strings.LastIndex(top, delimiter)+1:]); line > 0 {
			if !l.inEnv(top) {
				return fmt.Sprintf("%s:%d", l.file, line)
			}
		}
	}
	if l.inEnv(top) {
		return "environment " + envName(top)
	}
	return "command line"
}

// lineOf finds the line that sets key in a YAML, TOML or JSON file; 0 if there is none.
func lineOf(file, key string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	leaf := key[strings.LastIndex(key, ".")+1:]
	for _, name := range []string{key, leaf} {
		sets := regexp.MustCompile(`^[\s\-{,]*["']?` + regexp.QuoteMeta(name) + `["']?\s*[:=]`)
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if sets.MatchString(line) {
				return n
			}
		}
	}
	return 0
}

// keysOf lists the keys of a settings struct, nested ones joined by the delimiter.
func keysOf(t reflect.Type, prefix string) []string {
	var keys []string
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		switch {
		case options == "squash":
			keys = append(keys, keysOf(f.Type, prefix)...)
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(f.Type, prefix+name+delimiter)...)
		default:
			keys = append(keys, prefix+name)
		}
	}
	return keys
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

// relative makes a path of the file relative to the file's folder.
func (l *loader) relative(path string) string {
	if path == "" || filepath.IsAbs(path) || l.file == "" {
		return path
	}
	return filepath.Join(filepath.Dir(l.file), path)
}

// isSet says whether file, environment or flags set a key.
func (l *loader) isSet(key string) bool { return l.v.IsSet(key) }
