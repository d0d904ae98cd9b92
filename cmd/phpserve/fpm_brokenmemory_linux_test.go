package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// phpProcess is a php-cgi that belongs to a phpserve.
type phpProcess struct {
	pid    int
	user   []string // the real, effective, saved and file system user
	can    string   // its effective capabilities
	shared []string // the inodes of the memory that it shares
}

// isRoot says whether it may do what root may.
func (p phpProcess) isRoot() bool {
	return slices.Contains(p.user, "0") || p.can != "0000000000000000"
}

// phpProcesses are all php-cgi that descend from a process.
func phpProcesses(t *testing.T, of int) (found []phpProcess) {
	t.Helper()
	for _, pid := range descendants(of) {
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || !strings.Contains(program, "php-cgi") {
			continue // it has ended
		}
		p := phpProcess{pid: pid}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(line, ":")
			switch name {
			case "Uid":
				p.user = strings.Fields(value)
			case "CapEff":
				p.can = strings.TrimSpace(value)
			}
		}
		for _, m := range sharedMemory(t, pid) {
			p.shared = append(p.shared, m.inode)
		}
		found = append(found, p)
	}
	return found
}

// mapping is a part of memory that processes share and may write to.
type mapping struct{ from, to, inode string }

func sharedMemory(t *testing.T, pid int) (found []mapping) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil // it has ended
	}
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line) // FROM-TO PERMISSIONS OFFSET DEVICE INODE NAME
		if strings.HasPrefix(fields[1], "rw") && strings.HasSuffix(fields[1], "s") {
			from, to, _ := strings.Cut(fields[0], "-")
			found = append(found, mapping{from, to, fields[4]})
		}
	}
	return found
}

// A script with FFI, as with any bug of PHP's memory, writes over all that its pool's processes share. In the pools whose PHP starts as
// root, no process of root has that memory, before and after, and the pool heals.
func TestFPMNoProcessOfRootSharesMemoryWithWorkers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // then PHP never has root
	}
	for name, directives := range map[string][]string{
		"chroot":       {"chroot = DIR", "chdir = /"},
		"not dumpable": {"process.dumpable = no"},
		"both":         {"chroot = DIR", "process.dumpable = no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := poolWith(append(directives, "php_admin_value[ffi.enable] = 1", "php_admin_value[opcache.jit_buffer_size] = 0", "php_admin_value[opcache.protect_memory] = 0")...)
			s := newSide(t, "phpserve", strings.Replace(config, "pm.max_children = 1\n", "pm.max_children = 2\n", 1), map[string]string{
				"ok.php": `<?php echo posix_getuid() > 0 ? 'served by no root' : 'served by root';`,
				"break.php": `<?php $c = FFI::cdef('void *memset(size_t where, int byte, size_t n);');
					file_put_contents($_SERVER['DOCUMENT_ROOT'] . '/broken', 'it writes');
					foreach (explode(' ', $_SERVER['MEMORY']) as $part) {
						[$from, $to] = array_map('hexdec', explode('-', $part));
						$c->memset($from, 255, $to - $from);
					}`,
			})
			s.start()
			at := func(script, memory string) map[string]string {
				root := s.dir
				if strings.Contains(config, "chroot") {
					root = ""
				}
				return map[string]string{"SCRIPT_FILENAME": root + script, "SCRIPT_NAME": script, "DOCUMENT_ROOT": root, "MEMORY": memory}
			}
			serves := func() bool { return strings.Contains(s.ask("www.sock", at("/ok.php", ""), ""), "served by no root") }
			if !serves() {
				t.Fatalf("it does not serve:\n%s", s.out)
			}
			before := phpProcesses(t, s.cmd.Process.Pid)
			var shared []string // the memory that workers can write to
			var where []string
			for _, p := range before {
				if p.isRoot() {
					t.Errorf("before, process %d has users %v and capabilities %s", p.pid, p.user, p.can)
				}
				shared = append(shared, p.shared...)
			}
			for _, m := range sharedMemory(t, before[0].pid) {
				where = append(where, m.from+"-"+m.to)
			}
			if len(before) < 2 || len(where) == 0 {
				t.Fatalf("there is no zygote with a worker and shared memory: %v, %v", before, where)
			}
			// Both workers, and whatever comes after them, meet what is broken.
			s.ask("www.sock", at("/break.php", strings.Join(where, " ")), "")
			if said := s.file("broken"); said != "it writes" {
				t.Fatalf("nothing was broken: %s\n%s", said, s.out)
			}
			eventually(t, "the pool serves again", func() bool {
				for _, p := range phpProcesses(t, s.cmd.Process.Pid) {
					if p.isRoot() && slices.ContainsFunc(p.shared, func(inode string) bool { return slices.Contains(shared, inode) }) {
						t.Errorf("process %d has users %v, capabilities %s and the broken memory", p.pid, p.user, p.can)
					}
				}
				return serves()
			})
			eventually(t, "no php-cgi has root and none the broken memory", func() bool {
				after := phpProcesses(t, s.cmd.Process.Pid)
				return len(after) > 1 && !slices.ContainsFunc(after, func(p phpProcess) bool {
					return p.isRoot() || slices.ContainsFunc(p.shared, func(inode string) bool { return slices.Contains(shared, inode) })
				})
			})
			if !serves() {
				t.Errorf("it does not serve any more:\n%s", s.out)
			}
		})
	}
}
