//go:build unix

package main

import (
	"io"
	"log/syslog"
)

// openSyslog connects to the system's log. facility is numbered as syslog(3) does.
func openSyslog(facility int, ident string) (io.WriteCloser, error) {
	return syslog.New(syslog.Priority(facility)|syslog.LOG_NOTICE, ident)
}
