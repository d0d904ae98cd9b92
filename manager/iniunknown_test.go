package manager

import (
	"slices"
	"strings"
	"testing"
)

func TestUnknownSettingsAreToldWithWhatWasMeant(t *testing.T) {
	t.Parallel()
	php := realPHP(t)
	c := DefaultPoolConfig(1)
	c.PHPValue = []string{"memory=256M", "memory_limit=256M", "display_error=1", "Memory_Limit=1", "opcache.enable=1"}
	c.PHPAdminValue = []string{"nothing.like.it=1", "session.gc_maxlifetimes=3"}
	if err := php.probe(t.Context(), &PoolConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	const begin, end = "this PHP has no setting ", ", which a php_value or php_admin_value of the pool sets"
	want := []string{
		begin + "memory" + end + "; did you mean memory_limit?", begin + "display_error" + end + "; did you mean display_errors?",
		begin + "Memory_Limit" + end + "; did you mean memory_limit?", begin + "nothing.like.it" + end,
		begin + "session.gc_maxlifetimes" + end + "; did you mean session.gc_maxlifetime?",
	}
	if got := c.unknownSettings(php); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	// And what is told is in the log of the pool.
	log, said := testLog()
	c.Engine, c.User, c.AllowRoot = EngineSpawn, "", true
	p, err := NewPool(t.Context(), c, php, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	p.Stop(t.Context())
	if text := said(); !strings.Contains(text, "did you mean memory_limit?") || !strings.Contains(text, MessageNoEffect) {
		t.Errorf("the log says\n%s", text)
	}
}
