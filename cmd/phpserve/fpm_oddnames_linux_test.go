package main

import (
	"os"
	"strings"
	"testing"
)

// oddNames are folders whose names mean something to a parser of ini files or to a shell.
var oddNames = []string{"a b", "a;b", "a]b", "[ab]", "it's", `q"x`, "$x", "${PATH}", "a=b", "#a", "~a", "(a)", "a|b&c", "a!", "a%41", "ünï"}

// oddPool tells whether what the operator enforces holds, and whether phpserve's functions are there.
const oddPool = `<?php echo ini_get('memory_limit'), ' ', var_export(@ini_set('memory_limit', '12M'), true), ' ', ini_get('user_agent'), ' ',
	function_exists('fastcgi_finish_request') ? 'finish' : 'no functions';`

// What a pool enforces holds, and phpserve's scripts run undisturbed, whatever the folder for temporary files is called.
func TestFPMRunsBelowTemporaryFoldersOfAnyName(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		for _, name := range oddNames {
			s := newSide(t, "phpserve", poolWith("php_admin_value[memory_limit] = 77M", "php_value[auto_prepend_file] = DIR/before.php", `php_value[user_agent] = "${OF_THE_MASTER}"`),
				map[string]string{"s.php": oddPool, "before.php": "<?php echo 'before ';", "t/" + name + "/here": ""})
			s.engine, s.env = engine, []string{"TMPDIR=" + s.dir + "/t/" + name, "XDG_RUNTIME_DIR="}
			s.start()
			for range 2 {
				if got, want := s.ask("www.sock", nil, ""), "before 77M false seen finish\n"; !strings.Contains(got, want) {
					t.Errorf("TMPDIR %q: got %q, want %q\n%s", name, got, want, s.out)
				}
			}
			left := s.file("t/" + name + "/here")
			s.end()
			if entries, err := os.ReadDir(s.dir + "/t/" + name); left != "" || err != nil || len(entries) != 1 {
				t.Errorf("TMPDIR %q: left %v, %v", name, entries, err)
			}
		}
	})
}

// PHP takes a list of folders where it looks for ini files: one whose name holds the separator cannot be among them, and is refused.
func TestFPMRefusesATemporaryFolderThatPHPCannotFind(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", poolWith(), map[string]string{"a:b/here": ""})
		s.engine, s.env = engine, []string{"TMPDIR=" + s.dir + "/a:b", "XDG_RUNTIME_DIR="}
		s.launch("-F", "-O", "-y", s.conf)
		if err := <-s.done; err == nil || !strings.Contains(s.out.String(), "set TMPDIR to another folder") {
			t.Errorf("%v\n%s", err, s.out)
		}
	})
}

// The same holds in chroots of any name.
func TestFPMRunsInChrootsOfAnyName(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone may chroot(2)")
	}
	for _, name := range oddNames {
		quoted := `"DIR/` + strings.NewReplacer(`"`, `\"`, "$", `\$`).Replace(name) + `"`
		s := newSide(t, "phpserve", poolWith("chroot = "+quoted, "chdir = /", "php_admin_value[memory_limit] = 77M"), map[string]string{name + "/s.php": oddPool})
		s.start()
		if got, want := s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "/s.php"}, ""), "77M false  finish\n"; !strings.Contains(got, want) {
			t.Errorf("chroot %q: got %q, want %q\n%s", name, got, want, s.out)
		}
		s.end()
	}
}

// And in pools of any name that php-fpm takes.
func TestFPMRunsPoolsOfAnyName(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		served := 0
		for _, name := range []string{"a b", "a;b", "it's", "$x", "${PATH}", "a=b", "#a", "~a", "(a)", "a|b&c", "a!", "a%41", "ünï", "../x", "a/b", strings.Repeat("n", 300)} {
			config := strings.Replace(poolWith("php_admin_value[memory_limit] = 77M"), "[www]", "["+name+"]", 1)
			s := newSide(t, "phpserve", config, map[string]string{"s.php": oddPool})
			s.engine = engine
			if fpm := newSide(t, "php-fpm", config, nil); fpm.run("-t", "-y", fpm.conf) != 0 {
				if code := s.run("-t", "-y", s.conf); code == 0 {
					t.Errorf("pool %q, which php-fpm refuses, is taken", name)
				}
				continue
			}
			served++
			s.start()
			if got, want := s.ask("www.sock", nil, ""), "77M false  finish\n"; !strings.Contains(got, want) {
				t.Errorf("pool %q: got %q, want %q\n%s", name, got, want, s.out)
			}
			s.end()
		}
		if served < 8 {
			t.Errorf("only %d names are those of pools", served)
		}
	})
}

// Where the pool's group is not that of its user, PHP reads phpserve's scripts by that group; where it starts as root, too.
func TestFPMFunctionsAreThereWithAnotherGroup(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone may choose a group")
	}
	for name, directives := range map[string][]string{
		"chroot": {"chroot = DIR"}, "not dumpable": {"process.dumpable = no"}, "dumpable": {"process.dumpable = yes"},
	} {
		for _, ids := range []string{"user = www-data\ngroup = daemon\n", "user = www-data\ngroup = 54321\n", "user = 54321\ngroup = daemon\n", "user = nobody\n"} {
			for _, engine := range []string{"", "spawn"} {
				if engine == "spawn" && name != "dumpable" {
					continue // it starts no PHP as root
				}
				config := strings.Replace(poolWith(append(directives, "php_admin_value[memory_limit] = 77M")...), "USER\n", ids+"listen.mode = 0666\n", 1)
				s := newSide(t, "phpserve", config, map[string]string{"s.php": oddPool})
				s.engine = engine
				s.start()
				script := "DIR/s.php"
				if name == "chroot" {
					script = "/s.php"
				}
				if got, want := s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": script}, ""), "77M false  finish\n"; !strings.Contains(got, want) {
					t.Errorf("%s %s, %q: got %q, want %q\n%s", name, engine, ids, got, want, s.out)
				}
				s.end()
			}
		}
	}
}
