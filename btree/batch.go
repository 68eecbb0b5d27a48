package btree

// Batch is a list of operations for Tree.Apply. The zero value is empty; Reset
// makes it empty again and keeps its memory.
type Batch struct {
	arena []byte
	ops   []batchOp
}

type opKind uint8

const (
	opPut opKind = iota
	opDelete
	opDeleteRange // key = lo, val = hi
)

type span struct {
	off, n int // n < 0: nil
}

type batchOp struct {
	kind     opKind
	key, val span
}

// Put sets the value of key. It copies both.
func (b *Batch) Put(key, val []byte) { b.add(opPut, key, val) }

// Delete removes key.
func (b *Batch) Delete(key []byte) { b.add(opDelete, key, nil) }

// DeleteRange removes every key in [lo, hi); nil is unbounded.
func (b *Batch) DeleteRange(lo, hi []byte) { b.add(opDeleteRange, lo, hi) }

// Len is the number of operations.
func (b *Batch) Len() int { return len(b.ops) }

// Bytes is the memory it keeps for keys and values.
func (b *Batch) Bytes() int { return cap(b.arena) }

// Reset empties the batch.
func (b *Batch) Reset() { b.arena, b.ops = b.arena[:0], b.ops[:0] }

func (b *Batch) add(kind opKind, key, val []byte) {
	b.ops = append(b.ops, batchOp{kind: kind, key: b.copy(key), val: b.copy(val)})
}

func (b *Batch) copy(p []byte) span {
	if p == nil {
		return span{n: -1}
	}
	s := span{off: len(b.arena), n: len(p)}
	b.arena = append(b.arena, p...)
	return s
}

func (b *Batch) bytes(s span) []byte {
	if s.n < 0 {
		return nil
	}
	return b.arena[s.off : s.off+s.n]
}
