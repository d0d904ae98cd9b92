//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"time"
)

var (
	errNoProcess = errors.New("no such process")
	errNotLinux  = errors.New("cannot measure on this system: the benchmark reads Linux's /proc")
)

func adoptOrphans() error                    { return errNotLinux }
func setChildAttributes(*exec.Cmd)           {}
func killGroup(int) error                    { return errNotLinux }
func endOrphans() ([]string, error)          { return nil, errNotLinux }
func processTime(int) (time.Duration, error) { return 0, errNotLinux }
func kernelVersion() string                  { return "unknown" }
