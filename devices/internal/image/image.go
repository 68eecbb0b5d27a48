package image

// BlockSize is the size of a page in bytes; devices.BlockSize, which this
// package cannot import.
const BlockSize = 4096

// Page is the content of one block.
type Page = [BlockSize]byte

const (
	fanBits = 6 // 64 children: a bitmap of them is one word, a path copy 0.5 KiB a level
	fan     = 1 << fanBits
)

// Image is a sparse array of blocks. It is not safe for concurrent use.
type Image struct {
	tok    *byte // identity of the owner of nodes that may be changed in place
	root   *node // nil: all zeros
	levels int   // height of the tree; 1: the root holds pages
	track  bool  // sums are kept up to date
}

// node is a bottom node (pages) or an inner node (kids).
type node struct {
	owner *byte // the node may be changed in place by the image with this token
	sum   uint64
	kids  *[fan]*node
	pages *[fan]*Page
	sums  *[fan]uint64 // sum of each page; only in tracked images
	mine  uint64       // bit i: pages[i] was allocated by owner, so it may be changed in place too
}

// New returns an image of zeros that can hold blocks [0, blocks).
func New(blocks uint64) *Image {
	m := &Image{tok: new(byte), levels: 1}
	for n := (blocks + fan - 1) >> fanBits; n > 1; n = (n + fan - 1) >> fanBits {
		m.levels++
	}
	return m
}

// Clone returns an independent copy in constant time: both images share every
// node until one of them writes.
func (m *Image) Clone() *Image {
	c := *m
	m.tok, c.tok = new(byte), new(byte)
	return &c
}

// Get returns the page of block b, or nil if it reads as zeros. The page must
// not be changed, and changes with the next Write to b.
func (m *Image) Get(b uint64) *Page {
	n := m.root
	for l := m.levels - 1; n != nil; l-- {
		i := b >> (l * fanBits) & (fan - 1)
		if l == 0 {
			return n.pages[i]
		}
		n = n.kids[i]
	}
	return nil
}

// Write copies p, one block, to block b.
func (m *Image) Write(b uint64, p []byte) {
	_ = p[BlockSize-1]
	m.update(b, func(n *node, i uint64) uint64 {
		if n.mine>>i&1 == 0 {
			n.pages[i] = (*Page)(append([]byte(nil), p[:BlockSize]...)) // unlike new, zeroes nothing first
			n.mine |= 1 << i
		} else {
			copy(n.pages[i][:], p)
		}
		if !m.track {
			return 0
		}
		return Sum(b, n.pages[i])
	})
}

// Put makes page the content of block b without copying it; nil stands for
// zeros. The caller must not change the page afterwards. sum is Sum(b, page).
func (m *Image) Put(b uint64, page *Page, sum uint64) {
	m.update(b, func(n *node, i uint64) uint64 {
		n.pages[i] = page
		n.mine &^= 1 << i
		return sum
	})
}

// update walks to the bottom node of block b, making the nodes on the way the
// image's own, lets set change the entry and carries its new sum upwards.
func (m *Image) update(b uint64, set func(n *node, i uint64) uint64) {
	var path [12]*node // 6 bits a level: more than 64 bits of block number
	at := &m.root
	for l := m.levels - 1; ; l-- {
		n := m.own(*at, l)
		*at, path[l] = n, n
		i := b >> (l * fanBits) & (fan - 1)
		if l > 0 {
			at = &n.kids[i]
			continue
		}
		sum := set(n, i)
		if n.sums == nil {
			return
		}
		delta := n.sums[i] ^ sum
		n.sums[i] = sum
		for _, n := range path[:m.levels] {
			n.sum ^= delta
		}
		return
	}
}

// own returns n, or a copy of it that m may change. A nil n becomes empty.
func (m *Image) own(n *node, level int) *node {
	if n != nil && n.owner == m.tok {
		return n
	}
	c := &node{owner: m.tok}
	if n != nil {
		c.sum = n.sum
	}
	if level > 0 {
		c.kids = new([fan]*node)
		if n != nil {
			*c.kids = *n.kids
		}
		return c
	}
	c.pages = new([fan]*Page)
	if m.track {
		c.sums = new([fan]uint64)
	}
	if n != nil {
		*c.pages = *n.pages
		if m.track {
			*c.sums = *n.sums
		}
	}
	return c
}

// Zero makes blocks [b, b+n) read as zeros. Subtrees inside the range are
// dropped whole.
func (m *Image) Zero(b, n uint64) {
	if m.root != nil && n > 0 {
		m.root = m.zero(m.root, m.levels-1, 0, b, b+n)
	}
}

// zero returns the node of that level starting at block base, without blocks
// [lo, hi), or nil if nothing is left of it by being inside the range.
func (m *Image) zero(n *node, level int, base, lo, hi uint64) *node {
	span := uint64(1) << (level * fanBits) // blocks of one entry
	if n == nil || lo <= base && base+span*fan <= hi {
		return nil
	}
	n = m.own(n, level)
	for i := range uint64(fan) {
		at := base + i*span
		if at+span <= lo || hi <= at {
			continue
		}
		if level == 0 {
			n.pages[i] = nil
			n.mine &^= 1 << i
			if n.sums != nil {
				n.sum ^= n.sums[i]
				n.sums[i] = 0
			}
			continue
		}
		was := sumOf(n.kids[i])
		n.kids[i] = m.zero(n.kids[i], level-1, at, lo, hi)
		n.sum ^= was ^ sumOf(n.kids[i])
	}
	return n
}

// Each calls fn for every block that has a page, in order, until it returns
// false.
func (m *Image) Each(fn func(b uint64, p *Page) bool) { each(m.root, m.levels-1, 0, fn) }

func each(n *node, level int, base uint64, fn func(uint64, *Page) bool) bool {
	if n == nil {
		return true
	}
	for i := range uint64(fan) {
		at := base + i<<(level*fanBits)
		if level > 0 {
			if !each(n.kids[i], level-1, at, fn) {
				return false
			}
		} else if p := n.pages[i]; p != nil && !fn(at, p) {
			return false
		}
	}
	return true
}

func sumOf(n *node) uint64 {
	if n == nil {
		return 0
	}
	return n.sum
}
