package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheckScriptRefusesWrongAnswers(t *testing.T) {
	const body = "hello, world\n"
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"a right answer", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }, ""},
		{"an error status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, http.StatusBadGateway) }, "status 502"},
		{"another body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<?php") }, "wrong body"},
		{"a closed connection", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, body)
		}, "not kept alive"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			s := &side{name: "side", address: server.Listener.Addr().String()}
			err := checkScript(t.Context(), s, script{name: "hello", path: "/hello.php", body: body})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestCheckSettingsRefusesDifferentPHP(t *testing.T) {
	a, b := &side{name: "a"}, &side{name: "b"}
	base := func() settings {
		return settings{Version: "8.2.36", INI: map[string]string{"output_buffering": "4096"}}
	}
	tests := []struct {
		name   string
		change func(*settings)
		want   string
	}{
		{"equal", func(*settings) {}, ""},
		{"another version", func(v *settings) { v.Version = "8.3.1" }, "PHP 8.2.36 of a with PHP 8.3.1 of b"},
		{"another value", func(v *settings) { v.INI["output_buffering"] = "0" }, `output_buffering is "4096" on a and "0" on b`},
		{"a missing value", func(v *settings) { delete(v.INI, "output_buffering") }, "output_buffering"},
		{"an extra value", func(v *settings) { v.INI["opcache.jit"] = "off" }, "opcache.jit is set on b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := base()
			test.change(&changed)
			err := checkSettings(a, base(), b, changed)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestCheckCachedRefusesColdOpcache(t *testing.T) {
	s, scripts := &side{name: "a"}, []script{{path: "/hello.php"}}
	tests := []struct {
		name string
		v    settings
		want string
	}{
		{"on and warm", settings{INI: map[string]string{"opcache.enable": "1"}, Cached: map[string]bool{"hello.php": true}}, ""},
		{"off", settings{Cached: map[string]bool{"hello.php": true}}, "opcache is off"},
		{"cold", settings{INI: map[string]string{"opcache.enable": "1"}}, "does not hold /hello.php"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := checkCached(s, test.v, scripts)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
