//go:build !linux

package phpstack

import (
	"errors"
	"time"
)

func activity(int) (running bool, used time.Duration, err error) {
	return false, 0, errors.ErrUnsupported
}
