package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/phpserve/phpserve/internal/ownership"
)

// controlPlaces are the folders in which this user's phpserves may have their sockets, in whatever environment they were started: a
// service, cron or sudo has another XDG_RUNTIME_DIR and TMPDIR than a shell, or none.
func controlPlaces() (dirs []string) {
	uid := os.Geteuid()
	dirs = append(dirs, controlDir())
	if uid != 0 {
		if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
			dirs = append(dirs, filepath.Join(dir, "phpserve"))
		}
		own := fmt.Sprintf("phpserve-%d", uid)
		dirs = append(dirs, fmt.Sprintf("/run/user/%d/phpserve", uid), filepath.Join(os.TempDir(), own), filepath.Join("/tmp", own), "/run/phpserve")
	}
	for i, dir := range dirs {
		if slices.Contains(dirs[:i], dir) {
			dirs[i] = ""
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return dir == "" })
}

// maxUnixTable is how much of the kernel's list of unix sockets is read, in bytes: some hundred thousand sockets.
const maxUnixTable = 16 << 20

var controlSocket = regexp.MustCompile(`(?m) (/\S*/phpserve(?:-\d+)?/control-\d+\.sock)$`)

// openControls are the control sockets that the kernel knows of, wherever they are (proc_net_unix(5)); none where there is no such list.
func openControls() (paths []string) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil
	}
	defer f.Close()
	table, _ := io.ReadAll(io.LimitReader(f, maxUnixTable)) // what was read counts
	for _, m := range controlSocket.FindAllStringSubmatch(string(table), -1) {
		paths = append(paths, m[1])
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// findControl finds the socket of the phpserve that runs: path, or the only one there is.
func findControl(ctx context.Context, path string) (string, error) {
	if path != "" {
		return path, nil
	}
	places := controlPlaces()
	var found, foreign []string
	for _, dir := range places {
		found = append(found, socketsIn(dir)...)
	}
	for _, file := range openControls() {
		if ownFolder(filepath.Dir(file)) == nil {
			found = append(found, file)
		} else {
			foreign = append(foreign, file)
		}
	}
	slices.Sort(found)
	var live []string
	for _, file := range slices.Compact(found) {
		if nc, err := net.Dial("unix", file); err == nil {
			nc.Close()
			live = append(live, file)
		}
	}
	switch len(live) {
	case 0:
		return "", noneRuns(places, foreign)
	case 1:
		return live[0], nil
	}
	lines := []string{"several phpserves of this user are running:"}
	for _, file := range live {
		lines = append(lines, aboutControl(ctx, file))
	}
	return "", &hintError{errors.New(strings.Join(lines, "\n")), "name the one that is meant: --control " + live[0]}
}

// socketsIn are the control sockets of a folder that only this user can change.
func socketsIn(dir string) []string {
	if ownFolder(dir) != nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "control-*.sock"))
	if err != nil {
		return nil // the name of a folder may be any
	}
	return found
}

// mostForeign is how many phpserves of others a message names.
const mostForeign = 5

// noneRuns tells where was looked, and which phpserves there are of others.
func noneRuns(places, foreign []string) error {
	hints := []string{"if one runs, its control socket is elsewhere: name it with --control SOCKET, or set XDG_RUNTIME_DIR as it was started with"}
	for _, file := range foreign[:min(len(foreign), mostForeign)] {
		hints = append(hints, fmt.Sprintf("%s runs one: as that user, use --control %s", ownerOfFolder(filepath.Dir(file)), file))
	}
	return &hintError{fmt.Errorf("no phpserve of this user (%s) is running: no control socket in %s", ownership.User(uint32(os.Geteuid())), strings.Join(places, ", ")), strings.Join(hints, "\n")}
}

// ownerOfFolder is whom a folder of sockets belongs to.
func ownerOfFolder(dir string) string {
	info, err := os.Lstat(dir)
	if err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return "somebody"
	}
	return cmp.Or(ownership.Owner(info), "somebody")
}

// aboutControl tells of a phpserve what tells it from others.
func aboutControl(ctx context.Context, socket string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var s controlStatus
	if err := askControl(ctx, socket, http.MethodGet, "/status", &s); err != nil {
		return fmt.Sprintf("%s: %v", socket, err)
	}
	return fmt.Sprintf("%s: pid %d, %s, started in %s", socket, s.PID, strings.Join(s.Serves, " "), s.Folder)
}
