package accept

import "testing"

func TestConnectionsAreDerivedFromTheLimitOnOpenFiles(t *testing.T) {
	t.Parallel()
	limit := OpenFilesLimit()
	if limit == 0 {
		t.Fatal("no limit on open files")
	}
	most, err := MaxConnections(0, 1, 10)
	if err != nil || most < leastConnections || most > limit/2 {
		t.Errorf("%d connections with %d open files, %v", most, limit, err)
	}
	if many, err := MaxConnections(0, 1, 1<<30); err != nil || many > most || many < leastConnections {
		t.Errorf("%d connections with many workers, %v", many, err)
	}
	if _, err := MaxConnections(limit, 1, 0); err == nil {
		t.Error("as many connections as open files")
	}
	if got, err := MaxConnections(leastConnections, 1, 0); err != nil || got != leastConnections {
		t.Errorf("got %d, %v", got, err)
	}
}
