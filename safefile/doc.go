// Package safefile opens and changes files in places where other users can put something, too.
//
// A process of root that opens a file by its name does so for everybody who can change the folders on the way: who puts a symbolic
// link there has root write wherever the link leads (CWE-59, CWE-61, CWE-367). So a path is walked folder by folder, each opened
// from the one before and never by following anything, and what is found is judged by its descriptor:
//
//	folder            belongs to                     others can write    symbolic links in it   what may be opened in it
//	closed            root or this process's user    no                  are followed           anything
//	sticky (/tmp)     root or this process's user    yes, sticky bit     of the same two        of the same two
//	shared            root or this process's user    its group           of the same two        regular files with one name
//	open              anybody else, or everybody can write               are refused            regular files with one name, of
//	                                                                                            the same two or of the folder's owner
//
// A file with one name has no other hard link. Whatever else the kernel does about links (fs.protected_symlinks and its kin,
// proc_sys_fs(5)) is not relied upon.
//
// [Root] is for paths that begin in another folder than the root folder, for pools with a chroot.
//
// On systems other than Linux the functions use the names, as the standard library does.
package safefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// ErrUnsafe says that another user could have put there what was found.
var ErrUnsafe = errors.New("another user could have put it there")

// ReadRegular reads a regular file of at most limit bytes. It waits for no writer of a FIFO and reads no device; links are followed.
func ReadRegular(path string, limit int64) ([]byte, error) {
	f, err := openNonblock(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	return text, err
}
