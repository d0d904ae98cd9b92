package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatedLinesAreCountedAndNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b guardedBuffer
		counting, _ := countRepeats(slog.NewTextHandler(&b, nil))
		log := slog.New(counting).With("pool", "www")
		for i := range 5000 {
			log.Warn(fmt.Sprintf("child %d, script '/%d.php' is slow", i, i), "pid", i) //nolint:sloglint // as php-fpm's words have their numbers
			log.Info("php message", "text", "the same")
		}
		log.With("pool", "other").Warn("child 1, script '/1.php' is slow")
		if n := strings.Count(b.String(), "is slow"); n != repeatBurst+1 {
			t.Errorf("%d lines are written at once", n)
		}
		time.Sleep(repeatWindow + time.Second)
		synctest.Wait()
		if want := fmt.Sprintf("… %d more times in the last 10s", 5000-repeatBurst); !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %.3000s", want, b.String())
		}
		if n := strings.Count(b.String(), "the same"); n != 5000 {
			t.Errorf("%d of a script's own messages", n)
		}
		b.Reset()
		log.Warn("child 7, script '/7.php' is slow")
		if !strings.Contains(b.String(), "child 7") {
			t.Error("the first of a new window is not written")
		}
		time.Sleep(repeatWindow + time.Second)
	})
}

// TestCountsOfRepeatedLinesAreToldWhenTheLogEnds has the end come within the windows.
func TestCountsOfRepeatedLinesAreToldWhenTheLogEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b guardedBuffer
		counting, tell := countRepeats(slog.NewTextHandler(&b, nil))
		log := slog.New(counting)
		for i := range repeatBurst + 7 {
			log.Warn(fmt.Sprintf("child %d is slow", i)) //nolint:sloglint // as php-fpm's words have their numbers
		}
		log.Warn("said once")
		time.Sleep(3 * time.Second)
		tell()
		if want := "… 7 more times in the last 3s"; strings.Count(b.String(), want) != 1 || strings.Count(b.String(), "more times") != 1 {
			t.Errorf("not once %q in %s", want, b.String())
		}
		tell()
		time.Sleep(repeatWindow)
		synctest.Wait()
		if n := strings.Count(b.String(), "more times"); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// guardedBuffer is read while timers may write to it.
type guardedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *guardedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *guardedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *guardedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}
