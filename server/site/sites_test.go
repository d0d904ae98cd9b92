package site

import (
	"errors"
	"fmt"
	"testing"
)

func TestBadInputHostNamesInAnyCaseFindTheirSite(t *testing.T) {
	t.Parallel()
	// CVE-2026-27588 needed more than 100 hosts: another look-up is used then.
	all := []*Site{{Config: Config{}}}
	for i := range 150 {
		all = append(all, &Site{Config: Config{Hosts: []string{fmt.Sprintf("Site%d.test", i), fmt.Sprintf("*.wild%d.test", i)}}})
	}
	m, err := NewSites(all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSites(nil); !errors.Is(err, ErrNoSites) {
		t.Errorf("without a site: %v", err)
	}
	for host, want := range map[string]int{
		"site7.test": 8, "SITE7.TEST": 8, "sItE149.test": 150, "site7.test.": 8, "a.wild7.test": 8, "A.WILD7.TEST.": 8,
		"": 0, "other.test": 0, "wild7.test": 0, "a.b.wild7.test": 0, ".wild7.test.evil": 0, "site7.test.evil": 0, "*.wild7.test": 8,
	} {
		if got := m.Find(host); got != all[want] {
			t.Errorf("%q found %v, want site %d", host, got.Config.Hosts, want)
		}
	}
}
