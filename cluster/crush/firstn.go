package crush

import "slices"

// chooser chooses in one bucket, for one step of a rule. What it chooses is
// appended to w.out, from index base on; the leaves, if asked for, to w.leaves at
// the same indices.
type chooser struct {
	w                          *Work
	typ                        int32 // of what is chosen
	want                       int   // how many, by the rule
	tries, leafTries           int32
	localTries, localFallbacks int32
	leaf                       bool // choose a device in each bucket chosen
	varyR                      int32
	stable                     bool
	base                       int
}

// firstN appends up to want items, at most room, without gaps.
func (c *chooser) firstN(b *node, room int) {
	w, rep := c.w, 0
	if item, ok := w.forced(b, c.typ); ok {
		c.add(item, w.forcedDevice())
		rep, room = 1, room-1
	}
	for ; rep < c.want && room > 0 && w.draws >= 0; rep++ {
		s := search{c: c, typ: c.typ, rep: uint32(rep), position: len(w.out) - c.base, tries: c.tries, chosen: w.out[c.base:], leaf: c.leaf}
		if item, leaf, ok := s.run(b); ok {
			c.add(item, leaf)
			room--
		}
	}
}

// add appends a choice.
func (c *chooser) add(item, leaf int32) {
	c.w.out = append(c.w.out, item)
	if c.leaf {
		c.w.leaves = append(c.w.leaves, leaf)
	}
}

// search looks for one item of one type.
type search struct {
	c           *chooser
	typ         int32
	rep, parent uint32 // what the number of a try starts from
	position    int
	tries       int32
	chosen      []int32 // must not be found again
	leaf        bool
}

// run goes down from b until it finds an item that will do. A failure is followed
// by a try in the same bucket, while the tunables allow some, or by a new descent.
func (s *search) run(b *node) (item, leaf int32, ok bool) {
	c, w := s.c, s.c.w
	in, local := b, int32(0) // failures since the descent began
	for failures := int32(0); w.spend(); {
		r := s.rep + s.parent + uint32(failures)
		collides, rejected := false, len(in.items) == 0
		if !rejected {
			size := int32(len(in.items))
			if c.localFallbacks > 0 && local >= size/2 && local > c.localFallbacks {
				item = in.items[in.permuted(w.req.X, r)]
			} else {
				item = in.choose(w.req.Args, w.req.X, r, s.position)
			}
			typ, known := w.p.typeOf(item)
			if !known {
				return 0, 0, false
			}
			if typ != s.typ {
				if in = w.p.bucket(item); in == nil {
					return 0, 0, false // a device where a bucket was looked for
				}
				continue
			}
			collides = slices.Contains(s.chosen, item)
			if !collides {
				leaf, rejected = s.below(item, r)
			}
		}
		if !collides && !rejected {
			return item, leaf, true
		}
		failures++
		local++
		switch {
		case collides && local <= c.localTries:
		case c.localFallbacks > 0 && int(local) <= len(in.items)+int(c.localFallbacks):
		case failures < s.tries:
			in, local = b, 0
		default:
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// below finds the leaf of item, if one is wanted, and rejects what is out.
func (s *search) below(item int32, r uint32) (leaf int32, rejected bool) {
	c, w := s.c, s.c.w
	leaf = item
	if s.leaf && item < 0 {
		next := search{c: c, position: s.position, tries: c.leafTries, chosen: w.leaves[c.base:]}
		if !c.stable {
			next.rep = uint32(s.position)
		}
		if c.varyR > 0 {
			next.parent = r >> (c.varyR - 1)
		}
		var ok bool
		if leaf, _, ok = next.run(w.p.bucket(item)); !ok {
			return 0, true
		}
	}
	return leaf, s.typ == 0 && w.isOut(item)
}
