package repair

import (
	"errors"
	"fmt"

	"ebofs/ebofs/check"
)

// ErrEpochs is returned if kept epochs may hold what the repair would lose.
var ErrEpochs = errors.New("kept epochs may hold what the repair would lose")

// mayDrop says whether a new checkpoint may be made though it drops the kept
// epochs, whose blocks it may write over: not if something is lost, unless that is
// allowed. A store without superblock has no other way to be read again.
func (r *repairer) mayDrop(s *survey) error {
	if len(r.root.Kept) == 0 {
		return nil
	}
	first, last := r.root.Kept[0].Epoch(), r.root.Kept[len(r.root.Kept)-1].Epoch()
	if !r.o.DropEpochs && !r.salvaged && (r.res.Lost > 0 || s.loses()) {
		return fmt.Errorf("%w: %d to %d", ErrEpochs, first, last)
	}
	r.res.did(Action{Code: check.KeptBad, What: fmt.Sprintf("dropped the kept epochs %d to %d: a repair begins them anew", first, last)})
	return nil
}

// loses reports whether mending what was found loses something, or may.
func (s *survey) loses() bool {
	for _, f := range s.fixes {
		if f.remove || f.replace || f.isolate {
			return true
		}
		for _, t := range f.trees() {
			if t.lossy() {
				return true
			}
			for _, c := range t.chunks {
				if c.whole || c.lost|c.move != 0 {
					return true
				}
			}
		}
	}
	for _, t := range s.cattrs {
		if t.lossy() {
			return true
		}
	}
	return false
}
