package pg

import (
	"fmt"
	"iter"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

const (
	// dupsInBatch is how many dups have a key together: as many as a trim makes, so
	// that it sets one key and, in the long run, removes one.
	dupsInBatch = logSlack
	// maxDupOps is how many operations a dup has the results of. Of a request with more
	// only the whole result is told: no client is known to write with so many.
	maxDupOps = 64
	// maxDupOutput is how long an output of an operation may be. A request that
	// happened has none that is longer; one that failed may have read before, and is
	// told what it came to without that.
	maxDupOutput = 64
	// dupBytes is the least that a dup takes, encoded.
	dupBytes = 53
)

// The keys of batches lie between these.
const (
	firstDupKey = "_dups."
	lastDupKey  = "_dups/"
)

// priorTold reports whether a reply has the prior version.
func (n *Entry) priorTold() bool { return n.Result == int32(ceph.ENOENT) }

// encodeDup appends what stays of an entry when it is trimmed: what a repeated request
// is told, and on which side of a split its object lies.
func (n *Entry) encodeDup(e *denc.Encoder) {
	n.ReqID.Name.Encode(e)
	e.U64(n.ReqID.Tid)
	e.I32(n.ReqID.Incarnation)
	e.U32(n.Object.Hash)
	n.Version.Encode(e)
	e.U64(n.UserVersion)
	e.I32(n.Result)
	if n.priorTold() {
		n.Prior.Encode(e)
	}
	told := Entry{Results: n.Results, Codes: n.Codes}
	if len(n.Results) > maxDupOps {
		told = Entry{}
	}
	for i := range told.Results {
		p := n.Outputs[i]
		if len(p) > maxDupOutput {
			p = nil
		}
		told.Outputs = append(told.Outputs, p)
	}
	told.encodeOps(e)
}

func decodeDup(d *denc.Decoder) (n Entry) {
	n.ReqID = ceph.ReqID{Name: ceph.DecodeEntityID(d), Tid: d.U64(), Incarnation: d.I32()}
	n.Object.Hash = d.U32()
	n.Version, n.UserVersion, n.Result = ceph.DecodeEVersion(d), d.U64(), d.I32()
	if n.priorTold() {
		n.Prior = ceph.DecodeEVersion(d)
	}
	n.decodeOps(d)
	return n
}

// batch is dups that are stored, and forgotten, together. It is in RAM as it is in
// the store: some 53 bytes each without a pointer.
type batch struct {
	key   string
	value []byte // checked by decodeBatch, or made by pack
	n     int
}

// pack makes batches of entries. Those of nobody's are left out.
func pack(list []*Entry) (all []*batch) {
	known := make([]*Entry, 0, len(list))
	for _, n := range list {
		if n.ReqID.Tid != 0 {
			known = append(known, n)
		}
	}
	for some := range slices.Chunk(known, dupsInBatch) {
		all = append(all, newBatch(some))
	}
	return all
}

// newBatch encodes dups, struct v1 of our own.
func newBatch(list []*Entry) *batch {
	e := denc.NewEncoder(make([]byte, 0, 10+dupBytes*len(list)))
	m := e.Begin(1, 1)
	e.U32(uint32(len(list)))
	for _, n := range list {
		n.encodeDup(e)
	}
	e.End(m)
	return &batch{dupKey(list[len(list)-1]), e.Bytes(), len(list)}
}

// PackDups returns the pairs that the meta object of a PG has for dups of entries, oldest
// first.
func PackDups(list []*Entry) map[string][]byte {
	kv := map[string][]byte{}
	for _, b := range pack(list) {
		kv[b.key] = b.value
	}
	return kv
}

// dupKey is where a batch lies in the omap, by its newest dup: sorted by version.
func dupKey(newest *Entry) string { return firstDupKey + newest.key() }

// decodeBatch reads the batch that lies at key.
func decodeBatch(key string, p []byte) (*batch, error) {
	b := &batch{key: key, value: p}
	var newest Entry
	d := denc.NewDecoder(p)
	for _, n := range dupsOf(d) {
		b.n++
		newest = *n
	}
	if err := d.Finish(); err != nil {
		return nil, err
	}
	if b.n == 0 {
		return nil, fmt.Errorf("no dups: %w", denc.ErrMalformed)
	}
	if k := dupKey(&newest); k != key {
		return nil, fmt.Errorf("newest dup says %s: %w", k, denc.ErrMalformed)
	}
	return b, nil
}

// all shows the dups, oldest first. Their outputs are part of the batch.
func (b *batch) all() iter.Seq2[int, *Entry] { return dupsOf(denc.NewDecoder(b.value)) }

func dupsOf(d *denc.Decoder) iter.Seq2[int, *Entry] {
	return func(yield func(int, *Entry) bool) {
		s := d.Begin(1)
		for i := range d.Count(dupBytes) {
			if n := decodeDup(d); d.Err() != nil || !yield(i, &n) {
				break
			}
		}
		d.End(s)
	}
}
