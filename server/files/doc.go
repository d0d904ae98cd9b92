// Package files is the document root: looking files up without ever leaving it, the names that are never served, and answering with a
// file as it is.
//
// It knows nothing of sites, routes and scripts, and nothing of who asks: it gets a URL path that [CleanPath] has made, and answers with
// a file, with [ErrOutsideRoot], or with fs.ErrNotExist.
//
// Read it in this order: urlpath.go, root.go and root_linux.go (a lookup), links.go (which symbolic links are followed), denied.go and
// protection.go (what is never served), types.go, static.go (an answer), coding.go (precompressed files), precondition.go and byterange.go.
package files
