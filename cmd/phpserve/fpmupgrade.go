package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
)

const (
	// socketsVariable hands listening sockets to the process that goes on with them: FD=ADDRESS, with line breaks between them.
	// php-fpm has FPM_SOCKETS for it.
	socketsVariable = "PHPSERVE_FPM_SOCKETS"
	// upgradeCheck is how long a new binary may take to say that the configuration can work.
	upgradeCheck = 30 * time.Second
)

// ownBinary is the program that runs, as it was when it was started.
type ownBinary struct {
	path string
	info os.FileInfo
}

// findOwnBinary finds it by the name that it was started with, for that may be a link that will lead elsewhere.
func findOwnBinary() (b ownBinary, err error) {
	if b.path, err = os.Executable(); err != nil {
		return b, err
	}
	if b.info, err = os.Stat(b.path); err != nil {
		return b, err
	}
	if named, err := exec.LookPath(os.Args[0]); err == nil {
		if info, err := os.Stat(named); err == nil && os.SameFile(info, b.info) {
			b.path, err = filepath.Abs(named)
			return b, err
		}
	}
	return b, nil
}

// changed says whether another program is there now. One that was removed is none.
func (b *ownBinary) changed() bool {
	info, err := os.Stat(b.path)
	return err == nil && b.info != nil &&
		(!os.SameFile(info, b.info) || info.Size() != b.info.Size() || !info.ModTime().Equal(b.info.ModTime()))
}

// check has the program that is there now say whether it can work with the configuration.
func (b *ownBinary) check(ctx context.Context) error {
	info, err := os.Stat(b.path)
	if err != nil {
		return fmt.Errorf("the binary %s has changed, and cannot be used: %w", b.path, err)
	}
	if os.Geteuid() == 0 && (!ownedByMe(info) || info.Mode().Perm()&0o022 != 0) {
		return fmt.Errorf("the binary %s has changed, and others than root can change the new one: root does not execute it", b.path)
	}
	ctx, cancel := context.WithTimeout(ctx, upgradeCheck)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, append(append([]string(nil), os.Args[1:]...), "-t")...)
	cmd.Args[0] = os.Args[0]
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the binary %s has changed, and the new one does not pass its test (%v): %s; put a working one there, or the old one back",
			b.path, err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}

// inheritedSockets takes the sockets out of the environment.
func inheritedSockets() (map[string]*os.File, error) {
	text := os.Getenv(socketsVariable)
	if err := os.Unsetenv(socketsVariable); err != nil || text == "" {
		return nil, err
	}
	sockets := map[string]*os.File{}
	for line := range strings.SplitSeq(text, "\n") {
		number, address, _ := strings.Cut(line, "=")
		fd, err := strconv.Atoi(number)
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("cannot use %s: %q is not FD=ADDRESS", socketsVariable, line)
		}
		sockets[address] = os.NewFile(uintptr(fd), address)
	}
	return sockets, nil
}

// errUpgrade ends the loop of signals: another binary takes over.
var errUpgrade = errors.New("another binary takes over")

// upgrade gives way to the new binary, in the same process: requests that run finish, those that come meanwhile wait in the sockets,
// and the new one answers them. It returns only when that did not come to be.
func (m *fpmMaster) upgrade() error {
	m.log.Print(fpmconf.LevelNotice, "reload: "+m.binary.path+" has changed and takes over")
	sockets, err := m.server.Sockets()
	if err != nil {
		return err
	}
	m.stopQuietly("Finishing ...", m.signals)
	if m.stopSignal.Load() {
		for address, f := range sockets {
			f.Close()
			if fpmconf.IsUnixAddress(address) {
				_ = os.Remove(address) // as the listener would have done
			}
		}
		return nil
	}
	return m.become(sockets)
}
