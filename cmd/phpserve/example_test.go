package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
	"github.com/spf13/pflag"
)

// loadFile reads a configuration file as a command without flags would.
func loadFile(t *testing.T, file string) (settings, *loader) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(flags)
	if err := flags.Parse([]string{"--config", file}); err != nil {
		t.Fatal(err)
	}
	s, l, err := load(flags, nil)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s, l
}

func TestExampleHoldsEveryKeyWithItsDefault(t *testing.T) {
	file := filepath.Join(repository(t), "docs", "phpserve.example.yaml")
	got, l := loadFile(t, file)
	for _, key := range keysOf(reflect.TypeFor[settings](), "") {
		if !l.isSet(key) {
			t.Errorf("%s is not in the example", strings.ReplaceAll(key, delimiter, "."))
		}
	}
	want := defaultSettings()
	// The one default that depends on the machine: the example says that it has that of two processors.
	if children := manager.DefaultPoolConfig(2).MaxChildren; got.Pool.MaxChildren != children {
		t.Errorf("pm.max_children is %d in the example, %d for two processors", got.Pool.MaxChildren, children)
	}
	got.Pool.MaxChildren = want.Pool.MaxChildren
	compareSettings(t, reflect.ValueOf(got), reflect.ValueOf(want))

	// Every key is explained: a comment stands above it, or above the keys right before it.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	explained := false
	for n, line := range strings.Split(string(text), "\n") {
		switch key := regexp.MustCompile(`^\s*[a-z_.]+:`).FindString(line); {
		case strings.HasPrefix(strings.TrimSpace(line), "#"):
			explained = true
		case key != "" && key != "tls:" && !explained:
			t.Errorf("%s:%d: %s is not explained", file, n+1, key)
		case line == "" || strings.HasPrefix(line, "  ") && key != "":
			explained = false
		}
	}
}

// compareSettings reports each field that differs by its key.
func compareSettings(t *testing.T, got, want reflect.Value) {
	t.Helper()
	for i := range got.NumField() {
		g, w, f := got.Field(i), want.Field(i), got.Type().Field(i)
		switch {
		case f.Type.Kind() == reflect.Struct:
			compareSettings(t, g, w)
		case f.Type.Kind() == reflect.Slice && g.Len() == 0 && w.Len() == 0:
		case !reflect.DeepEqual(g.Interface(), w.Interface()):
			t.Errorf("%s is %v, the default is %v", f.Tag.Get("mapstructure"), g, w)
		}
	}
}

// A site's own lists must not be written into the memory of those that it would inherit.
func TestSitesInheritWhatTheyDoNotSet(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/index.php": "", "b/start.php": "", "phpserve.yaml": `root: a
index: [index.php, index.html]
deny: ["@default", "*.a"]
cgi: rfc3875
sites:
  - root: b
    hosts: [b.test]
    index: [start.php]
    deny: ["*.b"]
    max_body_size: 1M
`} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, l := loadFile(t, filepath.Join(dir, "phpserve.yaml"))
	s.Site.Root = filepath.Join(dir, s.Site.Root)
	p := &plan{}
	if err := p.addSites(&s, s.Site, l); err != nil {
		t.Fatal(err)
	}
	a, b := p.config.Sites[0], p.config.Sites[1]
	if !reflect.DeepEqual(a.Index, []string{"index.php", "index.html"}) || !reflect.DeepEqual(b.Index, []string{"start.php"}) {
		t.Errorf("index: %q and %q", a.Index, b.Index)
	}
	if !reflect.DeepEqual(a.Deny, []string{"@default", "*.a"}) || !reflect.DeepEqual(b.Deny, []string{"*.b"}) {
		t.Errorf("deny: %q and %q", a.Deny, b.Deny)
	}
	if b.CGI != "rfc3875" || b.MaxBodySize != 1<<20 || a.MaxBodySize != 128<<20 || len(a.Hosts) != 0 {
		t.Errorf("sites: %+v and %+v", a, b)
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "5": "5s", "90": "90s", "120": "2m", "250ms": "250ms", "1000ms": "1s", "3h": "3h", "48h": "2d", "7d": "7d",
		"": "!", "-1": "!", "1.5s": "!", "5 s": "!", "s": "!", "1w": "!", "106752d": "!", "9223372036854775808": "!", "5S": "!",
	} {
		var d duration
		if err := d.UnmarshalText([]byte(text)); (err != nil) != (want == "!") || err == nil && d.String() != want {
			t.Errorf("time %q is %v, %v, not %s", text, d, err, want)
		}
	}
	for text, want := range map[string]string{
		"0": "0", "1": "1", "1023": "1023", "1024": "1K", "8k": "8K", "2048K": "2M", "1G": "1G", "1536M": "1536M",
		"": "!", "-1": "!", "1.5M": "!", "1MB": "!", "K": "!", "8589934592G": "!", "1T": "!",
	} {
		var s size
		if err := s.UnmarshalText([]byte(text)); (err != nil) != (want == "!") || err == nil && s.String() != want {
			t.Errorf("size %q is %v, %v, not %s", text, s, err, want)
		}
	}
	for text, want := range map[string]string{"0": "0", "unlimited": "unlimited", "4M": "4M", "-1": "!", "Unlimited": "!", "": "!"} {
		var c coreSize
		if err := c.UnmarshalText([]byte(text)); (err != nil) != (want == "!") || err == nil && c.String() != want {
			t.Errorf("core size %q is %v, %v, not %s", text, c, err, want)
		}
	}
	for text, want := range map[string]int{"5": 5, "-19": -19, "0": 0} {
		var p priority
		if err := p.UnmarshalText([]byte(text)); err != nil || p.nice() == nil || *p.nice() != want {
			t.Errorf("priority %q is %v, %v", text, p, err)
		}
	}
	for text, bad := range map[string]bool{"": false, "high": true, "1.5": true} {
		var p priority
		if err := p.UnmarshalText([]byte(text)); (err != nil) != bad || p.nice() != nil {
			t.Errorf("priority %q is %v, %v", text, p, err)
		}
	}
}

var fence = regexp.MustCompile("(?s)```(yaml|toml)\n(.*?)```")

// What the guides print can be loaded: no key has another name there.
func TestGuidesPrintKeysThatExist(t *testing.T) {
	for _, guide := range []string{"configuration.md", "deployment.md"} {
		text, err := os.ReadFile(filepath.Join(repository(t), "docs", guide))
		if err != nil {
			t.Fatal(err)
		}
		examples := fence.FindAllStringSubmatch(string(text), -1)
		if len(examples) == 0 {
			t.Errorf("%s has no examples", guide)
		}
		for _, m := range examples {
			file := filepath.Join(t.TempDir(), "example."+m[1])
			if err := os.WriteFile(file, []byte(m[2]), 0o644); err != nil {
				t.Fatal(err)
			}
			s, l := loadFile(t, file)
			for i, entry := range s.Sites {
				site := s.Site
				if err := l.decode(entry.(map[string]any), &site, "sites[0]."); err != nil {
					t.Errorf("%s: site %d: %v", guide, i, err)
				}
			}
		}
	}
}
