//go:build unix

package main

import "log/syslog"

// openSyslog connects to the log at an address, empty for the system's. facility is numbered as syslog(3) does.
func openSyslog(network, address string, facility int, ident string) (systemLog, error) {
	return syslog.Dial(network, address, syslog.Priority(facility)|syslog.LOG_NOTICE, ident)
}
