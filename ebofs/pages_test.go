package ebofs

import (
	"fmt"
	"testing"

	"ebofs/devices"
)

// TestWrittenPagesStay changes objects that are not in RAM checkpoint after
// checkpoint: what was written of the trees is not read back.
func TestWrittenPagesStay(t *testing.T) {
	s := newStore(t, devices.NewMem(devices.MemOptions{Blocks: 256 << 20 / blockSize}), FormatOptions{}, Options{Inline: true, MaxOnodes: 1})
	defer closeStore(t, s)
	change := func(i int) {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(fmt.Sprint(i)), 0, []byte{byte(i)}) })
	}
	for range 3 {
		for i := range 2000 {
			change(i)
		}
		if err := s.Checkpoint(bg); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.pages.Cache.Stats(); st.Misses > 0 || st.LeafHits == 0 {
		t.Errorf("%d pages read, %d leaves found; want none, and some", st.Misses, st.LeafHits)
	}
}
