//go:build !unix

package server

// openFilesLimit is the limit on open files; 0: none.
func openFilesLimit() int { return 0 }
