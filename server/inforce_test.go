package server

import (
	"encoding/json"
	"testing"
)

// shownSetting is the value of a php.ini setting in the dashboard's configuration of the only pool.
func (ts *testServer) shownSetting(name string) string {
	ts.t.Helper()
	var sections []inForceSection
	text := ts.askAdmin("/api/config", "Authorization", "Bearer "+testToken).body
	if err := json.Unmarshal([]byte(text), &sections); err != nil {
		ts.t.Fatalf("%v in %s", err, text)
	}
	for _, section := range sections {
		for _, row := range section.Rows {
			if section.Title == "Pool www" && row.Name == "php.ini: "+name {
				return row.Value
			}
		}
	}
	ts.t.Fatalf("there is no %s in %s", name, text)
	return ""
}

// What phpserve sets for its own questions to PHP is not what the dashboard shows: that is what scripts have.
func TestConfigurationInForceIsWhatScriptsHave(t *testing.T) {
	t.Parallel()
	names := []string{
		"display_errors", "error_log", "memory_limit", "max_execution_time", "upload_max_filesize", "post_max_size", "opcache.enable",
		"opcache.memory_consumption", "opcache.validate_timestamps", "opcache.jit", "opcache.jit_buffer_size", "date.timezone",
	}
	for name, values := range map[string][2][]string{ // php_value, php_admin_value
		"php.ini":         {},
		"on":              {{"display_errors=1"}},
		"off":             {{"display_errors=0"}},
		"stderr":          {{"display_errors=stderr"}},
		"forced on":       {{"display_errors=0"}, {"display_errors=1"}},
		"forced off":      {{"display_errors=1"}, {"display_errors=0"}},
		"what else it is": {{"memory_limit=77M", "max_execution_time=11", "date.timezone=Asia/Tokyo"}, {"opcache.memory_consumption=64", "opcache.enable=0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				ts := startServer(t, engine, map[string]string{"get.php": `<?php echo json_encode((string) ini_get($_GET['name']));`}, func(c *Config) {
					c.Admin, c.AdminToken = "127.0.0.1:0", testToken
					c.Pools[0].PHPValue, c.Pools[0].PHPAdminValue = values[0], values[1]
				})
				for _, name := range names {
					var has string
					if body := ts.get("/get.php?name=" + name).body; json.Unmarshal([]byte(body), &has) != nil {
						t.Fatalf("got %q", body)
					}
					if shown := ts.shownSetting(name); shown != has {
						t.Errorf("%s is %q for scripts and is shown as %q", name, has, shown)
					}
				}
			})
		})
	}
}
