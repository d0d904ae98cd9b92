package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestFPMUpgrade replaces the program of a phpserve fpm that runs, by another version or by what cannot take its place.
func TestFPMUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	versions := programs{t: t, dir: dir}
	for _, version := range []string{"1.0", "2.0"} {
		build := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", versions.of(version), ".")
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	for name, test := range map[string]func(*testing.T, programs){
		"loses no request":      upgradeLosesNoRequest,
		"nobody waits":          upgradeNobodyWaits,
		"refuses a bad program": upgradeRefusesABadProgram,
		"in the background":     upgradeInTheBackground,
		"killed on the way":     upgradeKilledOnTheWay,
		"killed at last":        upgradeKilledAtLast,
		"ended on the way":      upgradeEndedOnTheWay,
		"fails at last":         upgradeFailsAtLast,
		"from php-fpm":          upgradeFromPHPFPM,
		"leaves PHP as it was":  upgradeLeavesPHPAsItWas,
		"addresses come and go": upgradeWithOtherAddresses,
		"by the control socket": upgradeByTheControlSocket,
		"tells systemd":         upgradeTellsSystemd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, programs{t: t, dir: dir})
		})
	}
}

// programs are two versions of phpserve.
type programs struct {
	t   *testing.T
	dir string
}

func (p programs) of(version string) string { return filepath.Join(p.dir, "phpserve-"+version) }

// install puts a version, or another program, in the place of what a side runs, as package managers do.
func (p programs) install(s *side, source string) {
	p.t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		p.t.Fatal(err)
	}
	p.installText(s, text, 0o755)
}

func (p programs) installText(s *side, text []byte, mode os.FileMode) {
	p.t.Helper()
	if s.program == "" {
		s.program = filepath.Join(openFolder(p.t, "phpserve-program-"), "phpserve") // the side's own is for everybody to write
	}
	syscall.ForkLock.RLock() // as for writeProgram
	err := os.WriteFile(s.program+".new", text, mode)
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = os.Chmod(s.program+".new", mode) // whatever umask says
	}
	if err == nil {
		err = os.Rename(s.program+".new", s.program)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// start runs the first version.
func (p programs) start(config string, files map[string]string, args ...string) *side {
	p.t.Helper()
	s := newSide(p.t, "phpserve", config, files)
	p.install(s, p.of("1.0"))
	s.start(args...)
	return s
}

// versionOf asks a process for its own version.
func versionOf(t *testing.T, pid int) string {
	t.Helper()
	var status controlStatus
	eventually(t, "the control socket answers", func() bool {
		code, out, _ := phpserve(t, "status", "--json", "--control="+controlOf(t, pid))
		return code == 0 && json.Unmarshal([]byte(out), &status) == nil
	})
	if status.PID != pid {
		t.Errorf("status is of %d, not of %d", status.PID, pid)
	}
	return status.Version
}

// children are the processes whose parent is pid.
func children(pid int) (found []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// descendants are the children, theirs, and so on.
func descendants(pid int) []int {
	found := children(pid)
	for _, child := range children(pid) {
		found = append(found, descendants(child)...)
	}
	return found
}

// expectGone waits until none of the processes is there.
func expectGone(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) == 0 {
		t.Error("there were no processes")
	}
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(text), ") Z ")
		})
	}
}

// onePool is a pool for upgrades.
func onePool(name, listen string, more ...string) string {
	return "[" + name + "]\nUSER\nlisten = " + listen + "\npm = static\npm.max_children = 3\n" + strings.Join(more, "\n") + "\n"
}

// upgradeLosesNoRequest goes from one version to the other and back while clients ask without a pause on both kinds of sockets, and
// a load balancer asks whether phpserve is ready.
func upgradeLosesNoRequest(t *testing.T, p programs) {
	port, admin := freeAddress(t, "127.0.0.1"), freeAddress(t, "127.0.0.1")
	s := p.start("[global]\nerror_log = DIR/error.log\nprocess_control_timeout = 1d\n"+onePool("www", "DIR/www.sock")+onePool("tcp", port, "pm = ondemand"),
		map[string]string{"s.php": `<?php echo "served";`, "slow.php": `<?php usleep(300000); echo "served";`}, "--admin", admin)
	pid := s.cmd.Process.Pid
	var asked, wrong atomic.Int64
	var clients sync.WaitGroup
	done := make(chan struct{})
	for c := range 8 {
		socket, params := []string{"www.sock", port}[c%2], map[string]string{}
		if c < 2 {
			params["SCRIPT_FILENAME"] = "DIR/slow.php"
		}
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				asked.Add(1)
				if answer := s.ask(socket, params, ""); !strings.Contains(answer, "\r\n\r\nserved") || strings.HasPrefix(answer, "Status:") {
					wrong.Add(1)
					t.Errorf("got %s", answer)
				}
			}
		})
	}
	clients.Go(func() { isAlwaysReady(t, admin, done) })
	for i, want := range []string{"2.0", "1.0", "2.0"} {
		p.install(s, p.of(want))
		s.reload(i+2, "fpm is running, pid")
		s.waitForTimes("ready to handle connections", i+2)
		if got := versionOf(t, pid); got != want {
			t.Errorf("upgrade %d: version %s, not %s", i+1, got, want)
		}
	}
	eventually(t, "there were enough requests", func() bool { return asked.Load() >= 100 })
	close(done)
	clients.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d of %d requests were lost", wrong.Load(), asked.Load())
	}
	t.Logf("%d requests through 3 upgrades", asked.Load())
	if out := s.out.String(); strings.Count(out, "using inherited socket fd=") != 9 {
		t.Errorf("it does not say which sockets it inherits\n%s", out)
	}
	eventually(t, "the stand-in is gone", func() bool { return len(phpserves(descendants(pid))) == 0 })
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if exists(filepath.Join(s.dir, "www.sock")) {
		t.Error("the socket is still there")
	}
}

// isAlwaysReady asks the admin listener, each time anew, until done is closed.
func isAlwaysReady(t *testing.T, admin string, done <-chan struct{}) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
		resp, err := client.Get("http://" + admin + "/readyz")
		if err != nil {
			t.Errorf("readyz: %v", err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("readyz: %s", resp.Status)
		}
	}
}

// phpserves are those of the processes that are phpserve itself.
func phpserves(pids []int) (found []int) {
	for _, pid := range pids {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.HasPrefix(string(name), "phpserve") {
			found = append(found, pid)
		}
	}
	return found
}

// heldScript runs until the file go is there.
const heldScript = `<?php touch('DIR/runs'); while (!file_exists('DIR/go')) { usleep(1000); clearstatcache(); } echo "finished";`

// hold begins an upgrade while a request runs, and returns when the stand-in serves. release has the request finish.
func hold(t *testing.T, p programs) (s *side, answer <-chan string, release func()) {
	s = p.start("[global]\nerror_log = DIR/error.log\npid = DIR/pid\nprocess_control_timeout = 1d\n"+onePool("www", "DIR/www.sock"),
		map[string]string{"held.php": heldScript, "s.php": `<?php echo "served";`})
	answers := make(chan string, 1)
	go func() { answers <- s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/held.php"}, "") }()
	eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "runs")) })
	p.install(s, p.of("2.0"))
	s.reload(1, "upgrade: phpserve 2.0 serves")
	return s, answers, func() {
		if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// upgradeNobodyWaits: what comes while a request of the old program runs is answered, and that one finishes.
func upgradeNobodyWaits(t *testing.T, p programs) {
	s, held, release := hold(t, p)
	for range 20 {
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "served") {
			t.Errorf("meanwhile: %s", answer)
		}
	}
	if strings.Contains(s.out.String(), "reloading: execvp") {
		t.Errorf("the request runs, but the process has gone on\n%s", s.out)
	}
	release()
	if answer := <-held; !strings.Contains(answer, "finished") {
		t.Errorf("got %s", answer)
	}
	s.waitForTimes("ready to handle connections", 2)
	if got := versionOf(t, s.cmd.Process.Pid); got != "2.0" {
		t.Errorf("version %s", got)
	}
	s.stop(syscall.SIGTERM)
}

// upgradeRefusesABadProgram: the old one goes on, with the same workers, and says why.
func upgradeRefusesABadProgram(t *testing.T, p programs) {
	good := "[global]\nerror_log = DIR/error.log\n" + onePool("www", "DIR/www.sock", "pm.max_children = 1")
	s := p.start(good, nil)
	worker := s.pid("www.sock")
	foreign, err := os.ReadFile(p.of("2.0"))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(foreign)
	const machine, nobodys = 18, 0xfe // e_machine of elf(5)
	foreign[machine] = nobodys
	type badProgram struct {
		name, program, why string
		mode               os.FileMode
		config             string
	}
	bad := []badProgram{
		{"it fails", "#!/bin/sh\necho it is broken >&2\nexit 1\n", "exit status 1: it is broken", 0o755, good},
		{"it is not executable", "#!/bin/sh\n", "permission denied", 0o644, good},
		{"it is for another machine", string(foreign), "exec format error", 0o755, good},
		{"it ends at once", "#!/bin/sh\ncase \"$*\" in *-t) exit 0;; esac\nexit 3\n", "ended before it served: exit status 3", 0o755, good},
		{"it is not whole", whole[:4096], " -t: ", 0o755, good},
		{"it is empty", "", "exec format error", 0o755, good},
		{"bad configuration", "", "unknown entry 'nonsense'", 0o755, good + "nonsense = 1\n"},
	}
	if os.Geteuid() == 0 {
		bad = append(bad, badProgram{"others can write it", "#!/bin/sh\nexit 0\n", "root does not execute it", 0o777, good},
			badProgram{"others can put another there", "#!/bin/sh\nexit 0\n", "root does not execute it", 0o755, good})
	}
	for i, tt := range bad {
		if tt.name == "others can put another there" {
			if err := os.Chmod(filepath.Dir(s.program), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if tt.name == "bad configuration" {
			p.install(s, p.of("2.0"))
		} else {
			p.installText(s, []byte(tt.program), tt.mode)
		}
		s.rewrite(tt.config)
		s.reload(i+1, "upgrade failed, the old binary goes on: ")
		if _, why, _ := strings.Cut(s.out.String(), "upgrade failed"); !strings.Contains(why, tt.why) {
			t.Errorf("%s: it does not say %q\n%s", tt.name, tt.why, s.out)
		}
		if now := s.pid("www.sock"); now != worker {
			t.Errorf("%s: worker %s, then %s", tt.name, worker, now)
		}
	}
	if err := os.Chmod(filepath.Dir(s.program), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := versionOf(t, s.cmd.Process.Pid); got != "1.0" {
		t.Errorf("version %s", got)
	}
	s.rewrite(good)
	if err := os.Remove(s.program); err != nil {
		t.Fatal(err)
	}
	s.reload(2, "ready to handle connections")
	if now := s.pid("www.sock"); now != worker { // no program at all is not another
		t.Errorf("without a program: worker %s, then %s", worker, now)
	}
	p.install(s, p.of("2.0"))
	s.reload(3, "ready to handle connections")
	if got := versionOf(t, s.cmd.Process.Pid); got != "2.0" {
		t.Errorf("version %s after the good one", got)
	}
	s.stop(syscall.SIGTERM)
}

// upgradeInTheBackground keeps the process and its pid file; logs are opened anew as ever.
func upgradeInTheBackground(t *testing.T, p programs) {
	s := newSide(t, "phpserve", "[global]\nerror_log = DIR/error.log\npid = DIR/pid\n"+onePool("www", "DIR/www.sock"), map[string]string{"s.php": `<?php echo "served";`})
	p.install(s, p.of("1.0"))
	process := s.startInBackground()
	signal := func(sig syscall.Signal) {
		if err := process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	p.install(s, p.of("2.0"))
	signal(syscall.SIGUSR2)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.file("error.log"))
		}
	})
	eventually(t, "the new program serves", func() bool { return strings.Count(s.file("error.log"), "ready to handle connections") == 2 })
	if got := versionOf(t, process.Pid); got != "2.0" || s.file("pid") != strconv.Itoa(process.Pid) {
		t.Errorf("version %s, pid file %s, not %d", got, s.file("pid"), process.Pid)
	}
	if err := os.Rename(filepath.Join(s.dir, "error.log"), filepath.Join(s.dir, "error.log.1")); err != nil {
		t.Fatal(err)
	}
	signal(syscall.SIGUSR1)
	eventually(t, "the log is opened anew", func() bool { return strings.Contains(s.file("error.log"), "error log file re-opened") })
	if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "served") {
		t.Errorf("got %s", answer)
	}
	left := descendants(process.Pid)
	signal(syscall.SIGTERM)
	eventually(t, "it ends", func() bool { return !exists(filepath.Join(s.dir, "pid")) })
	expectGone(t, left)
}

// upgradeKilledOnTheWay: neither the stand-in nor any worker outlives the process.
func upgradeKilledOnTheWay(t *testing.T, p programs) {
	s, held, _ := hold(t, p)
	all := descendants(s.cmd.Process.Pid)
	if len(phpserves(all)) != 1 {
		t.Fatalf("there is no stand-in: %v\n%s", all, s.out)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-held
	expectGone(t, all)
}

// upgradeKilledAtLast kills the process when it executes the new program already, and its own pools are not ready yet.
func upgradeKilledAtLast(t *testing.T, p programs) {
	s := p.start("[global]\nerror_log = DIR/error.log\n"+onePool("www", "DIR/www.sock", "env[UPGRADE_OF] = DIR"), nil)
	p.install(s, p.of("2.0"))
	if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.waitFor("using inherited socket fd=")
	all := descendants(s.cmd.Process.Pid)
	if len(phpWith(t, s.dir)) == 0 {
		t.Error("no PHP runs")
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
	expectGone(t, all)
	eventually(t, "no PHP of it runs", func() bool { return len(phpWith(t, s.dir)) == 0 }) // also none that was started since
}

// phpWith finds the PHP processes whose environment names the folder.
func phpWith(t *testing.T, dir string) (pids []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		if env, err := os.ReadFile(file); err == nil && strings.Contains(string(env), "UPGRADE_OF="+dir+"\x00") { // else it has ended
			pids = append(pids, file)
		}
	}
	return pids
}

// upgradeFailsAtLast: a program that stands in but then does not serve in the old one's process ends that, for a supervisor to see, and
// nothing is left behind.
func upgradeFailsAtLast(t *testing.T, p programs) {
	// While the request runs, the old program is there.
	s := p.start("[global]\nerror_log = DIR/error.log\nprocess_control_timeout = 1d\n"+onePool("www", "DIR/www.sock"), map[string]string{"held.php": heldScript})
	held := make(chan string, 1)
	go func() { held <- s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/held.php"}, "") }()
	eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "runs")) })
	p.installText(s, []byte("#!/bin/sh\ncase \"$PHPSERVE_FPM_UPGRADE\" in next*) exit 9;; esac\nexec "+p.of("2.0")+" \"$@\"\n"), 0o755)
	if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.waitFor("upgrade: phpserve 2.0 serves")
	all := descendants(s.cmd.Process.Pid)
	s.write("go", "")
	if answer := <-held; !strings.Contains(answer, "finished") {
		t.Errorf("got %s", answer)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
	expectGone(t, all)
	p.install(s, p.of("1.0"))
	s.start()
	s.stop(syscall.SIGTERM)
}

// upgradeEndedOnTheWay: requests finish, and all is gone.
func upgradeEndedOnTheWay(t *testing.T, p programs) {
	s, held, release := hold(t, p)
	all := descendants(s.cmd.Process.Pid)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.waitFor("Terminating ...")
	release()
	if answer := <-held; !strings.Contains(answer, "finished") {
		t.Errorf("got %s", answer)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
	expectGone(t, all)
	for _, name := range []string{"www.sock", "pid"} {
		if exists(filepath.Join(s.dir, name)) {
			t.Errorf("%s is still there", name)
		}
	}
}

// upgradeFromPHPFPM has php-fpm itself, called by a link, become phpserve; then the link leads to another version.
func upgradeFromPHPFPM(t *testing.T, p programs) {
	s := newSide(t, "php-fpm", "[global]\nerror_log = DIR/error.log\nprocess_control_timeout = 1d\n"+onePool("www", "DIR/www.sock")+onePool("tcp", freeAddress(t, "127.0.0.1")),
		map[string]string{"s.php": `<?php echo PHP_SAPI;`})
	link := filepath.Join(openFolder(t, "phpserve-program-"), "php-fpm")
	lead := func(to string) {
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	real, err := exec.LookPath("php-fpm8.2")
	if err != nil {
		t.Fatal(err)
	}
	lead(real)
	s.program = link
	s.start()
	if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "fpm-fcgi") {
		t.Errorf("php-fpm: %s", answer)
	}
	for i, want := range []string{"1.0", "2.0"} {
		lead(p.of(want))
		s.reload(i+2, "ready to handle connections")
		if got := versionOf(t, s.cmd.Process.Pid); got != want {
			t.Errorf("version %s, not %s\n%s", got, want, s.out)
		}
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "cgi-fcgi") {
			t.Errorf("phpserve %s: %s", want, answer)
		}
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// upgradeLeavesPHPAsItWas: descriptors, signals and priorities of the process and of its workers are what they were.
func upgradeLeavesPHPAsItWas(t *testing.T, p programs) {
	s := p.start("[global]\nerror_log = DIR/error.log\n"+onePool("www", "DIR/www.sock", "pm.max_children = 1", "process.dumpable = yes"),
		map[string]string{"env.php": `<?php $e = $_SERVER; unset($e['REQUEST_TIME'], $e['REQUEST_TIME_FLOAT']); ksort($e); echo json_encode([$e, getenv()]);`})
	pid := s.cmd.Process.Pid
	names := regexp.MustCompile(`(phpserve-www-|ZendSem\.)\w+`)
	look := func() string {
		worker, err := strconv.Atoi(s.pid("www.sock"))
		if err != nil {
			t.Fatal(err)
		}
		env := s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/env.php"}, "")
		return names.ReplaceAllString(fmt.Sprintf("process: %s\nworker: %s\n%s", stateOf(t, pid), stateOf(t, worker), env), "$1")
	}
	// Twice the same is nothing that passes, such as a connection of the look itself that is not closed yet.
	var before string
	eventually(t, "it stays as it is", func() bool {
		last := before
		before = look()
		return before == last
	})
	for i, version := range []string{"2.0", "1.0"} {
		p.install(s, p.of(version))
		s.reload(i+2, "ready to handle connections")
		eventually(t, "the stand-in is gone", func() bool { return len(phpserves(descendants(pid))) == 0 })
		after := ""
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("before\n%s\nafter\n%s", before, after)
			}
		})
		eventually(t, "all is as before", func() bool { // connections end in their own time
			after = look()
			return after == before
		})
	}
	s.stop(syscall.SIGTERM)
}

// stateOf is what a process may inherit: sockets, and of PHP all kinds of descriptors, what it does with signals, and its nice value.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	kinds, own := map[string]int{}, len(phpserves([]int{pid})) > 0
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			if kind, _, _ := strings.Cut(to, ":["); kind == "socket" || !own {
				kinds[kind]++
			}
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(kinds)
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "SigIgn") || strings.HasPrefix(line, "SigBlk") && !own { // Go's threads differ in that
			text += " " + strings.TrimSpace(line)
		}
	}
	if slack, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid)); err == nil && own { // root may
		text += " slack " + strings.TrimSpace(string(slack))
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	const nice = 19 - 3 // proc_pid_stat(5); the state, behind the name, is the third
	return text + " nice " + strings.Fields(rest)[nice]
}

// upgradeWithOtherAddresses reads a configuration whose pools are others.
func upgradeWithOtherAddresses(t *testing.T, p programs) {
	global := "[global]\nerror_log = DIR/error.log\n"
	s := p.start(global+onePool("same", "DIR/same.sock")+onePool("named", "DIR/named.sock")+onePool("gone", "DIR/gone.sock"), map[string]string{"s.php": `<?php echo "served ", ini_get('precision');`})
	p.install(s, p.of("2.0"))
	s.rewrite(global + onePool("same", "DIR/same.sock") + onePool("renamed", "DIR/named.sock", "php_value[precision] = 3") + onePool("new", "DIR/new.sock"))
	s.reload(2, "ready to handle connections")
	for socket, precision := range map[string]int{"same.sock": 14, "named.sock": 3, "new.sock": 14} {
		if answer := s.ask(socket, nil, ""); !strings.Contains(answer, fmt.Sprintf("served %d\n", precision)) {
			t.Errorf("%s: %s", socket, answer)
		}
	}
	eventually(t, "the socket of the pool that is gone is, too", func() bool { return !exists(filepath.Join(s.dir, "gone.sock")) })
	s.stop(syscall.SIGTERM)
}

// upgradeByTheControlSocket: "phpserve reload" says what came of it.
func upgradeByTheControlSocket(t *testing.T, p programs) {
	s := p.start("[global]\nerror_log = DIR/error.log\n"+onePool("www", "DIR/www.sock"), nil)
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	p.installText(s, []byte("#!/bin/sh\necho it is broken\nexit 1\n"), 0o755)
	if code, _, errs := phpserve(t, "reload", at); code == 0 || !strings.Contains(errs, "exit status 1: it is broken") {
		t.Errorf("a bad program: %d %s", code, errs)
	}
	p.install(s, p.of("2.0"))
	if code, out, errs := phpserve(t, "reload", at); code != 0 || out != "upgraded to phpserve 2.0\n" {
		t.Errorf("a good program: %d %s%s", code, out, errs)
	}
	s.waitForTimes("ready to handle connections", 2)
	if got := versionOf(t, s.cmd.Process.Pid); got != "2.0" {
		t.Errorf("version %s", got)
	}
	s.stop(syscall.SIGTERM)
}

// upgradeTellsSystemd: a reload with its time, and ready when it is over (sd_notify(3), Type=notify-reload).
func upgradeTellsSystemd(t *testing.T, p programs) {
	s := newSide(t, "phpserve", "[global]\nerror_log = DIR/error.log\nsystemd_interval = 0\n"+onePool("www", "DIR/www.sock"), nil)
	address, read := systemd(t, s.dir)
	s.env = append(s.env, "NOTIFY_SOCKET="+address)
	p.install(s, p.of("1.0"))
	s.start()
	ready := read()
	p.install(s, p.of("2.0"))
	s.reload(2, "ready to handle connections")
	if got := read(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("at the beginning: %q", got)
	}
	if got := read(); got != ready || !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("at the end: %q, at the start: %q", got, ready)
	}
	s.stop(syscall.SIGTERM)
	if got := read(); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("when it stopped: %q", got)
	}
}
