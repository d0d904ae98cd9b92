package server

import (
	"net"
	"path/filepath"
	"testing"
)

// php-cgi gives getenv() by name what the request says, and without a name the environment of its process. What docs/fpm-compat.md
// says of this is what scripts see, in the place of php-fpm and over HTTP.
func TestGetenvWithoutANameHasThePoolsEnvironmentOnly(t *testing.T) {
	t.Parallel()
	const script = `<?php $all = getenv();
echo json_encode([getenv('REQUEST_METHOD'), $_SERVER['REQUEST_METHOD'], isset($all['REQUEST_METHOD']), isset($all['SCRIPT_NAME']),
	getenv('OF_POOL'), $_SERVER['OF_POOL'], $all['OF_POOL'] ?? '', isset($all['PATH'])]);`
	const want = `["GET","GET",false,false,"pool","pool","pool",true]`
	eachEngine(t, func(t *testing.T, engine string) {
		socket := ""
		ts := startServer(t, engine, map[string]string{"s.php": script}, func(c *Config) {
			socket = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
			c.Responders = []ResponderConfig{{Pool: "www", Listen: socket}}
			c.Pools[0].Env = []string{"OF_POOL=pool"}
		})
		if got := askWire(t, ts, "GET", "/s.php"); got.body != want {
			t.Errorf("over HTTP: %s, want %s", got.body, want)
		}
		nc, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if got := roundTrip(ts, nc); got != want {
			t.Errorf("over FastCGI: %s, want %s", got, want)
		}
	})
}
