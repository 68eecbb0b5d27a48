package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/ebofs"
	"ebofs/osd"
	"ebofs/osd/ebofsstore"
	"ebofs/osd/pg"
)

// groups returns the collections of a pool's PGs.
func (c *cluster) groups(pool int) []osd.CollectionID {
	c.t.Helper()
	all, err := c.store.Collections(ctx(c.t))
	must(c.t, err)
	return slices.DeleteFunc(all, func(id osd.CollectionID) bool { return !strings.HasPrefix(string(id), fmt.Sprintf("%d.", pool)) })
}

// gone waits until nothing of a pool is left.
func (c *cluster) gone(pool int) {
	c.t.Helper()
	end := ctx(c.t).Done()
	for len(c.groups(pool)) > 0 {
		select {
		case <-end:
			c.t.Fatalf("of pool %d there is still %q", pool, c.groups(pool))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestDeletedPool: what a deleted pool held goes, also if the OSD stopped in the
// middle of it; other pools stay, and so does a PG of a pool that the map never had.
func TestDeletedPool(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 2)
	x.pool("q", 2)
	for i := range 600 { // more than go in one transaction
		x.do("p", fmt.Sprint("o", i), writeFull("one"))
	}
	x.do("q", "o", writeFull("other"))
	strange := ceph.PG{Pool: 77}
	var txn osd.Transaction
	pg.Create(&txn, strange, 1, pg.Info{Created: 1})
	must(t, osd.Apply(ctx(t), c.store, &txn))

	// The OSD is down when the pool is deleted, and one PG was half removed.
	c.stop()
	x.command("config set", "who", "mon", "name", "mon_allow_pool_delete", "value", "true")
	x.command("osd pool delete", "pool", "p", "pool2", "p", "yes_i_really_really_mean_it", true)
	s, err := ebofs.Open(ctx(t), c.dev, ebofs.Options{MemoryBytes: 128 << 20})
	must(t, err)
	txn = osd.Transaction{}
	txn.RenameColl("1.0_head", pg.CollectionIn(ceph.PG{Pool: 1}, pg.Removing))
	must(t, osd.Apply(ctx(t), ebofsstore.New(s), &txn))
	must(t, s.Close(ctx(t)))
	c.start()
	c.gone(1)

	// And while it is up.
	x.pool("r", 2)
	x.do("r", "o", writeFull("third"))
	if n := len(c.groups(3)); n == 0 {
		t.Fatal("no PGs of pool 3")
	}
	x.command("osd pool delete", "pool", "r", "pool2", "r", "yes_i_really_really_mean_it", true)
	c.gone(3)
	if r := x.do("q", "o", read()); r.Result < 0 || string(r.Ops[0].Data) != "other" {
		t.Errorf("another pool's object: %v, %q", r.Result, r.Ops[0].Data)
	}
	if got := c.groups(77); len(got) != 1 {
		t.Errorf("of a pool that the map never had: %q", got)
	}
}
