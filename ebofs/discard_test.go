package ebofs

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"ebofs/devices"
)

// TestDiscardFreed: what was freed is discarded once it makes a run worth it, together
// with what is free beside it, and not if it is in use again.
func TestDiscardFreed(t *testing.T) {
	for _, unit := range []uint32{4096, 192 << 10} {
		s, mem, gone := trimmedStore(t, trimGeometry(unit), Options{Inline: true})
		d := s.discarder(1 << 40)
		s.discards.on = true
		round := func() uint64 {
			t.Helper()
			mustCheckpoint(t, s)
			*gone = nil
			if err := s.discardFreed(bg, d); err != nil {
				t.Fatal(err)
			}
			sum := uint64(0)
			for _, r := range *gone {
				if blocks := uint64(unit) / blockSize; r[0]%blocks != 0 || r[1]%blocks != 0 || r[1] < mib/blockSize {
					t.Errorf("discarded %v, the device's unit is %d", r, unit)
				}
				sum += r[1]
			}
			return sum * blockSize
		}
		if n := round(); n > 3*mib {
			t.Errorf("%d bytes discarded, nothing large was freed", n)
		}
		for i := 2; i < 10; i += 2 { // each beside one that was removed before
			apply(t, s, func(x *Txn) { x.Remove(mainColl, growObject(i)) })
		}
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(20), 0, pattern(20, 0, 5*mib)) })
		mustCheckpoint(t, s)
		apply(t, s, func(x *Txn) { x.Remove(mainColl, growObject(20)) })
		if n := round(); n < 4*mib {
			t.Errorf("%d bytes discarded", n)
		}
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(21), 0, pattern(21, 0, 8*mib)) })
		if n := round(); n > 3*mib {
			t.Errorf("%d bytes discarded again", n)
		}
		for i, size := range map[int]int{0: 700 << 10, 21: 8 * mib} {
			if got, err := whole(s, growObject(i), size); err != nil || !bytes.Equal(got, pattern(i, 0, size)) {
				t.Errorf("object %d: %d bytes, %v", i, len(got), err)
			}
		}
		checkSpace(t, s)
		closeStore(t, s)
		fsck(t, mem)
	}
}

// TestDiscardBusy discards in the background what others free, while they use it again.
func TestDiscardBusy(t *testing.T) {
	g := trimGeometry(4096)
	mem := devices.NewMem(devices.MemOptions{Geometry: &g})
	s := newStore(t, mem, FormatOptions{LogBytes: 4 * mib}, Options{CheckpointInterval: 5 * time.Millisecond, DiscardBytesPerSecond: 1 << 40})
	const rounds = 20
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := 1; n <= rounds; n++ {
				x := NewTxn()
				x.Write(mainColl, growObject(w), 0, pattern(w, n, 2*mib))
				if err := s.Apply(bg, x); err != nil {
					t.Error(err)
					return
				}
				if got, err := whole(s, growObject(w), 2*mib); err != nil || !bytes.Equal(got, pattern(w, n, 2*mib)) {
					t.Errorf("object %d, round %d: %d bytes, %v", w, n, len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
	for deadline := time.Now().Add(20 * time.Second); s.Metrics().Discarded == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is discarded")
		}
		apply(t, s, func(x *Txn) { x.Touch(mainColl, growObject(9)) }) // for another checkpoint
	}
	closeStore(t, s)
	fsck(t, mem)
	s = open(t, mem, Options{Inline: true})
	for w := range 4 {
		if got, err := whole(s, growObject(w), 2*mib); err != nil || !bytes.Equal(got, pattern(w, rounds, 2*mib)) {
			t.Errorf("object %d: %d bytes, %v", w, len(got), err)
		}
	}
	checkSpace(t, s)
	closeStore(t, s)
}

// whole reads an object of that size.
func whole(s *Store, id ObjectID, size int) ([]byte, error) {
	p := make([]byte, size)
	n, err := s.Read(bg, mainColl, id, 0, p)
	return p[:n], err
}
