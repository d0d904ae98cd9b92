//go:build !unix

package accept

// OpenFilesLimit is the limit on open files; 0: none.
func OpenFilesLimit() int { return 0 }
