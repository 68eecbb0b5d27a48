package ebofs

import (
	"fmt"
	"testing"
)

// TestStatfsManyKeys sets a key in each of many small transactions. They change the
// same few nodes again and again and take next to no space.
func TestStatfsManyKeys(t *testing.T) {
	mem := newMem(256)
	format(t, mem, FormatOptions{})
	s := open(t, mem, quiet())
	c := manyColls(t, s, 1)[0]
	before, err := s.Statfs()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		apply(t, s, func(x *Txn) {
			x.OmapSet(c, idIn(c, "o"), map[string][]byte{fmt.Sprintf("%08d", i): {1}})
		})
	}
	if s.metrics.Checkpoints.Load() > 5 {
		t.Errorf("%d checkpoints in between", s.metrics.Checkpoints.Load())
	}
	after, err := s.Statfs()
	if err != nil || before.Available > after.Available+16<<20 {
		t.Errorf("%d bytes available, before %d, %v", after.Available, before.Available, err)
	}
}
