package layout

import (
	"errors"
	"fmt"
	"slices"

	"ebofs/internal/planted"
)

// Candidate is what was found in one superblock slot.
type Candidate struct {
	Addr  Addr       // where it was read
	Data  []byte     // the block; nil if it could not be read
	Err   error      // why it could not be read; after Best: what is wrong with it
	Super Superblock // set by Best where Err is nil
}

// Best decodes the candidates in place and returns the superblock of the newest
// generation. Damaged slots are passed over. It refuses with ErrDisagree when valid
// slots belong to different stores or devices, or one generation has two contents;
// with ErrFeature or ErrNewer when a valid slot is not for this program, since the
// sound older ones may then be stale; with ErrNoSuperblock, and the first slot's
// reason, when there is none.
func Best(cs []Candidate) (*Superblock, error) {
	var best *Superblock
	var first error
	for i := range cs {
		c := &cs[i]
		c.decode()
		if c.Err != nil {
			if isNewer(c.Err) {
				return nil, fmt.Errorf("slot %v: %w", c.Addr, c.Err)
			}
			if first == nil {
				first = fmt.Errorf("slot %v: %w", c.Addr, c.Err)
			}
			continue
		}
		s := &c.Super
		if best == nil {
			best = s
			continue
		}
		if s.FSID != best.FSID || s.DeviceUUID != best.DeviceUUID {
			return nil, fmt.Errorf("slot %v: store %v device %v, slot %v: store %v device %v: %w",
				best.Self, best.FSID, best.DeviceUUID, s.Self, s.FSID, s.DeviceUUID, ErrDisagree)
		}
		if s.Generation == best.Generation && (s.Epoch != best.Epoch || s.Root != best.Root || s.Flags != best.Flags) {
			return nil, fmt.Errorf("slots %v and %v: generation %d with epochs %d and %d: %w", best.Self, s.Self, s.Generation, best.Epoch, s.Epoch, ErrDisagree)
		}
		if s.Generation > best.Generation != planted.On(planted.SuperOldest) {
			best = s
		}
	}
	if best == nil {
		if first == nil {
			return nil, ErrNoSuperblock
		}
		return nil, fmt.Errorf("%w: %w", ErrNoSuperblock, first)
	}
	return best, nil
}

// Locate reads the superblock slots of a device and returns those of the store on
// it with the newest superblock. Where to look say the labels that could be read, in
// their order, and the size of the device; a grow that was cut off (see Grow) leaves
// them in disagreement, so that each place is looked at, and of one and the same
// device the newest generation counts. read's memory is kept.
func Locate(deviceBlocks uint64, labels []Label, read func(block uint64) ([]byte, error)) ([]Candidate, *Superblock, error) {
	slots := func(at [4]uint64) []Candidate {
		cs := make([]Candidate, len(at))
		for i, b := range at {
			cs[i].Addr = MakeAddr(0, b)
			cs[i].Data, cs[i].Err = read(b)
		}
		return cs
	}
	var places [][4]uint64
	for i := range labels {
		if l := &labels[i]; l.Blocks <= deviceBlocks && !slices.Contains(places, l.Slots) {
			places = append(places, l.Slots)
		}
	}
	if at := SlotBlocks(deviceBlocks); !slices.Contains(places, at) {
		places = append(places, at)
	}
	at := places[0]
	cs := slots(at)
	best, err := Best(cs)
	for _, other := range places[1:] {
		if err != nil && !errors.Is(err, ErrNoSuperblock) {
			break
		}
		// What disagrees there was left by another store.
		more := slots(other)
		b, e := Best(more)
		if e == nil && (err != nil || b.FSID == best.FSID && b.DeviceUUID == best.DeviceUUID && b.Generation > best.Generation) {
			at, cs, best, err = other, more, b, nil
		}
	}
	if err == nil && at != SlotBlocks(best.Blocks) {
		// The store is shorter than the device, and no label said so.
		cs = slots(SlotBlocks(best.Blocks))
		best, err = Best(cs)
	}
	return cs, best, err
}

// generationReach is how far above the best generation another one is believed: a
// recovery that never finishes uses two of them a time, noise in a damaged slot is
// almost surely beyond.
const generationReach = 1 << 20

// LastGeneration returns the generation from which the next superblock counts on,
// by adding one: that of best or, in the same slots, so high that no generation
// found in any slot is given out again, be the slot torn.
//
// Without it a write torn twice could complete itself: a crash leaves the head of
// generation g without its tail, recovery writes another superblock g over it, and
// a second crash leaves the old head with the new tail, which fit together and
// name a root that recovery has overwritten since.
func LastGeneration(cs []Candidate, best *Superblock) uint64 {
	last := best.Generation
	for i := range cs {
		p := cs[i].Data
		if len(p) != BlockSize {
			continue
		}
		for _, off := range [...]int{64, 4088} /* generation, trailer */ {
			g := le.Uint64(p[off:])
			if g <= last || g-best.Generation > generationReach {
				continue
			}
			// The slots of best stay out of reach of the next write.
			last = g + (g-best.Generation)%2
		}
	}
	return last
}

func (c *Candidate) decode() {
	if c.Err != nil {
		return
	}
	if c.Data == nil {
		c.Err = ErrNoSuperblock
		return
	}
	if c.Super, c.Err = DecodeSuperblock(c.Data); c.Err != nil {
		if x, ok := c.Err.(*Corruption); ok {
			x.Addr = c.Addr
		}
		return
	}
	if c.Super.Self.Block() != c.Addr.Block() {
		c.Err = &Corruption{Kind: "superblock", Addr: c.Addr, Field: "self address", Got: c.Super.Self.String(), Want: c.Addr.String(), Err: ErrMisplaced}
	}
}
