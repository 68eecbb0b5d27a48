package stock

import (
	"cmp"
	"context"
	"os"
	"testing"
	"time"

	"ebofs/tools/daemon"
	"ebofs/tools/local"
)

// Cluster says what cluster of ours is wanted: local.Options for tests.
type Cluster struct {
	OSDs       int    // default 1
	OSDBytes   uint64 // of each; default 4 GiB, sparse
	Auth, Mode string // default: none and crc
}

// Ours is a cluster of this project's daemons, in the test's process.
type Ours struct {
	*local.Cluster
	Dir string
}

// StartOurs starts a cluster that ends with the test.
func StartOurs(t testing.TB, o Cluster) *Ours {
	t.Helper()
	dir, err := os.MkdirTemp("", "ours")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := local.Make(ctx, local.Options{
		Dir: dir, OSDs: o.OSDs, OSDBytes: cmp.Or(o.OSDBytes, 4<<30), Auth: cmp.Or(o.Auth, "none"), Mode: cmp.Or(o.Mode, "crc"),
		Tuning: daemon.Tuning{Fast: true, Unsafe: true, Report: 200 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &Ours{Cluster: c, Dir: dir}
}
