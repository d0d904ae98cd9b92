package manager

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzStatusPage: whatever clients send, the status stays JSON and XML.
func FuzzStatusPage(f *testing.F) {
	f.Add("/s.php", "a=<b>&c=\"\\", "user", "/srv/s.php")
	f.Add("\xff\x00", "\u2028\U0001F600\x7f", "]]>", "</script>")
	f.Fuzz(func(t *testing.T, name, query, user, script string) {
		s := Status{Pool: "www", PM: PMStatic, PHP: "8.4.1", Start: time.Unix(1, 0), Taken: time.Unix(9, 0), Processes: []ProcessStatus{{
			PID: 1, State: statusIdle, Start: time.Unix(1, 0), Request: Request{Name: name, Query: query, User: user, Script: script, URI: name, ID: user},
		}}}
		for _, more := range []bool{false, true} {
			text := (&StatusPage{Format: StatusJSON, Full: true, More: more}).Append(nil, &s)
			var decoded struct {
				Processes []struct {
					URI  string `json:"request uri"`
					User string `json:"user"`
				} `json:"processes"`
			}
			if err := json.Unmarshal(text, &decoded); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if got, want := decoded.Processes[0].User, orDash(user); utf8.ValidString(user) && got != want {
				t.Errorf("user %q is shown as %q", user, got)
			}
		}
		if valid := utf8.ValidString(name + user + script); valid {
			text := (&StatusPage{Format: StatusXML, Full: true}).Append(nil, &s)
			if err := xml.Unmarshal(text, new(struct{})); err != nil && !strings.Contains(err.Error(), "unknown type") {
				t.Fatalf("%v in %q", err, text)
			}
		}
	})
}

func TestMaxChildrenReachedCountsEpisodes(t *testing.T) {
	t.Parallel()
	full := counts{total: 4, waiting: 1}
	for _, tt := range []struct {
		name string
		pm   string
		seen []counts
		want uint64
	}{
		{"once while requests wait", PMDynamic, []counts{full, full, {total: 4, waiting: 3}}, 1},
		{"again after none waited", PMOndemand, []counts{full, {total: 4}, full}, 2},
		{"not while there is room", PMDynamic, []counts{{total: 3, waiting: 5}}, 0},
		{"not for a worker that starts", PMOndemand, []counts{{total: 4, starting: 1, waiting: 1}}, 0},
		{"never with static", PMStatic, []counts{full}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &Pool{cfg: PoolConfig{PM: tt.pm, MaxChildren: 4}}
			for _, n := range tt.seen {
				p.noteCrowd(n, 0)
			}
			if p.stats.MaxChildrenReached != tt.want {
				t.Errorf("counted %d, want %d", p.stats.MaxChildrenReached, tt.want)
			}
		})
	}
}
