package ebofs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// maxLoads bounds how many cold objects are read in the background at once.
const maxLoads = 64

// onodeOf returns the onode of key with a reference. A cold one is loaded if
// that needs no I/O; otherwise, with wait, in the caller's goroutine, without
// it in the background, and the onode comes back as a stub.
func (s *Store) onodeOf(ctx context.Context, key []byte, wait bool) (*onode, error) {
	o, fresh := s.onodes.get(key)
	return s.loaded(ctx, o, fresh, wait)
}

// loaded is onodeOf of what the table has, or with fresh has only now.
func (s *Store) loaded(ctx context.Context, o *onode, fresh, wait bool) (*onode, error) {
	if fresh {
		s.opening.Add(1)
	} else if !o.unread.CompareAndSwap(true, false) {
		if !wait || o.loaded.open.Load() {
			return o, nil
		}
		select {
		case <-o.loaded.wait():
			return o, nil
		case <-ctx.Done():
			o.refs.Add(-1)
			return nil, ctx.Err()
		}
	}
	switch {
	case s.loadResident(o):
	case wait || s.opt.Inline:
		s.loadOnode(context.Background(), o)
	default:
		o.refs.Add(1)
		s.loading.Go(func() {
			s.loads <- struct{}{}
			s.loadOnode(context.Background(), o)
			<-s.loads
			o.refs.Add(-1)
		})
	}
	return o, nil
}

// stubOf returns the onode of key with a reference, for replay. A cold one comes
// back as a stub that nobody reads before warm does or somebody wants the object.
func (s *Store) stubOf(key []byte) (o *onode, cold bool) {
	o, fresh := s.onodes.get(key)
	if !fresh {
		return o, false
	}
	s.opening.Add(1)
	if s.loadResident(o) {
		return o, false
	}
	o.unread.Store(true)
	return o, true
}

// warm reads what stubOf left unread, in the background and in key order, so that
// neighbours share a page. Each of cold has a reference, which it drops.
func (s *Store) warm(cold []*onode) {
	slices.SortFunc(cold, func(a, b *onode) int { return cmp.Compare(a.key, b.key) })
	// It is the next checkpoint that needs them.
	ctx := devices.WithClass(context.Background(), devices.ClassCheckpoint)
	var next atomic.Int64
	for range min(len(cold), maxLoads/2) {
		s.loading.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(cold)); i = next.Add(1) - 1 {
				if o := cold[i]; o.unread.CompareAndSwap(true, false) {
					s.loadOnode(ctx, o)
				}
				cold[i].refs.Add(-1)
				cold[i] = nil
			}
		})
	}
}

// loadResident ends the load of a stub if it needs no I/O.
func (s *Store) loadResident(o *onode) bool {
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	x.key = append(x.key[:0], o.key...)
	t := s.guard.enter()
	val, ok, known := s.objects.GetResident(x.key, x.chunk[:0])
	s.guard.leave(t)
	if known {
		s.loadedOnode(o, val, ok, nil)
	}
	return known
}

// loadOnode reads the object tree for a stub; ctx says only what for.
func (s *Store) loadOnode(ctx context.Context, o *onode) {
	t := s.guard.enter()
	val, ok, err := s.objects.Get(ctx, []byte(o.key), nil)
	s.guard.leave(t)
	s.loadedOnode(o, val, ok, err)
}

// loadedOnode ends a load with what the object tree said.
func (s *Store) loadedOnode(o *onode, val []byte, ok bool, err error) {
	var b, doomed *body
	if err == nil && ok {
		if b, err = s.decodeBody(o.key, val); err != nil {
			b, doomed = nil, b
		}
	}
	if doomed != nil && len(o.stub) > 0 && o.stub[0].code == opRemove { // only replay leaves that with a stub
		b, doomed, err = doomed, nil, nil
	}
	outage := err != nil && s.outage(context.Background(), err)
	// Changes that waited are applied in their own epochs, which the gate
	// keeps open.
	s.gate.RLock()
	o.mu.Lock()
	if err != nil {
		o.loadErr = fmt.Errorf("object %s: %w", objectName(o.key), err)
		if len(o.stub) > 0 {
			o.refs.Add(1) // never read again as if nothing had happened
			for _, epoch := range o.stubAt {
				s.lost(o, epoch)
			}
			if outage {
				s.fail(o.loadErr) // the log keeps the changes
			}
		} else if doomed == nil {
			s.onodes.discard(o) // the next user tries again
		}
		o.doomed = doomed
		o.stub, o.stubAt = nil, nil
	}
	if b != nil {
		b.home.Store(o)
	}
	o.cur = b
	o.loading = false
	s.resolveLocked(o)
	o.mu.Unlock()
	s.gate.RUnlock()
	o.loaded.release()
	s.opening.Add(-1)
}

// lost is called for a change that was taken for a stub whose load then failed.
// Reads of the object go on failing, and the checkpoint of that epoch sees to it
// that they do so even if it can be read tomorrow: see giveup.go.
func (s *Store) lost(o *onode, epoch uint64) {
	s.log.Error("a change of a damaged object is lost", "oid", objectName(o.key), "err", o.loadErr)
	s.dirty.addLost(o.key, epoch)
}

// decodeBody makes the body of an onode as stored. One that is marked as damaged
// comes with an error: all that may be done with it is to remove it.
func (s *Store) decodeBody(key string, val []byte) (*body, error) {
	on, err := layout.DecodeOnode(slices.Clone(val))
	if err != nil {
		return nil, err
	}
	b := &body{
		id: on.ID, size: on.Size, flags: on.Flags, hintSize: on.Hint.ObjectSize, hintIO: on.Hint.WriteSize,
		inline: on.Inline, header: on.OmapHeader, saved: true, savedSize: on.Size,
	}
	for _, t := range [...]struct {
		slot **btree.Tree
		cfg  *btree.Config
		root btree.Root
	}{{&b.attrs, s.cfg.attrs, on.Attrs}, {&b.omap, s.cfg.omap, on.Omap}, {&b.extents, s.cfg.extents, on.Extents}} {
		if t.root.Kind != btree.RootEmpty {
			*t.slot = btree.New(t.cfg, s.pages, ownerOf(key, b.id), t.root)
		}
	}
	if b.extents != nil {
		b.owned = key
	}
	if on.Flags&layout.OnodeDamaged != 0 {
		return b, fmt.Errorf("it is marked as damaged: changes to it or parts of it were lost: %w", ErrCorrupt)
	}
	return b, nil
}
