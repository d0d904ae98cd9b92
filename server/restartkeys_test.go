package server

import (
	"reflect"
	"slices"
	"testing"

	"github.com/phpserve/phpserve/server/site"
)

// TestEachFieldIsReloadedOrNamed: a field that neither a reload takes over nor the refusal of one names would be ignored without a word.
func TestEachFieldIsReloadedOrNamed(t *testing.T) {
	t.Parallel()
	for f := range reflect.TypeFor[Config]().Fields() {
		if _, named := restartKeys()[f.Name]; named == slices.Contains(reloadedFields(), f.Name) {
			t.Errorf("Config.%s: it must be in one of restartKeys and reloadedFields", f.Name)
		}
	}
	for f := range reflect.TypeFor[site.Config]().Fields() {
		if siteKeys()[f.Name] == "" {
			t.Errorf("site.Config.%s is not in siteKeys", f.Name)
		}
	}
}
