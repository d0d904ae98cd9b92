package manager

import (
	"testing"
	"time"
)

func TestScalerDecidesBySizesAndDemand(t *testing.T) {
	static := PoolConfig{PM: PMStatic, MaxChildren: 5}
	dynamic := PoolConfig{PM: PMDynamic, MaxChildren: 10, MinSpareServers: 2, MaxSpareServers: 4}
	ondemand := PoolConfig{PM: PMOndemand, MaxChildren: 20, ProcessIdleTimeout: 10 * time.Second}
	for _, c := range []struct {
		rule string
		cfg  PoolConfig
		now  counts
		want decision
	}{
		{"static fills up at the start", static, counts{}, decision{start: 5}},
		{"static replaces one that ended", static, counts{total: 4, idle: 4}, decision{start: 1}},
		{"static counts what is starting", static, counts{total: 5, starting: 1, idle: 4}, decision{}},
		{"static never shrinks", static, counts{total: 5, idle: 5, idleFor: time.Hour}, decision{}},
		{"static never exceeds pm.max_children", static, counts{total: 5, waiting: 100}, decision{}},

		{"dynamic keeps pm.min_spare_servers idle", dynamic, counts{total: 3, idle: 0}, decision{start: 2}},
		{"dynamic counts what is starting as spare", dynamic, counts{total: 3, starting: 2}, decision{}},
		{"dynamic is content between the spare limits", dynamic, counts{total: 6, idle: 4}, decision{}},
		{"dynamic ends what has been above pm.max_spare_servers", dynamic, counts{total: 9, idle: 7, spare: 7}, decision{stop: 3}},
		{"dynamic ends what has been spare all the time only", dynamic, counts{total: 9, idle: 7, spare: 5}, decision{stop: 1}},
		{"dynamic keeps what has been in use lately", dynamic, counts{total: 9, idle: 9, spare: 4}, decision{}},
		{"dynamic starts one worker per waiting request", dynamic, counts{total: 2, waiting: 5}, decision{start: 5}},
		{"dynamic starts none for a request that a starting worker will take", dynamic, counts{total: 4, starting: 2, waiting: 2}, decision{}},
		{"dynamic never exceeds pm.max_children", dynamic, counts{total: 8, waiting: 50}, decision{start: 2}},
		{"dynamic ends none while requests wait", dynamic, counts{total: 10, idle: 6, spare: 6, waiting: 1}, decision{}},
		{"dynamic at pm.max_children keeps no spare", dynamic, counts{total: 10, idle: 0}, decision{}},

		{"ondemand starts nothing without work", ondemand, counts{}, decision{}},
		{"ondemand starts a whole burst at once", ondemand, counts{waiting: 12}, decision{start: 12}},
		{"ondemand counts what is starting", ondemand, counts{total: 12, starting: 12, waiting: 12}, decision{}},
		{"ondemand adds to what is starting", ondemand, counts{total: 12, starting: 12, waiting: 15}, decision{start: 3}},
		{"ondemand never exceeds pm.max_children", ondemand, counts{total: 15, waiting: 100}, decision{start: 5}},
		{"ondemand keeps a worker up to pm.process_idle_timeout", ondemand, counts{total: 3, idle: 3, idleFor: 9 * time.Second}, decision{}},
		{"ondemand ends one idle worker after it", ondemand, counts{total: 3, idle: 3, idleFor: 10 * time.Second}, decision{stop: 1}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := scale(&c.cfg, c.now); got != c.want {
				t.Errorf("%+v: got %+v, want %+v", c.now, got, c.want)
			}
		})
	}
}

func TestScalerNeverLeavesItsBounds(t *testing.T) {
	for _, pm := range []string{PMStatic, PMDynamic, PMOndemand} {
		cfg := PoolConfig{PM: pm, MaxChildren: 4, MinSpareServers: 1, MaxSpareServers: 2, ProcessIdleTimeout: time.Second}
		for starting := range 5 {
			for idle := range 5 - starting {
				for busy := range 5 - starting - idle {
					for waiting := range 6 {
						n := counts{total: starting + idle + busy, starting: starting, idle: idle, spare: idle, waiting: waiting, idleFor: time.Minute}
						d := scale(&cfg, n)
						if d.start < 0 || d.stop < 0 || n.total+d.start > cfg.MaxChildren || d.stop > n.idle || d.start > 0 && d.stop > 0 {
							t.Errorf("%s, %+v: %+v", pm, n, d)
						}
						if waiting > starting && n.total < cfg.MaxChildren && d.start == 0 {
							t.Errorf("%s, %+v: nobody is started for the requests that wait", pm, n)
						}
					}
				}
			}
		}
	}
}
