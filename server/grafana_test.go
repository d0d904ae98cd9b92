package server

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grafanaDashboard is what the test looks at in docs/grafana.json.
type grafanaDashboard struct {
	Title  string
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ RefID, Expr string }
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
}

var (
	grafanaMetric = regexp.MustCompile(`\b(?:phpserve|phpfpm)_[a-z_]+`)
	grafanaLabel  = regexp.MustCompile(`([a-z]+)(?:=~|!~|!=|=)"|by \(([a-z, ]+)\)`)
)

// everyMetric scrapes until a request is recorded and opcache has told, which it does not where that takes too long.
func (ts *testServer) everyMetric() (all families) {
	ts.t.Helper()
	eventually(ts.t, "the metrics are all there", func() bool {
		all = ts.scrape()
		return all.value("phpserve_request_php_seconds{code=2xx,pool=www,via=http}") == 1 && all["phpserve_opcache_scripts"] != nil
	})
	return all
}

func TestGrafanaDashboardNamesMetricsAndLabelsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d grafanaDashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ts := startAdminServer(t, metricScripts, nil)
	ts.get("/ok.php")
	all := ts.everyMetric()
	exprs := map[string]string{}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || len(p.Targets) == 0 || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q: its id is taken, it shows nothing, or it has no place", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			exprs[p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			exprs[v.Name] = v.Definition
		}
	}
	if len(d.Panels) < 8 || len(exprs) < len(d.Panels) {
		t.Fatalf("the dashboard has %d panels", len(d.Panels))
	}
	for where, expr := range exprs {
		names := grafanaMetric.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric: %s", where, expr)
		}
		for _, name := range names {
			family, ok := all[name]
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if base, cut := strings.CutSuffix(name, suffix); cut && !ok && all[base].GetType().String() == "HISTOGRAM" {
					family, ok = all[base], true
				}
			}
			if !ok {
				t.Errorf("%s: there is no metric %s", where, name)
				continue
			}
			labels := []string{"le"}
			for _, l := range family.Metric[0].Label {
				labels = append(labels, l.GetName())
			}
			for _, m := range grafanaLabel.FindAllStringSubmatch(expr, -1) {
				for label := range strings.SplitSeq(m[1]+m[2], ", ") {
					if !slices.Contains(labels, label) {
						t.Errorf("%s: %s has no label %s", where, name, label)
					}
				}
			}
		}
	}
}

// docs/monitoring.md lists every metric of phpserve's own.
func TestEveryMetricIsInTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	ts := startAdminServer(t, metricScripts, nil)
	ts.get("/ok.php")
	all := ts.everyMetric()
	for name := range all {
		if strings.HasPrefix(name, "php") && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not in docs/monitoring.md", name)
		}
	}
	for _, name := range regexp.MustCompile("`((?:phpserve|phpfpm)_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		if all[name[1]] == nil && name[1] != "phpfpm_memory_peak" { // of PHP 8.4 on
			t.Errorf("docs/monitoring.md has %s, which is not there", name[1])
		}
	}
}
