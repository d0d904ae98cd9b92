package fpmconf

import (
	"errors"
	"io/fs"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeSystem holds files in memory: names that end in "/" are directories.
func fakeSystem(files map[string]string) system {
	missing := &fs.PathError{Op: "open", Err: syscall.ENOENT}
	return system{
		readFile: func(name string) ([]byte, error) {
			if content, ok := files[name]; ok {
				return []byte(content), nil
			}
			return nil, missing
		},
		readDir: func(name string) ([]string, error) {
			names := []string{".", ".."}
			for file := range files {
				if rest, ok := strings.CutPrefix(file, strings.TrimRight(name, "/")+"/"); ok && rest != "" {
					first, _, _ := strings.Cut(rest, "/")
					names = append(names, first)
				}
			}
			if len(names) == 2 {
				return nil, missing
			}
			slices.Sort(names)
			return slices.Compact(names), nil
		},
		exists:     func(name string) bool { _, ok := files[name]; return ok },
		isDir:      func(name string) bool { _, ok := files[strings.TrimRight(name, "/")+"/"]; return ok },
		appendable: func(string) error { return nil },
		user: func(name string) (*user.User, error) {
			if name == "web" {
				return &user.User{Uid: "12", Gid: "34", Username: "web", HomeDir: "/home/web"}, nil
			}
			return nil, user.UnknownUserError(name)
		},
		userID: func(string) (*user.User, error) { return nil, user.UnknownUserIdError(0) },
		group: func(name string) (*user.Group, error) {
			if name == "staff" {
				return &user.Group{Gid: "56", Name: name}, nil
			}
			return nil, user.UnknownGroupError(name)
		},
	}
}

const goodPool = "[www]\nlisten = 9000\npm = static\npm.max_children = 2\nuser = web\n"

// loadText loads one file for root and returns the messages.
func loadText(text string, o Options) (*Config, []string, error) {
	var said []string
	o.Root = true
	o.Message = func(level Level, text string) { said = append(said, level.String()+": "+text) }
	if o.LookupEnv == nil {
		o.LookupEnv = func(string) (string, bool) { return "", false }
	}
	cfg, err := load("/conf", o, fakeSystem(map[string]string{"/conf": text}))
	return cfg, said, err
}

func TestEveryDirectiveHasItsField(t *testing.T) {
	cfg, said, err := loadText("[global]\nlog_level = debug\nprocess_control_timeout = 2m\nrlimit_core = unlimited\n"+goodPool+
		"pm = ondemand\npm.process_idle_timeout = 1h\nlisten.setfib = 3\napparmor_hat = hat\nenv[A] = 1\nenv[A] = 2\n"+
		"php_value[a] = x\nphp_flag[b] = on\nphp_admin_flag[c] = off\naccess.suppress_path[] = /$pool\n", Options{})
	if err != nil {
		t.Fatal(err, said)
	}
	g, p := cfg.Global, cfg.Pool("www")
	if g.LogLevel != LevelDebug || g.ProcessControlTimeout != 2*time.Minute || g.RlimitCore != Unlimited {
		t.Errorf("global: %+v", g)
	}
	if p.PM != PMOndemand || p.ProcessIdleTimeout != time.Hour || p.ListenSetfib != 3 || p.AppArmorHat != "hat" {
		t.Errorf("pool: %+v", p)
	}
	if want := []EnvValue{{"A", "1"}, {"A", "2"}}; !slices.Equal(p.Env, want) {
		t.Errorf("env: %v, want %v in the order declared", p.Env, want)
	}
	if want := []INIValue{{Name: "a", Value: "x"}, {Name: "b", Value: "1", Flag: true}}; !slices.Equal(p.PHPValues, want) {
		t.Errorf("php_value: %v, want %v", p.PHPValues, want)
	}
	if want := []INIValue{{Name: "c", Value: "0", Flag: true, Admin: true}}; !slices.Equal(p.PHPAdminValues, want) {
		t.Errorf("php_admin_value: %v, want %v", p.PHPAdminValues, want)
	}
	if !slices.Equal(p.AccessSuppressPath, []string{"/www"}) {
		t.Errorf("access.suppress_path: %v", p.AccessSuppressPath)
	}
	if want := (Identity{UID: 12, GID: 34, GroupsOf: "web", User: "web", Home: "/home/web"}); p.Identity != want {
		t.Errorf("identity: %+v, want %+v", p.Identity, want)
	}
}

func TestStatusListenAddsAPool(t *testing.T) {
	cfg, said, err := loadText(goodPool+"pm.status_listen = 9001\nlisten.allowed_clients = 127.0.0.1\n", Options{})
	if err != nil {
		t.Fatal(err, said)
	}
	p := cfg.Pool("www_status")
	if p == nil || p.StatusOf != cfg.Pool("www") || p.Listen != "9001" || p.PM != PMOndemand || p.MaxChildren != 2 ||
		p.StatusPath != "/" || p.ListenAllowedClients != "127.0.0.1" || p.Identity.UID != 12 {
		t.Errorf("status pool: %+v", p)
	}
	if slices.Contains(cfg.Dump(), "[www_status]") {
		t.Error("the status pool is in the dump")
	}
}

func TestPoolNamedAfterItsVariableEnds(t *testing.T) {
	cfg, said, err := loadText(strings.Replace(goodPool, "[www]", "[$pool]", 1)+"access.format = $pool$pool\n", Options{})
	if err != nil {
		t.Fatal(err, said)
	}
	if got := cfg.Pools[0].AccessFormat; got != "$pool$pool" {
		t.Errorf("access.format is %q", got)
	}
}

func TestAccessFormatIsCheckedWhenInUse(t *testing.T) {
	o := Options{CheckAccessFormat: func(string) (string, error) { return "a warning", errors.New("bad") }}
	if _, said, err := loadText(goodPool+"access.format = x\n", o); err != nil {
		t.Errorf("a format without access.log is refused: %v", said)
	}
	_, said, err := loadText(goodPool+"access.format = x\naccess.log = /log\n", o)
	want := []string{
		"WARNING: a warning", "ERROR: [pool www] wrong format for access.format 'x'",
		"ERROR: failed to post process the configuration",
	}
	if err == nil || !slices.Equal(said, want) {
		t.Errorf("error %v, messages %q, want %q", err, said, want)
	}
	if !strings.Contains(err.Error(), "wrong format for access.format") {
		t.Errorf("error is %q", err)
	}
}

func TestConstantsOfTheCallerComeAfterTheBuiltIn(t *testing.T) {
	o := Options{LookupConstant: func(name string) (string, bool) {
		return "1.2.3", name == "PHP_VERSION" || name == "E_ALL"
	}}
	cfg, said, err := loadText(goodPool+"access.format = E_ALL PHP_VERSION OTHER\n", o)
	if err != nil {
		t.Fatal(err, said)
	}
	if got := cfg.Pools[0].AccessFormat; got != "32767 1.2.3 OTHER" {
		t.Errorf("access.format is %q", got)
	}
}

func TestSocketPermissions(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  SocketPermissions
		said  string
	}{
		{"", SocketPermissions{UID: -1, GID: -1, Mode: 0o660}, ""},
		{"listen.mode = 0600x", SocketPermissions{UID: -1, GID: -1, Mode: 0o600}, ""},
		{"listen.mode = x", SocketPermissions{UID: -1, GID: -1}, ""},
		{"listen.owner = web", SocketPermissions{UID: 12, GID: 34, Mode: 0o660}, ""},
		{"listen.owner = 5\nlisten.group = staff", SocketPermissions{UID: 5, GID: 56, Mode: 0o660}, ""},
		{"listen.owner = nosuch", SocketPermissions{}, "ERROR: [pool www] cannot get uid for user 'nosuch': Success (0)"},
		{
			"listen.acl_users = web\nlisten.acl_groups = staff\nlisten.owner = web",
			SocketPermissions{UID: -1, GID: -1, Mode: 0o660, ACLUsers: []int{12}, ACLGroups: []int{56}},
			"WARNING: [pool www] ACL set, listen.owner = 'web' is ignored",
		},
		{"listen.acl_users = web,", SocketPermissions{}, "ERROR: [pool www] cannot get uid for user '': Success (0)"},
	} {
		t.Run(strings.ReplaceAll(c.lines, "\n", ";"), func(t *testing.T) {
			cfg, said, err := loadText(goodPool+c.lines+"\n", Options{})
			if err != nil {
				t.Fatal(err, said)
			}
			said = nil
			got, err := cfg.Pools[0].socketPermissions(&loader{
				level: LevelNotice, sys: fakeSystem(nil),
				o: Options{Message: func(level Level, text string) { said = append(said, level.String()+": "+text) }},
			})
			if (err != nil) != strings.HasPrefix(c.said, "ERROR") || strings.Join(said, "\n") != c.said {
				t.Errorf("error %v, messages %q, want %q", err, said, c.said)
			}
			if got.UID != c.want.UID || got.GID != c.want.GID || got.Mode != c.want.Mode ||
				!slices.Equal(got.ACLUsers, c.want.ACLUsers) || !slices.Equal(got.ACLGroups, c.want.ACLGroups) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestFnmatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a", true},
		{"*", ".a", false},
		{".*", ".a", true},
		{"*.conf", "a.conf", true},
		{"*.conf", "a.conf~", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXcYb", false},
		{"?", "", false},
		{"?", ".", false},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{"[a-c]", "b", true},
		{"[!a-c]", "b", false},
		{"[^a-c]", "d", true},
		{"[]]", "]", true},
		{"[a", "[a", true},
		{"[a-]", "-", true},
		{"[[:digit:]x]", "7", true},
		{"[[:digit:]x]", "y", false},
		{"a**", "a", true},
		{"", "", true},
		{"", "a", false},
	} {
		if got := fnmatch(c.pattern, c.name); got != c.want {
			t.Errorf("fnmatch(%q, %q) is %v", c.pattern, c.name, got)
		}
	}
}

func TestAtoiIsTheCLibrarys(t *testing.T) {
	for s, want := range map[string]int32{
		"": 0, "-": 0, "5": 5, " \t5x": 5, "+7": 7, "-7": -7, "2147483648": -2147483648, "99999999999": 1215752191,
		"9223372036854775807": -1, "9223372036854775808": -1, "-9223372036854775808": 0, "-99999999999999999999": 0,
	} {
		if got := atoi(s); got != want {
			t.Errorf("atoi(%q) is %d, want %d", s, got, want)
		}
	}
}

// FuzzLoad reads arbitrary files, which include one another, from memory: nothing on the machine is touched.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		goodPool, "include = /*.conf\n", "include = /[a-\\\n", "[${A}$pool]\nuser = \"${B}\\\"\n", "a = 'x", "x = ((~!1|E_ALL)&'2')\n",
		"[a]\nphp_value[ x ] = $\\\"\n", "\xef\xbb\xbf[g\\]]\n", "a\r[b]\rinclude=/b.conf\rc[d]=e", "x = $\n", "a\x00b\n[\x00",
	} {
		f.Add(seed, goodPool)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		errors := 0
		o := Options{
			Root: true, DefaultPrefix: "/", Message: func(level Level, _ string) {
				if level >= LevelError || level == LevelPlain {
					errors++
				}
			},
			LookupEnv: func(name string) (string, bool) { return "[" + name + "]", name != "" },
		}
		files := map[string]string{"/a.conf": a, "/b.conf": b, "/": ""}
		sys := fakeSystem(files)
		read := sys.readFile
		sys.readFile = func(name string) ([]byte, error) {
			if _, ok := files[name]; !ok && filepath.Clean(name) == "/a.conf" {
				t.Errorf("the file is read by the name %q", name)
			}
			return read(name)
		}
		cfg, err := load("/a.conf", o, sys)
		switch {
		case err == nil && len(cfg.Dump()) < 60:
			t.Errorf("the dump has %d lines", len(cfg.Dump()))
		case err != nil && err.Error() == "":
			t.Error("an error without text")
		case err != nil && errors == 0 && !strings.Contains(strings.ToLower(a+b), "log_level"):
			t.Error("an error without a message")
		}
	})
}
