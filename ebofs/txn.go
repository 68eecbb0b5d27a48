package ebofs

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"ebofs/ebofs/layout"
)

// CollectionID names a collection: 1 to 255 bytes of UTF-8, a placement group
// id in a cluster.
type CollectionID string

// ObjectID names an object; its order is the listing order.
type ObjectID = layout.ObjectKey

// CollSpec says which objects a collection holds: those of one shard and pool
// (and the pool's temporary twin) whose hash ends in the Bits low bits of Seed.
type CollSpec = layout.CollRange

// What one operation may carry.
const (
	MaxObjectBytes  = 1 << 44 // size of an object
	MaxAttrName     = 1024    // bytes of an attribute's name
	MaxAttrBytes    = 64 << 20
	MaxOmapKey      = 3072 // bytes of an omap key
	MaxCollectionID = 255
)

// Txn is a list of operations that happen together or not at all, in order.
// It keeps references to the data given to it until it is queued; it may name
// several objects and collections. The zero Txn is empty and ready.
//
// Operations that imply creation (Touch, Write, Zero, SetAttr, SetAttrs,
// OmapSet, OmapSetHeader, SetAllocHint) create a missing object. The others
// refuse the whole transaction with ErrNotFound.
type Txn struct {
	ops []txnOp
}

// NewTxn returns an empty transaction.
func NewTxn() *Txn { return new(Txn) }

// Len returns the number of operations.
func (t *Txn) Len() int { return len(t.ops) }

// Reset empties the transaction for reuse.
func (t *Txn) Reset() { clear(t.ops); t.ops = t.ops[:0] }

// txnOp is one operation as its caller gave it.
type txnOp struct {
	code   opCode
	coll   CollectionID
	dest   CollectionID // split, merge, rename of collections
	obj    ObjectID
	to     ObjectID // rename, clone
	off, n uint64
	toOff  uint64 // clone of a range
	data   []byte
	pairs  []pair
	spec   CollSpec
}

// pair is a key and its value; value is nil in lists of keys.
type pair struct {
	key   string
	value []byte
}

// opCode is an operation's number in the log; never reuse one.
type opCode uint8

const (
	opTouch     opCode = 1
	opWrite     opCode = 2 // journaled bytes
	opPlace     opCode = 3 // whole blocks already written to fresh stripes
	opZero      opCode = 4
	opTruncate  opCode = 5
	opRemove    opCode = 6
	opSetAttrs  opCode = 7
	opRmAttrs   opCode = 8 // no names: all
	opOmapSet   opCode = 9
	opOmapRm    opCode = 10
	opOmapRange opCode = 11
	opOmapClear opCode = 12
	opOmapHead  opCode = 13
	opHint      opCode = 14
	opRename    opCode = 15
	opMkColl    opCode = 16
	opRmColl    opCode = 17
	opSplit     opCode = 18
	opMerge     opCode = 19
	opRenColl   opCode = 20
	opClone     opCode = 21
	opCloneRng  opCode = 22
)

// creates reports whether the operation creates a missing object.
func (c opCode) creates() bool {
	switch c {
	case opTouch, opWrite, opPlace, opZero, opSetAttrs, opOmapSet, opOmapHead, opHint:
		return true
	}
	return false
}

// clones reports whether the operation copies from another object.
func (c opCode) clones() bool { return c == opClone || c == opCloneRng }

// frees reports whether the operation only gives space back.
func (c opCode) frees() bool {
	switch c {
	case opZero, opTruncate, opRemove, opRmAttrs, opOmapRm, opOmapRange, opOmapClear, opRmColl:
		return true
	}
	return false
}

// onColl reports whether the operation is about collections alone.
func (c opCode) onColl() bool { return c >= opMkColl && c <= opRenColl }

func (t *Txn) add(o txnOp) { t.ops = append(t.ops, o) }

// Touch creates o if it is missing.
func (t *Txn) Touch(c CollectionID, o ObjectID) { t.add(txnOp{code: opTouch, coll: c, obj: o}) }

// Write stores data at byte off, extending the object if needed.
func (t *Txn) Write(c CollectionID, o ObjectID, off uint64, data []byte) {
	t.add(txnOp{code: opWrite, coll: c, obj: o, off: off, n: uint64(len(data)), data: data})
}

// Zero makes n bytes from off read as zeros and gives whole blocks back; it
// extends the object like a write.
func (t *Txn) Zero(c CollectionID, o ObjectID, off, n uint64) {
	t.add(txnOp{code: opZero, coll: c, obj: o, off: off, n: n})
}

// Truncate sets the object's size; bytes beyond the old size read as zeros.
func (t *Txn) Truncate(c CollectionID, o ObjectID, size uint64) {
	t.add(txnOp{code: opTruncate, coll: c, obj: o, off: size})
}

// Remove deletes the object with everything it holds.
func (t *Txn) Remove(c CollectionID, o ObjectID) { t.add(txnOp{code: opRemove, coll: c, obj: o}) }

// SetAttr sets one attribute. Several of one object, one after the other, are one
// operation.
func (t *Txn) SetAttr(c CollectionID, o ObjectID, name string, value []byte) {
	if n := len(t.ops); n > 0 && t.ops[n-1].code == opSetAttrs && t.ops[n-1].coll == c && t.ops[n-1].obj == o {
		t.ops[n-1].pairs = append(t.ops[n-1].pairs, pair{name, value})
		return
	}
	t.add(txnOp{code: opSetAttrs, coll: c, obj: o, pairs: []pair{{name, value}}})
}

// SetAttrs sets several attributes.
func (t *Txn) SetAttrs(c CollectionID, o ObjectID, attrs map[string][]byte) {
	t.add(txnOp{code: opSetAttrs, coll: c, obj: o, pairs: sortedPairs(attrs)})
}

// RmAttr removes one attribute; a missing attribute is no error.
func (t *Txn) RmAttr(c CollectionID, o ObjectID, name string) {
	t.add(txnOp{code: opRmAttrs, coll: c, obj: o, pairs: []pair{{key: name}}})
}

// RmAttrs removes every attribute.
func (t *Txn) RmAttrs(c CollectionID, o ObjectID) {
	t.add(txnOp{code: opRmAttrs, coll: c, obj: o})
}

// OmapSet sets keys of the object's ordered map.
func (t *Txn) OmapSet(c CollectionID, o ObjectID, kv map[string][]byte) {
	t.add(txnOp{code: opOmapSet, coll: c, obj: o, pairs: sortedPairs(kv)})
}

// OmapRm removes keys of the map; missing keys are no error.
func (t *Txn) OmapRm(c CollectionID, o ObjectID, keys []string) {
	p := make([]pair, len(keys))
	for i, k := range keys {
		p[i].key = k
	}
	t.add(txnOp{code: opOmapRm, coll: c, obj: o, pairs: p})
}

// OmapRmRange removes the keys in [first, last); an empty last is no bound.
func (t *Txn) OmapRmRange(c CollectionID, o ObjectID, first, last string) {
	t.add(txnOp{code: opOmapRange, coll: c, obj: o, pairs: []pair{{key: first}, {key: last}}})
}

// OmapClear removes every key and the header.
func (t *Txn) OmapClear(c CollectionID, o ObjectID) {
	t.add(txnOp{code: opOmapClear, coll: c, obj: o})
}

// OmapSetHeader sets the map's header.
func (t *Txn) OmapSetHeader(c CollectionID, o ObjectID, header []byte) {
	t.add(txnOp{code: opOmapHead, coll: c, obj: o, data: header})
}

// SetAllocHint notes the sizes the caller expects, in bytes.
func (t *Txn) SetAllocHint(c CollectionID, o ObjectID, objectBytes, writeBytes uint64, flags uint32) {
	t.add(txnOp{code: opHint, coll: c, obj: o, off: objectBytes, n: writeBytes, spec: CollSpec{Seed: flags}})
}

// Rename gives the object from another name, in the same collection or not;
// to must not exist.
func (t *Txn) Rename(c CollectionID, from, to ObjectID) {
	t.add(txnOp{code: opRename, coll: c, dest: c, obj: from, to: to})
}

// MoveRename is Rename into another collection.
func (t *Txn) MoveRename(c CollectionID, from ObjectID, dest CollectionID, to ObjectID) {
	t.add(txnOp{code: opRename, coll: c, dest: dest, obj: from, to: to})
}

// Clone makes to a copy of from, with its data, attributes and omap; what to was
// is replaced. The blocks of data are shared until one of the two changes them.
func (t *Txn) Clone(c CollectionID, from, to ObjectID) {
	t.add(txnOp{code: opClone, coll: c, obj: from, to: to})
}

// CloneRange makes n bytes of to at dstOff what from has at srcOff, creating or
// extending to as a write would; the range lies within from. Whole blocks are
// shared if srcOff and dstOff have the same place in a block, all else is copied
// through RAM. The objects may be one if the ranges are disjoint.
func (t *Txn) CloneRange(c CollectionID, from, to ObjectID, srcOff, n, dstOff uint64) {
	t.add(txnOp{code: opCloneRng, coll: c, obj: from, to: to, off: srcOff, n: n, toOff: dstOff})
}

// MkColl creates a collection.
func (t *Txn) MkColl(c CollectionID, spec CollSpec) {
	t.add(txnOp{code: opMkColl, coll: c, spec: spec})
}

// RmColl removes an empty collection.
func (t *Txn) RmColl(c CollectionID) { t.add(txnOp{code: opRmColl, coll: c}) }

// SplitColl narrows c to bits hash bits, one more than before, and gives the
// objects of it whose hash ends in seed to dest, which is made, or waits for them.
func (t *Txn) SplitColl(c CollectionID, bits uint8, seed uint32, dest CollectionID) {
	t.add(txnOp{code: opSplit, coll: c, dest: dest, spec: CollSpec{Bits: bits, Seed: seed}})
}

// MergeColl gives all objects of c to dest, widens dest to bits hash bits and
// removes c.
func (t *Txn) MergeColl(c, dest CollectionID, bits uint8) {
	t.add(txnOp{code: opMerge, coll: c, dest: dest, spec: CollSpec{Bits: bits}})
}

// RenameColl gives a collection another id.
func (t *Txn) RenameColl(c, to CollectionID) {
	t.add(txnOp{code: opRenColl, coll: c, dest: to})
}

func sortedPairs(m map[string][]byte) []pair {
	p := make([]pair, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p = append(p, pair{k, m[k]})
	}
	return p
}

// validate checks what can be said without knowing the store.
func (t *Txn) validate() error {
	for i := range t.ops {
		if err := t.ops[i].validate(); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return nil
}

func (o *txnOp) validate() error {
	if err := o.coll.validate(); err != nil {
		return err
	}
	if o.code.onColl() {
		if o.code == opMkColl {
			if err := validSpec(o.spec); err != nil {
				return err
			}
		}
		if o.code == opSplit || o.code == opMerge || o.code == opRenColl {
			if o.dest == o.coll {
				return fmt.Errorf("collection %q onto itself: %w", o.coll, ErrInvalid)
			}
			return o.dest.validate()
		}
		return nil
	}
	if err := validObject(o.obj); err != nil {
		return err
	}
	switch o.code {
	case opClone, opCloneRng:
		return o.validateClone()
	case opRename:
		if err := o.dest.validate(); err != nil {
			return err
		}
		return validObject(o.to)
	case opWrite, opZero:
		if o.off > MaxObjectBytes || o.n > MaxObjectBytes-o.off {
			return fmt.Errorf("bytes %d+%d lie beyond the largest object (%d): %w", o.off, o.n, uint64(MaxObjectBytes), ErrTooLarge)
		}
	case opTruncate:
		if o.off > MaxObjectBytes {
			return fmt.Errorf("size %d is above the largest object (%d): %w", o.off, uint64(MaxObjectBytes), ErrTooLarge)
		}
	case opSetAttrs, opRmAttrs:
		for _, p := range o.pairs {
			if len(p.key) == 0 || len(p.key) > MaxAttrName {
				return fmt.Errorf("attribute name of %d bytes (1 to %d): %w", len(p.key), MaxAttrName, ErrInvalid)
			}
			if len(p.value) > MaxAttrBytes {
				return fmt.Errorf("attribute %q of %d bytes (at most %d): %w", p.key, len(p.value), MaxAttrBytes, ErrTooLarge)
			}
		}
	case opOmapHead:
		if len(o.data) > layout.MaxOmapHeader {
			return fmt.Errorf("omap header of %d bytes (at most %d): %w", len(o.data), layout.MaxOmapHeader, ErrTooLarge)
		}
	case opOmapSet, opOmapRm, opOmapRange:
		for _, p := range o.pairs {
			if len(p.key) > MaxOmapKey {
				return fmt.Errorf("omap key of %d bytes (at most %d): %w", len(p.key), MaxOmapKey, ErrTooLarge)
			}
		}
	}
	return nil
}

func (o *txnOp) validateClone() error {
	if err := validObject(o.to); err != nil {
		return err
	}
	if o.code == opClone {
		if o.obj == o.to {
			return fmt.Errorf("clone of %s onto itself: %w", &o.obj, ErrInvalid)
		}
		return nil
	}
	for _, at := range [...]uint64{o.off, o.toOff} {
		if at > MaxObjectBytes || o.n > MaxObjectBytes-at {
			return fmt.Errorf("bytes %d+%d lie beyond the largest object (%d): %w", at, o.n, uint64(MaxObjectBytes), ErrTooLarge)
		}
	}
	if o.obj == o.to && o.off < o.toOff+o.n && o.toOff < o.off+o.n {
		return fmt.Errorf("clone of bytes %d+%d of %s to %d, which overlap: %w", o.off, o.n, &o.obj, o.toOff, ErrInvalid)
	}
	return nil
}

func (c CollectionID) validate() error {
	if len(c) == 0 || len(c) > MaxCollectionID || !utf8.ValidString(string(c)) {
		return fmt.Errorf("collection id %q (1 to %d bytes of UTF-8): %w", string(c), MaxCollectionID, ErrInvalid)
	}
	return nil
}

func validObject(o ObjectID) error {
	if err := o.Check(); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return nil
}

func validSpec(s CollSpec) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return nil
}
