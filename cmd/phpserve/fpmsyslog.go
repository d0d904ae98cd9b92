package main

import (
	"strings"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
)

// systemLog is syslog, with a method for each level.
type systemLog interface {
	Debug(string) error
	Notice(string) error
	Warning(string) error
	Err(string) error
	Alert(string) error
	Close() error
}

// systemLine is a line for syslogLines: its level is the first byte. A line without a level is one of a worker.
func systemLine(level fpmconf.Level, line string) []byte {
	return append(append([]byte{byte(level)}, strings.ReplaceAll(line, "\n", " ")...), '\n')
}

// syslogLines sends lines to syslog, each at its own level; php-fpm sends all at that of log_level.
type syslogLines struct{ systemLog }

func (s *syslogLines) Write(p []byte) (n int, err error) {
	for line := range strings.Lines(string(p)) {
		text := strings.TrimSuffix(line[1:], "\n")
		switch fpmconf.Level(line[0]) {
		case fpmconf.LevelDebug:
			err = s.Debug(text)
		case fpmconf.LevelWarning:
			err = s.Warning(text)
		case fpmconf.LevelError:
			err = s.Err(text)
		case fpmconf.LevelAlert:
			err = s.Alert(text)
		default:
			err = s.Notice(text)
		}
		if err != nil {
			return n, err
		}
		n += len(line)
	}
	return n, nil
}
