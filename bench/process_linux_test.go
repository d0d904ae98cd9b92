package main

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

func TestProcessTimeCountsAllThreads(t *testing.T) {
	before, err := processTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// A thread that ends with its locked goroutine must stay counted.
	const spin = 20 * time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for time.Now().Before(patient.LastMoment()) {
			if now, err := processTime(os.Getpid()); err != nil || now-before >= spin {
				return
			}
		}
	}()
	<-done
	after, err := processTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after-before < spin {
		t.Errorf("processor time grew by %v, want at least %v", after-before, spin)
	}
}

func TestProcessTimeTellsThatAProcessHasEnded(t *testing.T) {
	// Above the largest process id that Linux gives (PID_MAX_LIMIT, 2^22).
	if _, err := processTime(math.MaxInt32 >> 4); !errors.Is(err, errNoProcess) {
		t.Errorf("error = %v, want %v", err, errNoProcess)
	}
}

func TestServerStopEndsAndReapsTheProcess(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	srv := &server{path: sh, args: []string{"-c", "exec sleep 60"}, log: t.TempDir() + "/log"}
	if err := srv.start(); err != nil {
		t.Fatal(err)
	}
	pid := srv.cmd.Process.Pid
	if srv.hasEnded() {
		t.Fatalf("server ended at start: %s", srv.logTail())
	}
	srv.stop()
	if _, err := processTime(pid); !errors.Is(err, errNoProcess) {
		t.Errorf("process %d: error = %v, want %v", pid, err, errNoProcess)
	}
}
