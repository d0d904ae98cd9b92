package main

import (
	"strings"
	"unicode/utf8"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/linelog"
)

// endOfOutput ends a line of a worker's output as a newline does: php-fpm's workers write it themselves behind a request
// (fpm_stdio.c:fpm_stdio_flush_child), and scripts can.
const endOfOutput = "\x00fscf\x00"

// said writes what a worker said, if catch_workers_output is on (fpm_stdio.c:fpm_stdio_child_said): each line by itself, whole.
func (h *fpmHandler) said(pool string, message bool, values map[string]string) {
	h.log.mu.Lock()
	output := h.log.output[pool]
	h.log.mu.Unlock()
	if !output.caught {
		return
	}
	text := values["text"]
	if !message {
		text = strings.ReplaceAll(strings.TrimSuffix(text, endOfOutput), endOfOutput, "\n")
	}
	for i, line := range strings.Split(linelog.VisibleLines(text), "\n") {
		if message && i == 0 {
			line = "NOTICE: PHP message: " + line
		}
		prefix, level := "", fpmconf.LevelPlain
		if output.decorated {
			level = fpmconf.LevelWarning
			prefix = "[pool " + pool + "] child "
			if pid := values["pid"]; pid != "" {
				prefix += pid + " "
			}
			prefix += "said into stderr: "
		}
		h.log.awaitRoom()
		for _, piece := range pieces(line, h.log.room(prefix, output.decorated)) {
			if output.decorated {
				piece = `"` + piece + `"`
			}
			h.log.Print(level, prefix+piece)
		}
	}
}

// room is how much of a line of a worker's output goes into one of the log, where log_limit bounds the whole with the time and the
// newline (zlog.c:zlog_stream_buf_append).
func (l *fpmLog) room(prefix string, decorated bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.limit - len("\n")
	if decorated {
		room -= len(`[02-Jan-2006 15:04:05] WARNING: ""`) + len(prefix)
		if l.level == fpmconf.LevelDebug {
			room -= len(".000000")
		}
	}
	return max(room, 64)
}

// pieces splits a line into those of at most size bytes, not within a character.
func pieces(line string, size int) (all []string) {
	for len(line) > size {
		end := size
		for back := 0; back < utf8.UTFMax-1 && !utf8.RuneStart(line[end]); back++ {
			end--
		}
		all, line = append(all, line[:end]), line[end:]
	}
	return append(all, line)
}
