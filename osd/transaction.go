package osd

// OpKind says what an Op does.
type OpKind uint8

// The operations. Each names the fields of Op it uses beside Coll and, if it
// concerns an object, Obj.
const (
	OpTouch         OpKind = iota + 1 // create the object if missing
	OpWrite                           // Data at Off
	OpZero                            // zeros at [Off, Off+Len)
	OpTruncate                        // to Off bytes
	OpRemove                          // the object
	OpSetAttrs                        // Map
	OpRmAttr                          // Name
	OpRmAttrs                         // all of them
	OpOmapSet                         // Map
	OpOmapRm                          // Keys
	OpOmapRmRange                     // [Name, Last)
	OpOmapClear                       // keys and header
	OpOmapSetHeader                   // Data
	OpSetAllocHint                    // ObjectBytes, WriteBytes, Flags
	OpClone                           // to To
	OpCloneRange                      // [Off, Off+Len) to To at ToOff
	OpRename                          // to To
	OpMkColl                          // Spec
	OpRmColl                          //
	OpSplitColl                       // Bits, Seed, Dest
	OpMergeColl                       // Bits, Dest
	OpRenameColl                      // to Dest
)

// Op is one step of a Transaction.
type Op struct {
	Kind OpKind
	Coll CollectionID
	Obj  ObjectID
	To   ObjectID

	Off, Len, ToOff uint64
	Data            []byte
	Name, Last      string
	Keys            []string
	Map             map[string][]byte

	ObjectBytes, WriteBytes uint64 // expected sizes, 0: unknown
	Flags                   uint32 // Ceph's allocation hint flags

	Spec CollectionSpec
	Bits uint8
	Seed uint32
	Dest CollectionID
}

// Transaction is a list of changes that happen together. Each step sees what
// the earlier ones did. It is built by one goroutine and, once queued, read only.
// The zero value is empty and ready.
type Transaction struct {
	ops []Op
}

// Ops returns the steps in order; they are for reading.
func (t *Transaction) Ops() []Op { return t.ops }

// Len returns the number of steps.
func (t *Transaction) Len() int { return len(t.ops) }

// Add appends any step.
func (t *Transaction) Add(op Op) { t.ops = append(t.ops, op) }

// Append adds all steps of u, which stays as it is.
func (t *Transaction) Append(u *Transaction) { t.ops = append(t.ops, u.ops...) }

// Touch creates o if it is missing.
func (t *Transaction) Touch(c CollectionID, o ObjectID) {
	t.Add(Op{Kind: OpTouch, Coll: c, Obj: o})
}

// Write stores data from byte off onward, extending o as needed; the gap reads
// as zeros. No data creates o and changes nothing else.
func (t *Transaction) Write(c CollectionID, o ObjectID, off uint64, data []byte) {
	t.Add(Op{Kind: OpWrite, Coll: c, Obj: o, Off: off, Data: data})
}

// Zero makes [off, off+n) read as zeros, extending o to off+n if it is shorter;
// n = 0 creates o and changes nothing else.
func (t *Transaction) Zero(c CollectionID, o ObjectID, off, n uint64) {
	t.Add(Op{Kind: OpZero, Coll: c, Obj: o, Off: off, Len: n})
}

// Truncate cuts o to size bytes or extends it with zeros.
func (t *Transaction) Truncate(c CollectionID, o ObjectID, size uint64) {
	t.Add(Op{Kind: OpTruncate, Coll: c, Obj: o, Off: size})
}

// Remove deletes o with all it has.
func (t *Transaction) Remove(c CollectionID, o ObjectID) {
	t.Add(Op{Kind: OpRemove, Coll: c, Obj: o})
}

// SetAttr sets one attr.
func (t *Transaction) SetAttr(c CollectionID, o ObjectID, name string, value []byte) {
	t.SetAttrs(c, o, map[string][]byte{name: value})
}

// SetAttrs sets the attrs named in attrs and leaves the others.
func (t *Transaction) SetAttrs(c CollectionID, o ObjectID, attrs map[string][]byte) {
	t.Add(Op{Kind: OpSetAttrs, Coll: c, Obj: o, Map: attrs})
}

// RmAttr removes one attr; that it is missing is no error.
func (t *Transaction) RmAttr(c CollectionID, o ObjectID, name string) {
	t.Add(Op{Kind: OpRmAttr, Coll: c, Obj: o, Name: name})
}

// RmAttrs removes all attrs.
func (t *Transaction) RmAttrs(c CollectionID, o ObjectID) {
	t.Add(Op{Kind: OpRmAttrs, Coll: c, Obj: o})
}

// OmapSet sets the keys of kv and leaves the others.
func (t *Transaction) OmapSet(c CollectionID, o ObjectID, kv map[string][]byte) {
	t.Add(Op{Kind: OpOmapSet, Coll: c, Obj: o, Map: kv})
}

// OmapRm removes keys; that some are missing is no error.
func (t *Transaction) OmapRm(c CollectionID, o ObjectID, keys []string) {
	t.Add(Op{Kind: OpOmapRm, Coll: c, Obj: o, Keys: keys})
}

// OmapRmRange removes the keys of [first, last); an empty last is no bound.
func (t *Transaction) OmapRmRange(c CollectionID, o ObjectID, first, last string) {
	t.Add(Op{Kind: OpOmapRmRange, Coll: c, Obj: o, Name: first, Last: last})
}

// OmapClear removes all keys and the header.
func (t *Transaction) OmapClear(c CollectionID, o ObjectID) {
	t.Add(Op{Kind: OpOmapClear, Coll: c, Obj: o})
}

// OmapSetHeader replaces the header, of at most MaxOmapHeaderBytes.
func (t *Transaction) OmapSetHeader(c CollectionID, o ObjectID, header []byte) {
	t.Add(Op{Kind: OpOmapSetHeader, Coll: c, Obj: o, Data: header})
}

// SetAllocHint tells the store how o will be used; it may remember it or not.
func (t *Transaction) SetAllocHint(c CollectionID, o ObjectID, objectBytes, writeBytes uint64, flags uint32) {
	t.Add(Op{Kind: OpSetAllocHint, Coll: c, Obj: o, ObjectBytes: objectBytes, WriteBytes: writeBytes, Flags: flags})
}

// Clone makes to a copy of from, data, attrs and omap, replacing what it was.
// Onto itself it is ErrInvalid.
func (t *Transaction) Clone(c CollectionID, from, to ObjectID) {
	t.Add(Op{Kind: OpClone, Coll: c, Obj: from, To: to})
}

// CloneRange copies [off, off+n) of from, which must lie within its size, to
// byte toOff of to, extending it as a write would. From and to may be one object
// if the ranges are disjoint.
func (t *Transaction) CloneRange(c CollectionID, from, to ObjectID, off, n, toOff uint64) {
	t.Add(Op{Kind: OpCloneRange, Coll: c, Obj: from, To: to, Off: off, Len: n, ToOff: toOff})
}

// Rename gives from, with all it has, the name to; ErrExists if there is such
// an object, from itself included. Both lie in c.
func (t *Transaction) Rename(c CollectionID, from, to ObjectID) {
	t.Add(Op{Kind: OpRename, Coll: c, Obj: from, To: to})
}

// MkColl creates a collection; ErrExists if the id is in use, ErrInvalid if
// spec overlaps another collection. (A store may instead take one strictly
// inside another's range as waiting for its SplitColl; callers do not rely on it.)
func (t *Transaction) MkColl(c CollectionID, spec CollectionSpec) {
	t.Add(Op{Kind: OpMkColl, Coll: c, Spec: spec})
}

// RmColl removes a collection; ErrNotEmpty if it holds objects.
func (t *Transaction) RmColl(c CollectionID) {
	t.Add(Op{Kind: OpRmColl, Coll: c})
}

// SplitColl divides c in two: c keeps its seed at one bit more, and dest, which
// must not exist, is created for the objects whose hash has that bit set. bits is
// the new number of bits, one more than before, and seed that of dest. Values
// that describe no part of c, and dest = c, are ErrInvalid.
func (t *Transaction) SplitColl(c CollectionID, bits uint8, seed uint32, dest CollectionID) {
	t.Add(Op{Kind: OpSplitColl, Coll: c, Bits: bits, Seed: seed, Dest: dest})
}

// MergeColl is the reverse: c goes and dest, the other half of the range of bits
// bits, has the objects of both. If that range does not hold both, or holds any
// of a third, it is ErrInvalid.
func (t *Transaction) MergeColl(c, dest CollectionID, bits uint8) {
	t.Add(Op{Kind: OpMergeColl, Coll: c, Dest: dest, Bits: bits})
}

// RenameColl gives c, with its objects, another id.
func (t *Transaction) RenameColl(c, id CollectionID) {
	t.Add(Op{Kind: OpRenameColl, Coll: c, Dest: id})
}
