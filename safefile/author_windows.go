package safefile

import "errors"

// Author names nobody: there is no root here.
func Author(string) (string, error) { return "", nil }

// Placer names nobody: there is no root here.
func Placer(string) (string, error) { return "", nil }

// Owner is not known here.
func Owner(string) (uid, gid int, err error) { return -1, -1, errors.ErrUnsupported }
