package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptionsDefaultToTheWholeComparison(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.sides, allSides()) || !slices.Equal(o.scripts, allScripts()) || !slices.Equal(o.connections, []int{1, 16}) {
		t.Errorf("sides %v, scripts %v, connections %v", o.sides, o.scripts, o.connections)
	}
	if o.rounds != 5 || o.duration != 3*time.Second || o.workers != 4 || o.minimum != 1 {
		t.Errorf("rounds %d, duration %v, workers %d, minimum %v", o.rounds, o.duration, o.workers, o.minimum)
	}
}

func TestQuickIsOneRoundOfOneSecond(t *testing.T) {
	o, err := parseOptions([]string{"-quick", "-sides", "nginx-keepalive,nginx"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 1 || o.duration != time.Second {
		t.Errorf("rounds %d, duration %v", o.rounds, o.duration)
	}
	if want := []string{sideNginx, sideNginxKeepalive}; !slices.Equal(o.sides, want) {
		t.Errorf("sides = %v, want %v", o.sides, want)
	}
}

func TestOptionsRefuseWhatCannotBeMeasured(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"-sides apache", `"apache": allowed are phpserve, nginx, nginx-keepalive`},
		{"-only hello,", `script "": allowed are hello, cpu, large`},
		{"-connections 0", `connections "0"`},
		{"-connections x", `connections "x"`},
		{"-rounds 0", "-rounds 0"},
		{"-duration 1500ms", "whole seconds"},
		{"-workers 1", "-workers 1"},
		{"-nginx-keepalive -1", "-nginx-keepalive -1"},
		{"-check -sides nginx,nginx-keepalive", "-check"},
		{"-check -sides phpserve", "-check"},
		{"-phpserve-config /nonexistent.yaml", "-phpserve-config"},
		{"run", `argument "run"`},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			_, err := parseOptions(strings.Fields(test.args), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
