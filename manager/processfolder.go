package manager

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// processFolder is the folder of one php-cgi inside the pool's runtime folder. php-cgi makes its listening socket there
// itself (php-cgi -b), as the user it runs as and for everybody (main/fastcgi.c:fcgi_listen: chmod 0777). So nobody but that
// user may enter the folder until the socket is there, and nobody but phpserve afterwards.
type processFolder struct{ path string }

const (
	listenFile   = "s" // short, because the path of a socket may have 107 bytes at most, unix(7)
	commandsFile = "commands"
	answersFile  = "answers"
)

// newProcessFolder makes a folder, under a name that no other had, for a php-cgi that runs as maker; nil: as phpserve itself.
func (d *runtimeDir) newProcessFolder(maker *credential) (*processFolder, error) {
	f := &processFolder{d.file(strconv.FormatUint(d.serial.Add(1), 10))}
	if n := len(f.socket()); n > maxSocketPath {
		return nil, fmt.Errorf("cannot listen on %s: the path has %d bytes, which are more than the %d that a socket's may have; set TMPDIR to a shorter one",
			f.socket(), n, maxSocketPath)
	}
	err := os.Mkdir(f.path, 0o700)
	if err == nil && maker != nil {
		err = os.Lchown(f.path, int(maker.uid), int(maker.gid)) // follows no link
	}
	if err != nil {
		_ = os.Remove(f.path) // the error says enough
		return nil, fmt.Errorf("cannot make a folder for php-cgi's socket: %v", err)
	}
	return f, nil
}

func (f *processFolder) socket() string { return filepath.Join(f.path, listenFile) }

// takeBack makes the folder phpserve's own. What another process of the user may have put there meanwhile can do no harm:
// who listens on the socket is looked at with every connection.
func (f *processFolder) takeBack() error {
	if err := os.Lchown(f.path, os.Geteuid(), os.Getegid()); err != nil {
		return fmt.Errorf("cannot take back the folder of php-cgi's socket: %v", err)
	}
	return nil
}

// removePipes takes away the names of the zygote's pipes, which it has opened.
func (f *processFolder) removePipes() {
	_ = os.Remove(filepath.Join(f.path, commandsFile)) // what is not there need not be removed
	_ = os.Remove(filepath.Join(f.path, answersFile))
}

// remove removes the folder. Name by name, because that needs no descriptors, of which there may be none left; what else is
// there goes with the runtime folder.
func (f *processFolder) remove() {
	f.removePipes()
	_ = os.Remove(f.socket())
	_ = os.Remove(f.path)
}
