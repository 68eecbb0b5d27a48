package ebofs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
)

// lock takes the queues of the collections the transaction names, in order of
// their ids, or the whole structure if it changes collections.
func (s *Store) lock(ctx context.Context, t *Txn, p *pass) error {
	if p.structs {
		s.structMu.Lock()
		return nil
	}
	s.structMu.RLock()
	for i := range p.changes {
		for _, id := range [...]CollectionID{p.changes[i].coll, p.changes[i].dest} {
			if id == "" || len(p.colls) > 0 && p.colls[len(p.colls)-1].id == id {
				continue
			}
			c, err := s.collection(id)
			if err != nil {
				p.colls = p.colls[:0]
				s.structMu.RUnlock()
				return err
			}
			if !slices.Contains(p.colls, c) {
				p.colls = append(p.colls, c)
			}
		}
	}
	slices.SortFunc(p.colls, func(a, b *collection) int { return bytes.Compare([]byte(a.id), []byte(b.id)) })
	for _, c := range p.colls {
		c.queue.Lock()
	}
	return nil
}

func (s *Store) unlock(p *pass) {
	if p.structs {
		s.structMu.Unlock()
		return
	}
	for _, c := range p.colls {
		c.queue.Unlock()
	}
	s.structMu.RUnlock()
}

// resolve finds every object and refuses what cannot be applied. Operations
// that must know the object wait for it; the others take it as a stub.
func (s *Store) resolve(ctx context.Context, t *Txn, p *pass) error {
	var view collectionMap
	if p.structs {
		view = maps.Clone(*s.collMap.Load())
	}
	ci := 0
	for i := range t.ops {
		op := &t.ops[i]
		n := 1 // a write may have become several changes
		for ci+n < len(p.changes) && p.changes[ci+n].op == i {
			n++
		}
		cs := p.changes[ci : ci+n]
		ci += n
		if !op.code.onColl() {
			if err := s.resolveObject(ctx, op, p, cs, view); err != nil {
				return fmt.Errorf("operation %d: %w", i, err)
			}
			continue
		}
		if err := s.checkColl(ctx, op, view, p); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		if op.code == opMkColl {
			cs[0].flags = view[op.coll].cn.Flags
		}
	}
	if p.clones {
		return p.checkClones()
	}
	return nil
}

func (s *Store) resolveObject(ctx context.Context, op *txnOp, p *pass, cs []change, view collectionMap) error {
	if err := s.member(op.coll, &op.obj, view); err != nil {
		return err
	}
	// The size of a source must be certain.
	v, err := s.see(ctx, p, cs[0].key, !op.code.creates() || p.clones, op.code == opRemove)
	if err != nil {
		return err
	}
	for i := range cs {
		cs[i].o = p.view[v].o
		if cs[i].code.creates() {
			cs[i].id = s.nextID.Add(1)
		}
	}
	if op.code.creates() {
		p.view[v].known, p.view[v].exists = true, true
		if (op.code == opWrite || op.code == opZero) && op.n > 0 {
			p.view[v].size = max(p.view[v].size, op.off+op.n)
		}
		return nil
	}
	if !p.view[v].exists {
		return fmt.Errorf("object %s: %w", &op.obj, ErrNotFound)
	}
	switch op.code {
	case opRemove:
		p.view[v].exists, p.view[v].size = false, 0
	case opTruncate:
		p.view[v].size = op.off
	case opClone, opCloneRng:
		return s.resolveClone(ctx, op, p, v, &cs[0], view)
	case opRename:
		if err := s.member(op.dest, &op.to, view); err != nil {
			return err
		}
		w, err := s.see(ctx, p, cs[0].to, true, false)
		if err != nil {
			return err
		}
		if p.view[w].exists {
			return fmt.Errorf("object %s: %w", &op.to, ErrExists)
		}
		p.view[v].exists, p.view[w].exists = false, true
		p.view[v].size, p.view[w].size = 0, p.view[v].size
		cs[0].dst = p.view[w].o
	}
	return nil
}

// resolveClone finds the other object of a clone whose source is p.view[v].
func (s *Store) resolveClone(ctx context.Context, op *txnOp, p *pass, v int, c *change, view collectionMap) error {
	if err := s.member(op.coll, &op.to, view); err != nil {
		return err
	}
	if size := p.view[v].size; op.code == opCloneRng && op.off+op.n > size {
		return fmt.Errorf("clone of bytes %d+%d of %s, which has %d: %w", op.off, op.n, &op.obj, size, ErrInvalid)
	}
	w, err := s.see(ctx, p, c.to, true, false)
	if err != nil {
		return err
	}
	o := p.view[v].o
	o.mu.RLock()
	there := o.cur != nil // not made by this very transaction
	o.mu.RUnlock()
	if there {
		if err := s.warmClone(ctx, o, op); err != nil {
			return err
		}
	}
	to := &p.view[w]
	switch {
	case op.code == opClone:
		to.size = p.view[v].size
	case op.n > 0:
		to.size = max(to.size, op.toOff+op.n)
	}
	to.known, to.exists = true, true
	c.dst, c.id = to.o, s.nextID.Add(1)
	return nil
}

// seen returns what the transaction's earlier operations made of the object of
// that key; known is false if they did not touch it.
func (p *pass) seen(key []byte) (exists, known bool) {
	for i := range p.view {
		if v := &p.view[i]; v.known && v.o.key == string(key) {
			return v.exists, true
		}
	}
	return false, false
}

// member returns nil if the object belongs to the collection.
func (s *Store) member(id CollectionID, o *ObjectID, view collectionMap) error {
	var c *collection
	if view != nil {
		if c = view[id]; c == nil {
			return fmt.Errorf("collection %q: %w", string(id), ErrNotFound)
		}
	} else {
		var err error
		if c, err = s.collection(id); err != nil {
			return err
		}
	}
	return c.holds(o)
}

// meet finds the onodes of all objects that the transaction names, before it holds its
// queues: others need not wait for that, least of all when an object has to be read.
func (s *Store) meet(ctx context.Context, p *pass) error {
	for i := range p.changes {
		c := &p.changes[i]
		if c.code.onColl() {
			continue
		}
		know := !c.code.creates() || p.clones
		if _, err := s.viewOf(ctx, p, c.key, know); err != nil {
			return err
		}
		if c.to != "" {
			if _, err := s.viewOf(ctx, p, c.to, know); err != nil {
				return err
			}
		}
	}
	return nil
}

// viewOf returns the index in p.view of the object of that key. With wait it is loaded
// afterwards: also if the transaction itself makes it, what needs to know it cannot be
// left to its stub.
func (s *Store) viewOf(ctx context.Context, p *pass, key string, wait bool) (int, error) {
	i := p.find(key)
	if i < 0 {
		p.key = append(p.key[:0], key...)
		o, err := s.onodeOf(ctx, p.key, wait)
		if err != nil {
			return 0, err
		}
		i = len(p.view)
		p.view = append(p.view, objectView{o: o})
	}
	p.met = i
	if o := p.view[i].o; wait && !o.loaded.open.Load() {
		select {
		case <-o.loaded.wait():
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return i, nil
}

// find returns the index in p.view of the object of that key, -1 if it is not there.
func (p *pass) find(key string) int {
	for i := p.met; i < min(p.met+2, len(p.view)); i++ { // mostly in the order in which they were met
		if p.view[i].o.key == key {
			return i
		}
	}
	return slices.IndexFunc(p.view, func(v objectView) bool { return v.o.key == key })
}

// see is viewOf of an object that meet has met. With know its existence is certain
// afterwards. A damaged object is seen only to be removed.
func (s *Store) see(ctx context.Context, p *pass, key string, know, remove bool) (int, error) {
	i, err := s.viewOf(ctx, p, key, know)
	if err != nil {
		return 0, err
	}
	v := &p.view[i]
	v.o.mu.RLock()
	defer v.o.mu.RUnlock()
	if v.o.loadErr != nil && !v.known {
		if !remove || v.o.doomed == nil {
			return 0, v.o.loadErr
		}
		v.known, v.exists = true, true
	}
	if !v.known {
		if v.known, v.exists = !v.o.loading, v.o.cur != nil; v.exists {
			v.size = v.o.cur.size
		}
	}
	return i, nil
}
