package btree

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"ebofs/internal/planted"
)

// Tree is one ordered map: pages on media and what changed since.
//
// Layers, newest first; a lookup takes the first that knows the key:
//
//	active   where Put and Delete write
//	frozen   what a running checkpoint merges; nil between checkpoints
//	root     the pages of the last published checkpoint
//
// All methods may run at once, except that one goroutine at a time runs Freeze,
// PutFrozen and the like, Reconcile and Publish: the checkpointer. Methods
// without a context do no I/O. The lock is never held across I/O or a callback.
type Tree struct {
	cfg *Config
	ld  Loader
	own Owner

	mu     sync.RWMutex
	root   *Root  // nil: empty; what it points to is constant
	active *delta // nil: empty
	frozen *delta // constant but for PutFrozen, AppendFrozen and DeleteFrozen
}

// New returns the tree that root describes. cfg has passed Validate and root
// came from DecodeRoot, Reconcile, Finish or is the zero Root. It does no I/O.
func New(cfg *Config, ld Loader, own Owner, root Root) *Tree {
	t := &Tree{cfg: cfg, ld: ld, own: own}
	t.setRootLocked(root)
	return t
}

func (t *Tree) setRootLocked(r Root) {
	if r.Kind == RootEmpty {
		t.root = nil
		return
	}
	c := r // only now: an empty tree costs no Root
	t.root = &c
}

// Config returns what New was given.
func (t *Tree) Config() *Config { return t.cfg }

// Owner returns what New was given.
func (t *Tree) Owner() Owner { return t.own }

// Root returns the last published root.
func (t *Tree) Root() Root {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.root == nil {
		return Root{}
	}
	return *t.root
}

// Get appends the value of key to dst[:0]; ok says whether there is one. It
// allocates only if dst is too short.
func (t *Tree) Get(ctx context.Context, key, dst []byte) (val []byte, ok bool, err error) {
	for {
		t.mu.RLock()
		val, v := t.lookupLocked(key, dst[:0])
		root := t.root
		t.mu.RUnlock()
		if v != unknown {
			return val, v == present, nil
		}
		if root == nil {
			return dst[:0], false, nil
		}
		val, ok, err = getPages(ctx, t.cfg, t.ld, &t.own, root, key, dst[:0])
		if err == nil || !t.moved(root) {
			return val, ok, err
		}
	}
}

// GetFrozen is Get without the active delta: what the checkpoint sees.
func (t *Tree) GetFrozen(ctx context.Context, key, dst []byte) (val []byte, ok bool, err error) {
	t.mu.RLock()
	val, v := t.frozen.getAll(key)
	dst = append(dst[:0], val...)
	root := t.root
	t.mu.RUnlock()
	if v != unknown || root == nil {
		return dst, v == present, nil
	}
	return getPages(ctx, t.cfg, t.ld, &t.own, root, key, dst[:0])
}

// GetResident is Get as far as it needs no I/O; else known is false.
func (t *Tree) GetResident(key, dst []byte) (val []byte, ok, known bool) {
	val, _, ok, known = t.GetPlaced(key, dst)
	return val, ok, known
}

// GetPlaced is GetResident that also says where on media the value lies; no Items: it
// does not, or in a leaf that is inline.
func (t *Tree) GetPlaced(key, dst []byte) (val []byte, at Place, ok, known bool) {
	t.mu.RLock()
	val, v := t.lookupLocked(key, dst[:0])
	root := t.root
	t.mu.RUnlock()
	if v != unknown {
		return val, Place{}, v == present, true
	}
	if root == nil {
		return dst[:0], Place{}, false, true
	}
	return t.getResident(root, key, dst[:0])
}

// Has says whether key has a value. It reads no overflow value.
func (t *Tree) Has(ctx context.Context, key []byte) (bool, error) {
	for {
		t.mu.RLock()
		v := t.verdictLocked(key)
		root := t.root
		t.mu.RUnlock()
		if v != unknown || root == nil {
			return v == present, nil
		}
		ok, err := hasPages(ctx, t.cfg, t.ld, &t.own, root, key)
		if err == nil || !t.moved(root) {
			return ok, err
		}
	}
}

// lookupLocked asks the deltas and appends what they hold to dst.
func (t *Tree) lookupLocked(key, dst []byte) ([]byte, verdict) {
	val, v := t.active.get(key)
	if v == unknown {
		val, v = t.frozen.get(key)
	}
	return append(dst, val...), v
}

func (t *Tree) verdictLocked(key []byte) verdict {
	_, v := t.active.get(key)
	if v == unknown {
		_, v = t.frozen.get(key)
	}
	return v
}

// moved says whether another root was published since root was read: then the
// pages root reaches may have been written over, and an error is no news.
func (t *Tree) moved(root *Root) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root != root
}

// Put sets the value of key. It copies both.
func (t *Tree) Put(key, val []byte) {
	t.mustFit(key, val)
	t.mu.Lock()
	t.activeLocked().ents.put(key, val, false)
	t.mu.Unlock()
}

// Delete removes key, whether or not it is there.
func (t *Tree) Delete(key []byte) {
	t.mustFitKey(key)
	t.mu.Lock()
	t.deleteLocked(key)
	t.mu.Unlock()
}

// DeleteRange removes every key in [lo, hi); nil is unbounded. It takes
// O(log n) of the delta, whatever lies on media.
func (t *Tree) DeleteRange(lo, hi []byte) {
	t.mu.Lock()
	t.deleteRangeLocked(lo, hi)
	t.mu.Unlock()
}

func (t *Tree) activeLocked() *delta {
	if t.active == nil {
		t.active = new(delta)
	}
	return t.active
}

// bareLocked says that nothing lies below the active delta, so that it needs
// no deletions.
func (t *Tree) bareLocked() bool { return t.root == nil && t.frozen == nil }

func (t *Tree) deleteLocked(key []byte) {
	if t.bareLocked() {
		if t.active != nil {
			t.active.ents.remove(key)
		}
		return
	}
	t.activeLocked().del(key)
}

func (t *Tree) deleteRangeLocked(lo, hi []byte) {
	if hi != nil && bytes.Compare(lo, hi) >= 0 {
		return
	}
	if t.bareLocked() {
		if t.active != nil {
			t.active.ents.removeRange(lo, hi)
		}
		return
	}
	t.activeLocked().delRange(lo, hi)
}

// mustFit panics on a key or value the format cannot hold: callers check what
// comes from outside with Config.CheckKey and CheckValue.
func (t *Tree) mustFit(key, val []byte) {
	t.mustFitKey(key)
	if err := t.cfg.CheckValue(val); err != nil {
		panic(err)
	}
}

func (t *Tree) mustFitKey(key []byte) {
	if err := t.cfg.CheckKey(key); err != nil {
		panic(err)
	}
}

// Apply does the operations of b in order; readers see all or none of them.
func (t *Tree) Apply(b *Batch) {
	for i := range b.ops {
		if op := &b.ops[i]; op.kind == opPut {
			t.mustFit(b.bytes(op.key), b.bytes(op.val))
		}
	}
	t.mu.Lock()
	if t.active == nil && len(b.ops) > 0 && b.ops[0].kind == opPut {
		t.activeLocked().ents.begin(len(b.ops), len(b.arena)+len(b.ops)*entryHeader)
	}
	for i := range b.ops {
		switch op := &b.ops[i]; op.kind {
		case opPut:
			t.activeLocked().ents.put(b.bytes(op.key), b.bytes(op.val), false)
		case opDelete:
			t.deleteLocked(b.bytes(op.key))
		case opDeleteRange:
			t.deleteRangeLocked(b.bytes(op.key), b.bytes(op.val))
		}
	}
	t.mu.Unlock()
}

// Freeze makes what was put so far the frozen delta, in O(1); later puts go to
// a new active one. There must be no frozen delta. There is one afterwards, if
// only an empty one: what is deleted from now on must hide what PutFrozen adds.
func (t *Tree) Freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frozen != nil {
		panic(fmt.Sprintf("tree %q: frozen twice", t.cfg.Name))
	}
	if t.frozen = t.active; t.frozen == nil {
		t.frozen = new(delta)
	}
	t.active = nil
}

// PutFrozen is Put into the frozen delta: the checkpoint adds what it encodes
// late. A key the frozen delta has not must not be newer in the active one's
// past: it belongs to the epoch being written.
func (t *Tree) PutFrozen(key, val []byte) {
	t.mustFit(key, val)
	t.mu.Lock()
	if t.frozen == nil {
		t.frozen = new(delta)
	}
	t.frozen.ents.put(key, val, false)
	t.mu.Unlock()
}

// AppendFrozen is PutFrozen of many keys, in ascending order: cheap, but seen by
// GetFrozen and Reconcile only. Other readers see what they saw before, until Publish:
// so what they see of such a key must not matter, but that it is there. Of a key put,
// deleted or lost otherwise that counts, unless a value of no bytes was put.
func (t *Tree) AppendFrozen(key, val []byte) {
	t.mustFit(key, val)
	t.mu.Lock()
	if t.frozen == nil {
		t.frozen = new(delta)
	}
	if t.frozen.late == nil {
		t.frozen.late = new(late)
	}
	if len(val) == 0 || !t.frozen.late.add(key, val) {
		t.frozen.ents.put(key, val, false)
	}
	t.mu.Unlock()
}

// DeleteFrozen is Delete in the frozen delta.
func (t *Tree) DeleteFrozen(key []byte) {
	t.mustFitKey(key)
	t.mu.Lock()
	if t.frozen == nil {
		t.frozen = new(delta)
	}
	t.frozen.del(key)
	t.mu.Unlock()
}

// Touch has the next Reconcile write the leaf that key belongs to and the nodes
// above it anew, elsewhere, though nothing changes there: so the place they have
// becomes free. Where nothing lies on media it does nothing.
func (t *Tree) Touch(key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root != nil && t.root.Kind == RootNode {
		d := t.activeLocked()
		d.touched = append(d.touched, bytes.Clone(key))
	}
}

// LoseFrozen is for a change to key that cannot be made, since what is there
// could not be read: Reconcile gives up the leaf the key belongs to (GiverUp),
// even if the leaf can be read by then.
func (t *Tree) LoseFrozen(key []byte) {
	t.DeleteFrozen(key) // leads the merge there
	t.mu.Lock()
	t.frozen.lost = append(t.frozen.lost, bytes.Clone(key))
	t.mu.Unlock()
}

// Publish makes r, which Reconcile returned, the root and drops the frozen
// delta it contains.
func (t *Tree) Publish(r Root) {
	t.mu.Lock()
	if !planted.On(planted.StalePublish) {
		t.setRootLocked(r)
	}
	t.frozen = nil
	t.mu.Unlock()
}

// Frozen says whether there is a frozen delta.
func (t *Tree) Frozen() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.frozen != nil
}

// Dirty says whether a delta holds anything.
func (t *Tree) Dirty() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return !t.active.empty() || !t.frozen.empty()
}

// DeltaBytes is the memory of the entries of both deltas.
func (t *Tree) DeltaBytes() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.active.bytes() + t.frozen.bytes()
}
