package repair

import (
	"fmt"

	"ebofs/btree"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// mendCollections mends attrs of collections and gives orphaned objects collections.
func (r *repairer) mendCollections(s *survey, colls *btree.Tree) error {
	for id, f := range s.cattrs {
		val, ok, err := colls.Get(r.ctx, []byte(id), nil)
		if err != nil || !ok {
			return fmt.Errorf("collection %q was there a moment ago: %w", id, err)
		}
		cn, err := layout.DecodeCnode(val)
		if err != nil {
			return err
		}
		if cn.Attrs, err = r.mendTree(f, cn.Attrs, nil); err != nil {
			return err
		}
		if val, err = cn.Append(nil); err != nil {
			return err
		}
		colls.Put([]byte(id), val)
		r.res.did(Action{Code: check.NodeCRC, Lost: f.lossy(), What: fmt.Sprintf("collection %q: made its attributes anew from what can be read", id)})
	}
	for _, c := range homes(s.ranges, s.orphans) {
		s.maxID++
		cn := layout.Cnode{Range: c, ID: s.maxID}
		val, err := cn.Append(nil)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("lost+found.%v", c)
		for n := 1; ; n++ {
			if has, err := colls.Has(r.ctx, []byte(id)); err != nil {
				return err
			} else if !has {
				break
			}
			id = fmt.Sprintf("lost+found.%v.%d", c, n)
		}
		colls.Put([]byte(id), val)
		r.res.did(Action{Code: check.Orphan, What: fmt.Sprintf("made collection %q for objects that no collection held", id)})
	}
	return nil
}

// homes returns ranges for new collections that hold all orphans and overlap neither
// the present ranges nor each other: the largest there are.
func homes(have []layout.CollRange, orphans []layout.ObjectKey) []layout.CollRange {
	var list []layout.CollRange
	type pool struct {
		shard int8
		pool  int64
	}
	by := make(map[pool][]layout.ObjectKey)
	var order []pool
	for _, o := range orphans {
		p := pool{o.Shard, o.Pool}
		if o.Pool < -1 { // temporary objects live with their pool
			p.pool = -2 - o.Pool
		}
		if by[p] == nil {
			order = append(order, p)
		}
		by[p] = append(by[p], o)
	}
	for _, p := range order {
		list = append(list, cover(layout.CollRange{Shard: p.shard, Pool: p.pool}, have, by[p])...)
	}
	return list
}

// cover splits c until its parts overlap none of have, and returns those that hold
// an orphan.
func cover(c layout.CollRange, have []layout.CollRange, orphans []layout.ObjectKey) []layout.CollRange {
	var mine []layout.ObjectKey
	for i := range orphans {
		if c.Contains(&orphans[i]) {
			mine = append(mine, orphans[i])
		}
	}
	if len(mine) == 0 {
		return nil
	}
	for _, h := range have {
		if !h.Overlaps(c) {
			continue
		}
		zero, one, ok := c.Split()
		if !ok || h.Covers(c) {
			return nil // it has a home
		}
		return append(cover(zero, have, mine), cover(one, have, mine)...)
	}
	return []layout.CollRange{c}
}
