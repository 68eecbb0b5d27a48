package ebofs

import (
	"fmt"
	"testing"
)

// TestDenseLoss makes holes in objects whose extents were one run: their onodes grow, and
// what the checkpoint writes was promised.
func TestDenseLoss(t *testing.T) {
	const objects, together = 8000, 1000
	s := newStore(t, newMem(512), FormatOptions{}, quiet())
	defer closeStore(t, s)
	all := func(change func(x *Txn, o ObjectID)) {
		for i := 0; i < objects; i += together {
			apply(t, s, func(x *Txn) {
				for j := range together {
					change(x, oid(fmt.Sprint(i+j)))
				}
			})
		}
	}
	all(func(x *Txn, o ObjectID) { x.Write(mainColl, o, 0, pattern(1, 0, 3*blockSize)) })
	mustCheckpoint(t, s)
	before := s.metaBlocks.Load()
	all(func(x *Txn, o ObjectID) { x.Zero(mainColl, o, blockSize, blockSize) })
	w := s.dirty.pressure()
	mustCheckpoint(t, s)
	after, promised := s.metaBlocks.Load(), w.tokens.meta(before)
	t.Logf("%d blocks of nodes, then %d; promised %d", before, after, promised)
	if after < before*3/2 || after > promised {
		t.Errorf("%d blocks of nodes, then %d; promised %d", before, after, promised)
	}
}
