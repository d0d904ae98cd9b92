package main

// fpmRequest is what a signal asks the master for.
type fpmRequest int

const (
	fpmTerminate fpmRequest = iota // SIGTERM, SIGINT
	fpmFinish                      // SIGQUIT
	fpmReopen                      // SIGUSR1: open the logs anew
	fpmReload                      // SIGUSR2, SIGHUP: read the configuration again
)
