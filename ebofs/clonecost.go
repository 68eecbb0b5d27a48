package ebofs

import (
	"context"
	"errors"
	"fmt"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// What a clone costs depends on its source, which is not known for sure before
// the queues are held, while space is promised before that. So the source is
// looked at twice: if it has grown in between, the transaction starts again.

// errGrown says that a source has outgrown what was promised for its clone.
var errGrown = errors.New("a clone's source has grown")

// need bounds what a clone adds to its checkpoint.
type need struct {
	chunks uint64 // records of extents
	data   uint64 // journaled blocks, folded once more
	meta   uint64 // bytes of attributes, omap and header
}

func (n *need) add(m need) {
	n.chunks += m.chunks
	n.data += m.data
	n.meta += m.meta
}

func (n *need) exceeds(m need) bool { return n.chunks > m.chunks || n.data > m.data || n.meta > m.meta }

// bytes is what the clone keeps in RAM until then.
func (n *need) bytes() int64 { return int64(n.data<<blockShift) + n.heap() }

// heap is what of it are no journaled blocks: edits of source and clone, entries of deltas.
func (n *need) heap() int64 {
	return 2*int64(n.chunks)*(editsBytes+layout.ChunkBlocks*decidedBytes) + int64(n.meta+n.meta/2)
}

// tokens is the space for it.
func (n *need) tokens() (t spaceTokens, longest uint64) {
	t.data = n.data
	// The source's records and those of the counts; a group for each block at worst.
	t.path = 24 + n.chunks*3*(1+layout.ChunkBlocks)
	grow := 512 + 2*n.chunks*layout.MaxChunkBytes + n.chunks*layout.ChunkBlocks*40 + 3*n.meta
	if n.meta > 2<<10 { // long values leave their page
		longest = blocksOf(n.meta)
		t.data += 2 * longest
	}
	t.growth = 1 + grow*2/blockSize
	return t, longest
}

// needOf bounds what b holds now; its onode is locked.
func (b *body) needOf() need {
	n := need{chunks: uint64(b.over.pieces.len() + b.over.edits.len() + 1), meta: uint64(len(b.header) + len(b.inline))}
	if b.extents != nil {
		n.chunks += b.extents.Root().Count + uint64(b.extents.DeltaBytes())/64
	}
	n.chunks = min(n.chunks, 2+b.size>>chunkShift)
	for _, c := range b.over.pieces.all() {
		for _, p := range c.list {
			n.data += blocksOf(p.off%blockSize + uint64(len(p.data)))
		}
	}
	n.data++ // inline content
	for _, t := range [...]*btree.Tree{b.attrs, b.omap} {
		if t != nil {
			r := t.Root()
			n.meta += r.Bytes + 32*r.Count + 2*uint64(t.DeltaBytes())
		}
	}
	return n
}

// needOf bounds what a change adds to its object.
func (c *change) needOf() need {
	var n need
	switch c.code {
	case opWrite:
		n = need{chunks: 2 + c.n>>chunkShift, data: blocksOf(c.off%blockSize + c.n)}
	case opPlace:
		n = need{chunks: 2 + c.n>>chunkShift}
	case opZero, opTruncate:
		n = need{chunks: 4, data: 2}
	case opSetAttrs, opOmapSet:
		for i := range c.pairs {
			n.meta += uint64(len(c.pairs[i].key)+len(c.pairs[i].value)) + 64
		}
	case opOmapHead:
		n.meta = uint64(len(c.data))
	}
	return n
}

// cut bounds what the clone of a range adds, of a source that holds n.
func (n need) cut(c *change) need {
	first, last, edges := splitClone(c.off, c.n, c.toOff)
	m := need{chunks: 2 + min(n.chunks, 2+(last-first)/layout.ChunkBlocks), data: min(n.data, last-first)}
	for _, e := range edges {
		m.data += 1 + blocksOf(e.n)
		m.chunks += 2 + e.n>>chunkShift
	}
	return m
}

// needs bounds what the clones of a transaction add, and notes the share of each.
// held tells what an object holds before the transaction.
func (p *pass) needs(held func(key string) (need, error)) (all need, err error) {
	has := make(map[string]need) // what the objects hold, as the transaction goes on
	of := func(key string) need {
		n, ok := has[key]
		if !ok && err == nil {
			n, err = held(key)
		}
		return n
	}
	for i := range p.changes {
		c := &p.changes[i]
		switch {
		case c.code.onColl():
		case c.code == opRemove:
			has[c.key] = need{}
		case c.code == opRename:
			has[c.to] = of(c.key)
			has[c.key] = need{}
		case c.code.clones():
			n := of(c.key)
			if c.code == opClone {
				has[c.to] = n
			} else {
				n = n.cut(c)
				to := of(c.to)
				to.add(n)
				has[c.to] = to
			}
			c.takes = n
			all.add(n)
		default:
			n := of(c.key)
			n.add(c.needOf())
			has[c.key] = n
		}
	}
	return all, err
}

// costClones adds what the transaction's clones need to what it asks for.
func (s *Store) costClones(ctx context.Context, p *pass, most int64) error {
	n, err := p.needs(func(key string) (n need, err error) {
		o, err := s.onodeOf(ctx, []byte(key), true)
		if err != nil {
			return n, err
		}
		defer o.refs.Add(-1)
		o.mu.RLock()
		defer o.mu.RUnlock()
		if o.cur != nil {
			n = o.cur.needOf()
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	if b := n.bytes(); b > most {
		return fmt.Errorf("clones of %d bytes of records, attributes, omap and journaled data, the log takes %d at a time: %w", b, most, ErrTooLarge)
	}
	// What other transactions add meanwhile.
	n.chunks += p.slack
	n.data += 4 * p.slack
	n.meta += p.slack << 10
	p.promised = n
	t, longest := n.tokens()
	p.tokens.add(t)
	p.longest = max(p.longest, longest)
	return nil
}

// checkClones returns errGrown if that was not enough. The queues are held.
func (p *pass) checkClones() error {
	n, err := p.needs(func(key string) (n need, err error) {
		for i := range p.view {
			if o := p.view[i].o; o.key == key {
				o.mu.RLock()
				if o.cur != nil {
					n = o.cur.needOf()
				}
				o.mu.RUnlock()
			}
		}
		return n, nil
	})
	if err == nil && n.exceeds(p.promised) {
		return errGrown
	}
	return err
}
