package layout

import "fmt"

const (
	// RefBlocks is how many neighbouring blocks of the device one value of the refs
	// tree counts: as many as a chunk maps, so that data written in one piece and
	// cloned costs about one value a chunk.
	RefBlocks = 64

	// MaxRefBytes is the size of the longest group.
	MaxRefBytes = refHeader + RefBlocks*refRun

	refHeader  = 4
	refRun     = 8
	refVersion = 1
)

// RefGroup is the decoded value of the refs tree, whose key is the address of its
// first block divided by RefBlocks. Count[i] says how many extents map block i: 0
// and never 1 where that is not more than one, which needs no count.
//
//	off len field
//	  0   1 type        'R'
//	  1   1 version
//	  2   1 min reader
//	  3   1 runs
//	  4     runs × 8    ascending, without overlap, neighbours of equal count joined
//	          0   1 first   block in the group
//	          1   1 blocks
//	          2   2 reserved, zero
//	          4   4 count   2 or more
type RefGroup struct {
	Count [RefBlocks]uint32
}

// RefKey returns the key of the group that counts the block at a, and the block's
// place in it.
func RefKey(a Addr) (key [8]byte, i int) {
	return Uint64Key(uint64(a) / RefBlocks), int(uint64(a) % RefBlocks)
}

// Empty reports whether no block of the group has a count: then it has no value.
func (g *RefGroup) Empty() bool { return g.Count == [RefBlocks]uint32{} }

// Append appends the encoding of g to dst.
func (g *RefGroup) Append(dst []byte) ([]byte, error) {
	from := len(dst)
	dst = append(dst, 'R', refVersion, refVersion, 0)
	for i := 0; i < RefBlocks; {
		c, n := g.Count[i], 1
		if c == 1 {
			return dst[:from], fmt.Errorf("refs: block %d is counted once: %w", i, ErrInvalid)
		}
		for i+n < RefBlocks && g.Count[i+n] == c {
			n++
		}
		if c != 0 {
			dst = append(dst, uint8(i), uint8(n), 0, 0)
			dst = le.AppendUint32(dst, c)
			dst[from+3]++
		}
		i += n
	}
	if dst[from+3] == 0 {
		return dst[:from], fmt.Errorf("refs: nothing is counted: %w", ErrInvalid)
	}
	return dst, nil
}

// DecodeRefGroup decodes p into g, which it overwrites even if it fails.
func DecodeRefGroup(p []byte, g *RefGroup) error {
	*g = RefGroup{}
	if len(p) < refHeader {
		return truncated("refs", "value", len(p), refHeader)
	}
	if p[0] != 'R' {
		return &Corruption{Kind: "refs", Field: "type", Got: fmt.Sprint(p[0]), Want: fmt.Sprint('R'), Err: ErrBadMagic}
	}
	if p[2] > refVersion {
		return &Corruption{Kind: "refs", Field: "min reader", Got: fmt.Sprint(p[2]), Want: fmt.Sprintf("≤ %d", refVersion), Err: ErrNewer}
	}
	runs := int(p[3])
	if runs == 0 || len(p) != refHeader+refRun*runs {
		return malformed("refs", "runs, bytes", fmt.Sprint(runs, ", ", len(p)), nil)
	}
	end := 0
	for r := range runs {
		q := p[refHeader+refRun*r:]
		first, n, count := int(q[0]), int(q[1]), le.Uint32(q[4:])
		joined := r > 0 && first == end && g.Count[end-1] == count
		if first < end || n == 0 || first+n > RefBlocks || count < 2 || q[2] != 0 || q[3] != 0 || joined {
			return malformed("refs", fmt.Sprintf("run %d", r), fmt.Sprintf("%d~%d counted %d", first, n, count), fmt.Sprintf("from %d, 2 or more", end))
		}
		for i := range n {
			g.Count[first+i] = count
		}
		end = first + n
	}
	return nil
}
