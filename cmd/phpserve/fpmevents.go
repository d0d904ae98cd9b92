package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
)

// workerEvent puts the start or the end of a worker in php-fpm's words (fpm_children.c:fpm_children_make, fpm_children_bury).
func workerEvent(message string, values map[string]string) (level fpmconf.Level, text string) {
	child := "child " + values["pid"]
	if message == eventStarted {
		level = fpmconf.LevelDebug
		if values["replaces"] == "true" {
			level = fpmconf.LevelNotice
		}
		return level, child + " started"
	}
	age, _ := time.ParseDuration(values["age"]) // slog has written it
	after := fmt.Sprintf(" after %f seconds from start", age.Seconds())
	if values["surplus"] == "true" {
		return fpmconf.LevelDebug, child + " has been killed by the process management" + after
	}
	level, how := fpmconf.LevelNotice, values["how"]
	if signal, ok := strings.CutPrefix(how, "ended on signal: "); ok {
		level = fpmconf.LevelWarning
		name, core, _ := strings.Cut(signal, " ")
		if core != "" {
			core = " - core dumped"
		}
		how = fmt.Sprintf("exited on signal %d (%s%s)", signalNumber(name), name, core)
	} else if how != "exited with code 0" {
		level = fpmconf.LevelWarning
	}
	if values["stops"] == "true" {
		level = fpmconf.LevelDebug
	}
	text = child + " " + how + after
	for _, name := range []string{"cause", "script"} { // which php-fpm does not tell
		if value := values[name]; value != "" {
			text += ", " + name + ": " + value
		}
	}
	return level, text
}

// The messages of the workers' coming and going.
const (
	eventStarted = "worker started"
	eventEnded   = "worker ended"
)
