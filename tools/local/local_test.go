package local

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ebofs/tools/daemon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCluster makes a cluster, stops it and goes on with it.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o := Options{Dir: t.TempDir(), OSDs: 2, OSDBytes: 256 << 20, Memory: 64 << 20, Tuning: daemon.Tuning{Fast: true, Unsafe: true, Report: 50 * time.Millisecond}}
	for round := range 2 {
		c, err := Make(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if _, err := c.Command(ctx, "osd pool create", "pool", "p", "pg_num", 8); err != nil {
				t.Error(err)
			}
		}
		if err := c.WaitClean(ctx); err != nil {
			t.Error(err)
		}
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}
