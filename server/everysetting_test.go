package server

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// Every setting that no script can change may be given to a pool with the value that it has anyway: PHP says nothing, at its start or in a request.
func TestEverySettingCanBeGivenToAPool(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(testPHP(t).Path, "-q")
	cmd.Stdin = strings.NewReader(`<?php $all = []; foreach (ini_get_all() as $name => $s) { $all[$s['access']][] = "$name=$s[global_value]"; } echo json_encode($all);`)
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]string // by who may change them: 4 is PHP_INI_SYSTEM, 6 with PHP_INI_PERDIR
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for access, least := range map[string]int{"4": 50, "6": 10} {
		if len(all[access]) < least {
			t.Fatalf("only %d settings with access %s: %v", len(all[access]), access, all[access])
		}
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				ts := startServer(t, engine, map[string]string{"s.php": `<?php echo json_encode(error_get_last());`}, func(c *Config) {
					c.Pools[0].PHPAdminValue = all[access]
				})
				for range 3 {
					if got := ts.get("/s.php"); got.StatusCode != 200 || got.body != "null" {
						t.Errorf("got %d %q", got.StatusCode, got.body)
					}
				}
				for _, said := range []string{"php message", "php output", "php says at its start"} {
					if log := ts.log.String(); strings.Contains(log, said) {
						t.Errorf("%s:\n%s", said, log)
					}
				}
			})
		})
	}
}
