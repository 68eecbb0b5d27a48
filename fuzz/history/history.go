package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ebofs/osd"
	"ebofs/osd/memstore"
)

// History is what was submitted to a store and what it holds after each step.
type History struct {
	ref   *memstore.Store
	steps []step // steps[0] is the beginning: an empty store, or what Base left
	buf   []byte
}

// step is one transaction and its outcome.
type step struct {
	txn   *osd.Transaction // nil in the base
	colls []osd.CollectionID
	pic   Picture
}

// New returns the history of an empty store.
func New() *History {
	return &History{
		ref:   memstore.New(memstore.Options{}),
		steps: []step{{pic: Picture{}}},
		buf:   make([]byte, bufferBytes),
	}
}

// Submitted returns the number of transactions so far: the index of the last.
func (h *History) Submitted() int { return len(h.steps) - 1 }

// Last returns the picture after all of them.
func (h *History) Last() Picture { return h.steps[len(h.steps)-1].pic }

// Submit gives t to the reference store. An error means that a store must refuse
// t, too, with an error that matches the same sentinel of osd; the history is
// then unchanged.
func (h *History) Submit(ctx context.Context, t *osd.Transaction) error {
	if err := osd.Apply(ctx, h.ref, t); err != nil {
		return err
	}
	pic, err := h.redraw(ctx, t)
	if err != nil {
		return fmt.Errorf("reference store: %w", err)
	}
	h.steps = append(h.steps, step{t, named(t), pic})
	return nil
}

// Base makes the present state the beginning: it is what every later state is a
// continuation of, and the steps before it are forgotten.
func (h *History) Base() { h.steps = []step{{pic: h.Last()}} }

// redraw returns the picture after t, looking only at what t names.
func (h *History) redraw(ctx context.Context, t *osd.Transaction) (Picture, error) {
	o := Options{Buffer: h.buf}
	for _, op := range t.Ops() {
		if op.Kind >= osd.OpMkColl {
			return Draw(ctx, h.ref, o)
		}
	}
	pic := maps.Clone(h.Last())
	fresh := map[osd.CollectionID]bool{}
	look := func(c osd.CollectionID, id osd.ObjectID) error {
		if !fresh[c] {
			pic[c] = &Collection{pic[c].Spec, maps.Clone(pic[c].Objects)}
			fresh[c] = true
		}
		obj, err := DrawObject(ctx, h.ref, c, id, o)
		switch {
		case errors.Is(err, osd.ErrNotFound):
			delete(pic[c].Objects, id)
			return nil
		case err != nil:
			return err
		}
		pic[c].Objects[id] = obj
		return nil
	}
	for _, op := range t.Ops() {
		if err := look(op.Coll, op.Obj); err != nil {
			return nil, err
		}
		if op.To != (osd.ObjectID{}) {
			if err := look(op.Coll, op.To); err != nil {
				return nil, err
			}
		}
	}
	return pic, nil
}

// named returns the collections t names, sorted.
func named(t *osd.Transaction) []osd.CollectionID {
	var cs []osd.CollectionID
	for _, op := range t.Ops() {
		cs = append(cs, op.Coll)
		if op.Dest != "" {
			cs = append(cs, op.Dest)
		}
	}
	slices.Sort(cs)
	return slices.Compact(cs)
}
