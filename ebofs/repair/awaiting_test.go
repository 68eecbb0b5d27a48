package repair

import (
	"fmt"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
)

// TestAwaitingSplit: a collection that waits for the split of another one lies in
// the other's range, which is no damage: check and repair leave both alone.
func TestAwaitingSplit(t *testing.T) {
	for _, half := range []ebofs.CollectionID{"a", "z"} { // before the other and behind it
		dev := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 >> 12})
		if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
			t.Fatal(err)
		}
		s := open(t, dev, ebofs.Options{Inline: true})
		const n = 40
		apply(t, s, func(x *ebofs.Txn) {
			x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
			x.MkColl(half, ebofs.CollSpec{Shard: -1, Pool: 1, Bits: 1, Seed: 1})
			for i := range n {
				x.Write(coll, object(fmt.Sprint(i)), 0, []byte("small"))
			}
		})
		if err := s.Close(bg); err != nil {
			t.Fatal(err)
		}
		clean(t, dev)
		_, rec := rootsOf(t, dev)
		change(t, dev, rec.ZoneTables[0].Addr.Block(), 1, clearAll)
		res, err := Run(bg, dev, Options{Mode: All})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range res.Actions {
			if a.Code == check.CollBad || a.Lost {
				t.Errorf("%+v", a)
			}
		}
		clean(t, dev)
		s = open(t, dev, ebofs.Options{Inline: true})
		apply(t, s, func(x *ebofs.Txn) { x.SplitColl(coll, 1, 1, half) })
		stay, _, err := s.List(bg, coll, nil, nil, 2*n)
		if err != nil {
			t.Fatal(err)
		}
		moved, _, err := s.List(bg, half, nil, nil, 2*n)
		if err != nil || len(stay) == 0 || len(moved) == 0 || len(stay)+len(moved) != n {
			t.Errorf("%d objects stay, %d moved, %v", len(stay), len(moved), err)
		}
		if err := s.Close(bg); err != nil {
			t.Fatal(err)
		}
		clean(t, dev)
	}
}
