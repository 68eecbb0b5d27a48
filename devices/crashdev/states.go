package crashdev

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"

	"ebofs/devices"
	"ebofs/devices/internal/image"
)

// Policy says which of the states of a point to visit. The zero value visits
// all that are worth it: every subset of up to 10 pending writes; of more, none,
// all, each alone, each missing, every prefix in issue and in completion order
// and 32 random subsets; and each write torn in four ways, with all others kept
// and with only the earlier ones kept. Equal images are visited once.
type Policy struct {
	// AllSubsets is the largest number of pending writes of which every subset
	// is visited; 0 means 10 (1,024 subsets), negative none. At most 20.
	AllSubsets int
	// Random is the number of random subsets beyond that; 0 means 32.
	Random int
	// NoTorn leaves out torn writes.
	NoTorn bool
	// Limit is the largest number of states; 0 means no limit. Beyond it, states
	// are chosen at random, "none" and "all" always among them.
	Limit int
	// Seed decides everything random, so that a state can be had again.
	Seed uint64
	// Seen remembers images across points and devices; nil: within this point.
	Seen *Seen
}

// Seen is a set of images visited under a tag. The zero value is empty. It may
// be used by several goroutines.
type Seen struct {
	mu  sync.Mutex
	set map[[2]uint64]struct{}
}

// add returns whether the image is new under the tag.
func (s *Seen) add(hash, tag uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := [2]uint64{hash, tag}
	if _, ok := s.set[k]; ok {
		return false
	}
	if s.set == nil {
		s.set = map[[2]uint64]struct{}{}
	}
	s.set[k] = struct{}{}
	return true
}

// Len returns the number of images in the set.
func (s *Seen) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.set)
}

// State is what one crash left: a device of its own, to be opened, written,
// and crashed again by New(s.Mem).
type State struct {
	*devices.Mem
	Point Point
	fates fates
}

// String says where the power failed and what became of each pending write.
func (s *State) String() string { return fmt.Sprintf("crash after %v: %v", s.Point, s.fates) }

// fate is what becomes of one pending write.
type fate uint8

const (
	lost fate = iota
	kept
	tornFirst   // the first half was written
	tornSecond  // the second half was written
	tornRandom  // random sectors were written
	tornGarbage // all was written, but one sector is noise
	numFates
)

// fates are the fates of all pending writes, in issue order.
type fates []fate

func (f fates) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d pending, ", len(f))
	for _, x := range f {
		s.WriteByte("-+12?#"[x])
	}
	return s.String()
}

// States yields the states a crash at p may leave, "nothing pending kept"
// first. It may be called while the device is in use.
func (d *Device) States(p Point, o Policy) iter.Seq[*State] {
	base, pending, completed := d.at(p)
	if o.Seen == nil {
		o.Seen = new(Seen)
	}
	return func(yield func(*State) bool) {
		n := 0
		for i, f := range o.plan(pending, completed, int(d.g.TearBytes)) {
			if o.Limit > 0 && n == o.Limit {
				return
			}
			img := base.Clone()
			d.build(img, pending, f, o.Seed+uint64(i))
			if !o.Seen.add(img.Hash(), p.Tag) {
				continue
			}
			n++
			if !yield(&State{Mem: devices.MemOf(d.g, img), Point: p, fates: f}) {
				return
			}
		}
	}
}

// Clone returns one state that a power cut now could leave, decided by seed.
func (d *Device) Clone(seed uint64) *State {
	p := d.Now()
	base, pending, _ := d.at(p)
	r := rand.New(rand.NewPCG(seed, 0))
	f := make(fates, len(pending))
	for i := range f {
		if f[i] = fate(r.IntN(2)); r.IntN(4) == 0 && pending[i].sectors(int(d.g.TearBytes)) > 1 {
			f[i] = tornFirst + fate(r.IntN(int(numFates-tornFirst)))
		}
	}
	d.build(base, pending, f, seed)
	return &State{Mem: devices.MemOf(d.g, base), Point: p, fates: f}
}

// at returns the durable content at a point, the writes pending there in issue
// order, and their order of completion as indices into that; writes in flight
// complete last.
func (d *Device) at(p Point) (base *image.Image, pending []*write, completed []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.snaps[0]
	for i := len(d.snaps) - 1; i > 0; i-- {
		if d.snaps[i].seq <= p.Seq {
			s = d.snaps[i]
			break
		}
	}
	for _, w := range d.writes[s.first:] {
		if w.issued > p.Seq {
			break
		}
		if w.durable > p.Seq {
			pending = append(pending, w)
		}
	}
	return s.img.Clone(), pending, completionOrder(pending, p.Seq)
}

// build applies the pending writes to img according to their fates.
func (d *Device) build(img *image.Image, pending []*write, f fates, seed uint64) {
	for i, w := range pending {
		switch f[i] {
		case lost:
		case kept:
			w.apply(img)
		default:
			w.tear(img, f[i], int(d.g.TearBytes), rand.New(rand.NewPCG(seed, uint64(i))))
		}
	}
}
