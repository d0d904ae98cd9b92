// Command phpserve serves PHP sites over HTTP and HTTPS with its own PHP process manager.
package main

import (
	"os"

	"github.com/phpserve/phpserve/manager"
)

func main() {
	tuneRuntime()
	args := os.Args[1:]
	if isFPMName(os.Args[0]) {
		args = append([]string{"fpm"}, args...)
	}
	os.Exit(run(args, os.Stdout, os.Stderr, manager.FindPHP))
}
