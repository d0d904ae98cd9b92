package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/phpserve/phpserve/server"
)

// systemdNotifier tells systemd of the service's state (sd_notify(3)), as php-fpm does (fpm_systemd.c): Debian's unit is of
// Type=notify and would be ended without.
type systemdNotifier struct {
	address  string // of NOTIFY_SOCKET; empty: nobody wants to know
	interval time.Duration
	watchdog bool
	last     server.Totals
	at       time.Time
}

// notifyVariable holds the address that systemd listens on.
const notifyVariable = "NOTIFY_SOCKET"

// newSystemdNotifier reads NOTIFY_SOCKET and takes it from the environment: PHP is not to speak for the service.
func newSystemdNotifier(interval time.Duration, watchdog bool) (*systemdNotifier, error) {
	address := os.Getenv(notifyVariable)
	if err := os.Unsetenv(notifyVariable); err != nil {
		return nil, err
	}
	return &systemdNotifier{address: address, interval: interval, watchdog: watchdog, at: time.Now()}, nil
}

// send sends one message; that nobody takes it is of no matter to the service.
func (n *systemdNotifier) send(text string) {
	if n.address == "" {
		return
	}
	nc, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return
	}
	defer nc.Close()
	_, _ = nc.Write([]byte(text)) // as above
}

// ready says that the service serves.
func (n *systemdNotifier) ready() {
	n.send(fmt.Sprintf("READY=1\nSTATUS=Ready to handle connections\nMAINPID=%d", os.Getpid()))
}

// reloading says that a reload begins; ready that it is over. Unlike php-fpm's this lets "systemctl reload" wait for it, also in
// units of Type=notify-reload.
func (n *systemdNotifier) reloading() {
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=Reloading", monotonicUsec()))
}

// stopping says that the service ends.
func (n *systemdNotifier) stopping() { n.send("STOPPING=1\nSTATUS=Stopping") }

// beat is what php-fpm sends at each interval (fpm_systemd.c:fpm_systemd). Its count of slow requests is that of the slow log.
func (n *systemdNotifier) beat(now server.Totals) {
	watchdog := ""
	if n.watchdog {
		watchdog = "WATCHDOG=1\n"
	}
	if now.Requests < n.last.Requests { // a reload has replaced pools, with their counters
		n.last.Requests = 0
	}
	rate := float64(now.Requests-n.last.Requests) / max(time.Since(n.at).Seconds(), 0.001)
	n.last, n.at = now, time.Now()
	n.send(fmt.Sprintf("READY=1\n%sSTATUS=Processes active: %d, idle: %d, Requests: %d, slow: %d, Traffic: %#.3greq/sec",
		watchdog, now.Busy, now.Idle, now.Requests, 0, rate))
}

// ticks yields the times of beats; never, where nobody wants to know.
func (n *systemdNotifier) ticks() (c <-chan time.Time, stop func()) {
	if n.address == "" || n.interval <= 0 {
		return nil, func() {}
	}
	ticker := time.NewTicker(n.interval)
	return ticker.C, ticker.Stop
}
