// Command phpserve serves PHP sites over HTTP and HTTPS with its own PHP process manager.
package main

import (
	"os"

	"github.com/phpserve/phpserve/manager"
)

func main() {
	tuneRuntime()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, manager.FindPHP))
}
