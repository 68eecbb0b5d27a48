package btree

import (
	"bytes"
	"context"
	"slices"
)

// Value is what one of two trees holds under a key: the value, or where it is.
type Value struct {
	Val []byte
	Ext []BlobExtent // of an overflow value
}

// Diff calls fn, in order, for every key whose value is not the same in two trees
// of one kind; a or b is nil where the key is missing. What fn is given is valid
// during the call. Subtrees that both trees share are not read, so that it costs
// what was changed between them. The first damage ends it.
func Diff(ctx context.Context, ld Loader, cfg *Config, own *Owner, a, b Root, fn func(key []byte, a, b *Value) error) error {
	d := differ{ctx: ctx, ld: ld, cfg: cfg, own: own}
	var s [2]side
	defer func() { s[0].close(); s[1].close() }()
	for i, r := range [...]Root{a, b} {
		if err := s[i].open(&d, r); err != nil {
			return err
		}
	}
	for !s[0].ended() || !s[1].ended() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.step(&s[0], &s[1], fn); err != nil {
			return err
		}
	}
	return nil
}

type differ struct {
	ctx context.Context
	ld  Loader
	cfg *Config
	own *Owner
}

// side is a position in one tree: in front of an item, or of a subtree that has
// not been looked into.
type side struct {
	stack []diffFrame
	root  *Ptr   // not looked into yet
	key   []byte // of the item in front
}

// diffFrame is a node that is being gone through.
type diffFrame struct {
	page *Page // nil: an inline root
	body *body
	next int
}

func (s *side) open(d *differ, r Root) error {
	switch r.Kind {
	case RootInline:
		in, err := openInlineOf(d.cfg, r.Inline)
		if err == nil {
			err = in.checkRecords(0)
		}
		if err != nil {
			return err
		}
		s.stack = append(s.stack, diffFrame{body: &in})
		s.settle()
	case RootNode:
		s.root = &r.Ptr
	}
	return nil
}

func (s *side) close() {
	for _, f := range s.stack {
		if f.page != nil {
			f.page.Release()
		}
	}
	s.stack = nil
}

func (s *side) ended() bool { return s.root == nil && len(s.stack) == 0 }

// subtree returns the subtree in front, if that is what is there.
func (s *side) subtree() (Ptr, bool) {
	if s.root != nil {
		return *s.root, true
	}
	if len(s.stack) == 0 {
		return Ptr{}, false
	}
	f := &s.stack[len(s.stack)-1]
	if f.page == nil || !f.page.inner {
		return Ptr{}, false
	}
	p, _, _ := f.page.Child(f.next)
	return p, true
}

// before reports whether an item is in front whose key is below all of the subtree
// that is in front of t: looking into that can wait, and may not be needed.
func (s *side) before(t *side) bool {
	if _, node := s.subtree(); node || s.ended() {
		return false
	}
	for i := len(t.stack) - 1; i >= 0; i-- {
		if f := &t.stack[i]; f.next > 0 {
			return bytes.Compare(s.key, f.page.appendKey(nil, f.next-1)) < 0
		}
	}
	return false
}

// item returns the value in front; its key is s.key.
func (s *side) item() *Value {
	f := &s.stack[len(s.stack)-1]
	val, over := f.body.value(f.next)
	if over {
		return &Value{Ext: overflowExtents(val)}
	}
	return &Value{Val: val}
}

// skip passes over what is in front.
func (s *side) skip() {
	if s.root != nil {
		s.root = nil
		return
	}
	s.stack[len(s.stack)-1].next++
	s.settle()
}

// settle leaves nodes that are done, and reads the key of the item in front.
func (s *side) settle() {
	for n := len(s.stack); n > 0; n = len(s.stack) {
		f := &s.stack[n-1]
		if f.next < f.body.n {
			if f.page == nil || !f.page.inner {
				s.key = f.body.appendKey(s.key[:0], f.next)
			}
			return
		}
		if f.page != nil {
			f.page.Release()
		}
		s.stack = s.stack[:n-1]
		if n > 1 {
			s.stack[n-2].next++
		}
	}
}

// enter looks into the subtree in front.
func (s *side) enter(d *differ, p Ptr) error {
	page, err := d.ld.Load(d.ctx, d.cfg, d.own, p)
	if err != nil {
		return err
	}
	s.root = nil
	s.stack = append(s.stack, diffFrame{page: page, body: &page.body})
	s.settle()
	return nil
}

// step gets at least one side on.
func (d *differ) step(a, b *side, fn func(key []byte, a, b *Value) error) error {
	pa, nodeA := a.subtree()
	pb, nodeB := b.subtree()
	switch {
	case nodeA && nodeB && pa == pb:
		a.skip()
		b.skip()
		return nil
	case nodeA && !b.before(a) && (!nodeB || pa.Level >= pb.Level):
		return a.enter(d, pa)
	case nodeB && !a.before(b):
		return b.enter(d, pb)
	}
	c := 0
	switch {
	case nodeA || a.ended():
		c = 1
	case nodeB || b.ended():
		c = -1
	default:
		c = bytes.Compare(a.key, b.key)
	}
	var va, vb *Value
	key := a.key
	if c <= 0 {
		va = a.item()
	}
	if c >= 0 {
		vb, key = b.item(), b.key
	}
	if c != 0 || !bytes.Equal(va.Val, vb.Val) || !slices.Equal(va.Ext, vb.Ext) {
		if err := fn(key, va, vb); err != nil {
			return err
		}
	}
	if c <= 0 {
		a.skip()
	}
	if c >= 0 {
		b.skip()
	}
	return nil
}
