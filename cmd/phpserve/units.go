package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/manager"
)

// duration reads php-fpm's times: a whole number of seconds, or with s, m, h or d; and, because php-fpm cannot say it, ms.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	units := []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Second}}
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/int64(u.unit) {
			break
		}
		*d = duration(time.Duration(n) * u.unit)
		return nil
	}
	return fmt.Errorf("%q is not a time: write whole seconds, or a number with ms, s, m, h or d", text)
}

func (d duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "0"
	case t%time.Second != 0:
		return strconv.FormatInt(t.Milliseconds(), 10) + "ms"
	case t%(24*time.Hour) == 0:
		return strconv.FormatInt(int64(t/(24*time.Hour)), 10) + "d"
	case t%time.Hour == 0:
		return strconv.FormatInt(int64(t/time.Hour), 10) + "h"
	case t%time.Minute == 0:
		return strconv.FormatInt(int64(t/time.Minute), 10) + "m"
	}
	return strconv.FormatInt(int64(t/time.Second), 10) + "s"
}

// size reads php.ini's sizes: bytes, or with K, M or G (powers of 1024).
type size int64

func (s *size) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	if n := len(digits); n > 0 {
		switch digits[n-1] {
		case 'K', 'k':
			digits, unit = digits[:n-1], 1<<10
		case 'M', 'm':
			digits, unit = digits[:n-1], 1<<20
		case 'G', 'g':
			digits, unit = digits[:n-1], 1<<30
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size: write bytes, or a number with K, M or G", text)
	}
	*s = size(n * unit)
	return nil
}

func (s size) String() string {
	for _, u := range []struct {
		unit   int64
		suffix string
	}{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}} {
		if s != 0 && int64(s)%u.unit == 0 {
			return strconv.FormatInt(int64(s)/u.unit, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// priority reads process.priority: a nice value, or nothing for that of phpserve.
type priority string

func (p *priority) UnmarshalText(text []byte) error {
	if _, err := strconv.Atoi(string(text)); err != nil && len(text) > 0 {
		return fmt.Errorf("%q is not a priority: write a whole number from -19 to 20", text)
	}
	*p = priority(text)
	return nil
}

// nice is the value as a number, nil for that of phpserve.
func (p priority) nice() *int {
	n, err := strconv.Atoi(string(p))
	if err != nil {
		return nil
	}
	return &n
}

// coreSize reads rlimit_core: bytes, or "unlimited".
type coreSize int64

func (c *coreSize) UnmarshalText(text []byte) error {
	if string(text) == "unlimited" {
		*c = manager.RlimitUnlimited
		return nil
	}
	var n size
	if err := n.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or unlimited", err)
	}
	*c = coreSize(n)
	return nil
}

func (c coreSize) String() string {
	if c == manager.RlimitUnlimited {
		return "unlimited"
	}
	return size(c).String()
}
