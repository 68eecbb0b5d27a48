package ebofs

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"ebofs/devices"
)

// TestReadOfRemade: a read of attrs or omap keys that waits for the device while
// the object is made anew shows nothing of the old one.
func TestReadOfRemade(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	old := map[string][]byte{}
	for i := range 200 { // too many for a root: they are in pages
		old[fmt.Sprintf("k%03d", i)] = make([]byte, 200)
	}
	keys := slices.Sorted(maps.Keys(old))
	apply(t, s, func(x *Txn) {
		x.Touch(mainColl, oid("bare"))
		x.SetAttrs(mainColl, oid("o"), old)
		x.OmapSet(mainColl, oid("o"), old)
	})
	closeStore(t, s)

	few := map[string][]byte{"k007": []byte("new"), "other": []byte("new")}
	remade := map[string]struct {
		ops  func(x *Txn)
		want int // of the old keys
	}{
		"touched": {func(x *Txn) {
			x.Remove(mainColl, oid("o"))
			x.Touch(mainColl, oid("o"))
		}, 0},
		"clone": {func(x *Txn) { x.Clone(mainColl, oid("bare"), oid("o")) }, 0},
		"with fewer": {func(x *Txn) {
			x.Remove(mainColl, oid("o"))
			x.SetAttrs(mainColl, oid("o"), few)
			x.OmapSet(mainColl, oid("o"), few)
		}, 1},
	}
	reads := map[string]func(s *Store) ([]string, error){
		"attrs": func(s *Store) ([]string, error) {
			m, err := s.GetAttrs(bg, mainColl, oid("o"))
			delete(m, "other")
			return slices.Sorted(maps.Keys(m)), err
		},
		"omap": func(s *Store) ([]string, error) {
			m, err := s.OmapGet(bg, mainColl, oid("o"), keys)
			return slices.Sorted(maps.Keys(m)), err
		},
		"omap check": func(s *Store) ([]string, error) { return s.OmapCheck(bg, mainColl, oid("o"), keys) },
	}
	for how, by := range remade {
		for what, read := range reads {
			t.Run(how+"/"+what, func(t *testing.T) {
				dev := &blockedReads{Mem: mem.Snapshot(), seen: make(chan devices.Block, 1000)}
				s := open(t, dev, quiet())
				for _, name := range []string{"o", "bare"} { // the objects are in RAM, their attrs and keys are not
					if _, err := s.Stat(bg, mainColl, oid(name)); err != nil {
						t.Fatal(err)
					}
				}
				release := make(chan struct{})
				dev.hold(func(devices.Block) <-chan struct{} { return release })
				done := goes(func() error {
					got, err := read(s)
					if err == nil && len(got) != by.want {
						err = fmt.Errorf("%d of the keys there were, want %d: %q", len(got), by.want, got[:min(len(got), 5)])
					}
					return err
				})
				select {
				case <-dev.seen:
				case err := <-done:
					t.Fatalf("read nothing from the device: %v", err)
				}
				apply(t, s, by.ops)
				close(release)
				within(t, what, done)
				closeStore(t, s)
			})
		}
	}
}
