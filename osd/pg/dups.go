package pg

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// dups are the requests that were trimmed from a log and are still known. They are
// numbered, in the order of their versions.
type dups struct {
	batches []*batch // oldest first
	n       int
	first   uint32 // number of the oldest

	// index has all of them, sorted: a hash of the request's id above its number. Eight
	// bytes each, nothing to the garbage collector, and it is remade once a trim.
	index []uint64
	seed  maphash.Seed
}

func newDups() dups { return dups{seed: maphash.MakeSeed()} }

// load reads them from the meta object of the PG in collection c.
func (d *dups) load(ctx context.Context, s osd.ObjectStore, c osd.CollectionID, pg ceph.PG) error {
	var bad error
	err := s.OmapIter(ctx, c, metaObject(pg), firstDupKey, lastDupKey, func(k string, p []byte) bool {
		b, err := decodeBatch(k, append([]byte(nil), p...))
		if err != nil {
			bad = fmt.Errorf("pg %v: dups %s: %w", pg, k, err)
			return false
		}
		d.add(b)
		return true
	})
	if err == nil {
		err = bad
	}
	return err
}

// place is where in the index a request is, whatever its number.
func (d *dups) place(id ceph.ReqID) uint64 { return maphash.Comparable(d.seed, id) >> 32 << 32 }

func (d *dups) add(b *batch) {
	more := make([]uint64, 0, b.n)
	for i, n := range b.all() {
		more = append(more, d.place(n.ReqID)|uint64(d.first+uint32(d.n+i)))
	}
	slices.Sort(more)
	d.index = merge(d.index, more)
	d.batches = append(d.batches, b)
	d.n += b.n
}

// merge returns what a and b have, all three sorted.
func merge(a, b []uint64) []uint64 {
	out := make([]uint64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// drop forgets the oldest k batches.
func (d *dups) drop(k int) {
	gone := 0
	for _, b := range d.batches[:k] {
		gone += b.n
	}
	d.index = slices.DeleteFunc(d.index, func(x uint64) bool { return uint32(x)-d.first < uint32(gone) })
	d.batches = append([]*batch(nil), d.batches[k:]...)
	d.first += uint32(gone)
	d.n -= gone
}

// find returns the dup of a request; nil: there is none.
func (d *dups) find(id ceph.ReqID) *Entry {
	at := d.place(id)
	i, _ := slices.BinarySearch(d.index, at)
	for ; i < len(d.index) && d.index[i]>>32 == at>>32; i++ {
		if n := d.get(int(uint32(d.index[i]) - d.first)); n.ReqID == id {
			return n
		}
	}
	return nil
}

// get returns the dup that has so many before it.
func (d *dups) get(k int) *Entry {
	b := 0
	for ; k >= d.batches[b].n; b++ {
		k -= d.batches[b].n
	}
	for i, n := range d.batches[b].all() {
		if i == k {
			return n
		}
	}
	return nil // there is one
}

// list returns all of them, oldest first.
func (d *dups) list() (all []*Entry) {
	for _, b := range d.batches {
		for _, n := range b.all() {
			all = append(all, n)
		}
	}
	return all
}
