package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// Stored is a PG as it lies in a store that no daemon uses.
type Stored struct {
	PG      ceph.PG
	Spec    osd.CollectionSpec
	Info    Info
	Entries []Entry // the log, oldest first
	dups    dups
}

// ReadStored reads what the PG in collection c says of itself.
func ReadStored(ctx context.Context, s osd.ObjectStore, c osd.CollectionID, pg ceph.PG) (Stored, error) {
	r := Stored{PG: pg}
	var err error
	if r.Spec, err = s.Collection(ctx, c); err != nil {
		return r, fmt.Errorf("pg %v: %w", pg, err)
	}
	info, l, err := load(ctx, s, c, pg)
	r.Info = info
	for _, e := range l.entries {
		r.Entries = append(r.Entries, e.Entry)
	}
	r.dups = l.dups
	return r, err
}

// Status returns how the PG was at its last request.
func (r *Stored) Status() Status {
	s := Status{Created: r.Info.Created, LogEntries: len(r.Entries), Dups: r.dups.n}
	if n := len(r.Entries); n > 0 {
		s.LogStart, s.Last, s.Stats = r.Entries[0].Version, r.Entries[n-1].Version, r.Entries[n-1].Stats
	}
	return s
}

// Dups returns the requests from before the log that are known, oldest first, with what
// they are answered if they are repeated. Of the object only the hash is there.
func (r *Stored) Dups() []*Entry { return r.dups.list() }

// LastUser returns the newest version that a client has seen.
func (r *Stored) LastUser() (v uint64) {
	for i := range r.Entries {
		v = max(v, r.Entries[i].UserVersion)
	}
	return v
}

// Phase is what a PG's collection is for.
type Phase string

// The phases. A PG comes and goes in one step: while its objects are written or
// removed its collection has another name, which no daemon opens.
const (
	Whole     Phase = "head"
	Importing Phase = "importing" // made by pgfile.Import, not whole yet
	Removing  Phase = "removing"  // left by Remove, not whole any more
)

// CollectionIn returns the id of a PG's collection in a phase.
func CollectionIn(pg ceph.PG, p Phase) osd.CollectionID {
	return osd.CollectionID(pg.String() + "_" + string(p))
}

// ParseCollection returns which PG a collection holds, and in what phase; false
// if it holds none.
func ParseCollection(c osd.CollectionID) (ceph.PG, Phase, bool) {
	name, phase, _ := strings.Cut(string(c), "_")
	switch p := Phase(phase); p {
	case Whole, Importing, Removing:
		pg, err := ceph.ParsePG(name)
		return pg, p, err == nil && CollectionIn(pg, p) == c
	}
	return ceph.PG{}, "", false
}

// removeAtOnce is how many objects go in one transaction.
const removeAtOnce = 256

// Remove removes the PG in a phase with all its objects; progress is told how many
// went. Of a PG that is whole nothing is left from the first step on but a
// collection in phase Removing, so that what an interrupt leaves is never taken for
// a PG.
func Remove(ctx context.Context, s osd.ObjectStore, pg ceph.PG, p Phase, progress func(objects int)) error {
	c := CollectionIn(pg, p)
	if p == Whole {
		aside := CollectionIn(pg, Removing)
		var t osd.Transaction
		t.RenameColl(c, aside)
		if err := osd.Apply(ctx, s, &t); err != nil {
			return fmt.Errorf("pg %v: %w", pg, err)
		}
		c = aside
	}
	for most := removeAtOnce; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		ids, _, err := s.List(ctx, c, nil, nil, most)
		if err != nil {
			return fmt.Errorf("pg %v: %w", pg, err)
		}
		var t osd.Transaction
		for _, id := range ids {
			t.Remove(c, id)
		}
		if len(ids) == 0 {
			t.RmColl(c)
		}
		err = osd.Apply(ctx, s, &t)
		if errors.Is(err, osd.ErrNoSpace) && len(ids) > 1 {
			most = len(ids) / 2 // a full store has room for few at a time
			continue
		}
		if err != nil {
			return fmt.Errorf("pg %v: %w", pg, err)
		}
		if len(ids) == 0 {
			return nil
		}
		progress(len(ids))
	}
}
