package main

import "errors"

// openSyslog fails: the system has no syslog.
func openSyslog(string, string, int, string) (systemLog, error) { return nil, errors.ErrUnsupported }
