package accesslog

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// strftimeCase is one call of strftime(3).
type strftimeCase struct {
	Layout string `json:"layout"`
	Zone   string `json:"zone"`
	Unix   int64  `json:"unix"`
}

// glibcStrftime asks the C library, through PHP's strftime(), which hands the format on.
func glibcStrftime(t *testing.T, cases []strftimeCase) []string {
	t.Helper()
	dir := t.TempDir()
	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	script := `<?php
error_reporting(0);
$out = [];
foreach (json_decode(file_get_contents(__DIR__ . '/cases.json')) as $c) {
	date_default_timezone_set($c->zone);
	$out[] = (string) strftime($c->layout, $c->unix);
}
echo json_encode($out);
`
	for name, text := range map[string]string{"cases.json": string(input), "strftime.php": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "php-cgi", "-n", "-q", "-d", "memory_limit=-1", filepath.Join(dir, "strftime.php"))
	cmd.Env = []string{"TZ=UTC"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot ask PHP: %v", err)
	}
	var texts []string
	if err := json.Unmarshal(out, &texts); err != nil || len(texts) != len(cases) {
		t.Fatalf("PHP gave %d answers to %d questions: %v", len(texts), len(cases), err)
	}
	return texts
}

// strftimeInstants are times at which conversions differ: ends of years, weeks that belong to another year, noon, summer time.
func strftimeInstants() []strftimeCase {
	var times []strftimeCase
	for _, at := range []struct{ zone, text string }{
		{"UTC", "2026-11-22T11:04:18Z"},
		{"UTC", "1970-01-01T00:00:00Z"},
		{"UTC", "2000-02-29T12:00:00Z"},
		{"UTC", "2021-01-03T00:59:59Z"}, // a Sunday in week 53 of the year before
		{"UTC", "2024-12-30T13:05:09Z"}, // a Monday in week 1 of the next year
		{"UTC", "2028-12-31T23:59:59Z"}, // a Sunday, day 366
		{"UTC", "2009-01-05T01:02:03Z"},
		{"America/St_Johns", "2026-07-01T02:29:30Z"},
		{"Asia/Kathmandu", "2026-12-31T18:15:00Z"},
		{"Pacific/Honolulu", "2033-06-05T10:00:00Z"},
		{"Europe/Berlin", "2026-10-25T01:30:00Z"},
	} {
		moment, err := time.Parse(time.RFC3339, at.text)
		if err != nil {
			panic(err)
		}
		times = append(times, strftimeCase{Zone: at.zone, Unix: moment.Unix()})
	}
	return times
}

func compareStrftime(t *testing.T, cases []strftimeCase) {
	t.Helper()
	failed := 0
	for i, want := range glibcStrftime(t, cases) {
		c := cases[i]
		zone, err := time.LoadLocation(c.Zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(c.Unix, 0).In(zone)
		if got := string(parseStrftime(c.Layout).append(nil, at)); got != want {
			t.Errorf("%q at %s: %q, glibc %q", c.Layout, at.Format(time.RFC3339), got, want)
			if failed++; failed == 40 {
				t.Fatal("and so on")
			}
		}
	}
	t.Logf("%d comparisons", len(cases))
}

func TestStrftimeConversionsAreThoseOfGlibc(t *testing.T) {
	t.Parallel()
	var cases []strftimeCase
	for _, instant := range strftimeInstants() {
		for conv := byte('!'); conv <= '~'; conv++ {
			if strings.IndexByte("_-0^#+123456789EO", conv) >= 0 || conv == 's' && instant.Zone != "UTC" {
				continue // PHP's own zone is not that of the C library, which %s asks
			}
			for _, modifier := range []string{"", "E", "O"} {
				cases = append(cases, strftimeCase{"<%" + modifier + string(conv) + ">", instant.Zone, instant.Unix})
			}
		}
	}
	compareStrftime(t, cases)
}

func TestStrftimeFlagsAndWidthsAreThoseOfGlibc(t *testing.T) {
	t.Parallel()
	var cases []strftimeCase
	for _, instant := range strftimeInstants() {
		for _, conv := range "%aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyYzZsfQ" {
			if conv == 's' && instant.Zone != "UTC" {
				continue
			}
			for _, flags := range []string{"", "_", "-", "0", "+", "^", "#", "_^", "^#", "0#", "-0", "0-"} {
				for _, width := range []string{"", "1", "3", "4", "5", "12", "30"} {
					cases = append(cases, strftimeCase{"<%" + flags + width + string(conv) + ">", instant.Zone, instant.Unix})
				}
			}
		}
	}
	compareStrftime(t, cases)
}

func TestStrftimeOddFormatsAreThoseOfGlibc(t *testing.T) {
	t.Parallel()
	var cases []strftimeCase
	for _, layout := range []string{
		"x", "%", "%%", "%%%", "a%", "%-", "%5", "%E", "%O", "%EO", "%EEY", "%OOd", "%E%", "%:z", "%::z", "% d", "%.3S", "%\xc3\xa9", "é%dé",
		"%d/%b/%Y:%H:%M:%S %z", "%Y-%m-%dT%H:%M:%S%z", "%+", "%+d", "%5%", "%-5%", "%^-_#d", "%*d", "%d%", "%1$d", "%Ez%Oz", "%!%",
	} {
		for _, instant := range strftimeInstants() {
			cases = append(cases, strftimeCase{layout, instant.Zone, instant.Unix})
		}
	}
	cases = slices.Clip(cases)
	for i := range cases { // JSON cannot carry bytes that are no UTF-8
		cases[i].Layout = strings.ToValidUTF8(cases[i].Layout, "\u00a9")
	}
	compareStrftime(t, cases)
}
