package server

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc, USER_HZ of proc(5): 100 everywhere but on the Alpha.
const clockTick = time.Second / 100

// cpuTime is what a process has used so far, zero for one that is gone. php-fpm asks the same clock (times(2)).
func cpuTime(pid int) (user, system time.Duration) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	// The name, in brackets, may hold anything; utime is the twelfth field behind it.
	const utime, stime = 11, 12
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= stime {
		return 0, 0
	}
	ticks := func(field string) time.Duration {
		n, _ := strconv.ParseInt(field, 10, 64) // the kernel writes numbers
		return time.Duration(n) * clockTick
	}
	return ticks(fields[utime]), ticks(fields[stime])
}
