package ebofs

import (
	"sync"
	"time"

	"ebofs/ebofs/layout"
)

// dirtyList collects the onodes changed in each epoch, and the bodies and
// blocks that epoch dropped.
type dirtyList struct {
	sync.Mutex
	epochs [2]dirtyEpoch // epoch e in slot e%2: at most two are open
}

type dirtyEpoch struct {
	onodes  []*onode
	removed []*body   // bodies whose saved state the checkpoint must free
	dead    []decided // blocks decided and dropped again in the same epoch
	lost    []string  // keys of objects whose changes were lost
	burden
}

// burden is what transactions keep until their checkpoint, and what they cost it or a
// mount that has to replay them.
type burden struct {
	data   int64 // bytes that are journaled: they have frames
	heap   int64 // bytes of what else a change keeps in RAM, beside dirtyFootprint for its onode
	replay time.Duration
	tokens spaceTokens // blocks promised
}

func (b *burden) add(c burden) {
	b.data += c.data
	b.heap += c.heap
	b.replay += c.replay
	b.tokens.add(c.tokens)
}

// burdenOf returns what the changes of one transaction, which has these tokens, keep and cost.
func burdenOf(cs []change, tokens spaceTokens) burden {
	b := burden{replay: replayCost(cs), tokens: tokens}
	for i := range cs {
		data, heap := cs[i].kept()
		b.data += data
		b.heap += heap
	}
	return b
}

// kept returns the bytes that a change keeps in RAM until its checkpoint: journaled ones,
// and entries of deltas, with what an entry costs beside its bytes, and decided blocks.
func (c *change) kept() (data, heap int64) {
	const entry = 32
	chunks, blocks := int64(0), int64(c.n>>blockShift)
	switch {
	case c.code == opWrite:
		data = int64(len(c.data))
	case c.code == opPlace:
		chunks = 1 + int64(c.n>>chunkShift)
	case c.code == opZero: // whole chunks between two others are ranges of the tree
		chunks, blocks = 2, min(blocks, 2*layout.ChunkBlocks)
	case c.code == opTruncate:
		chunks, blocks = 1, layout.ChunkBlocks
	case c.code.clones():
		return int64(c.takes.data << blockShift), c.takes.heap()
	default:
		heap = int64(len(c.data))
	}
	heap += chunks*editsBytes + blocks*decidedBytes
	for i := range c.pairs {
		heap += int64(len(c.pairs[i].key)+len(c.pairs[i].value)) + entry
	}
	return data, heap
}

func (d *dirtyList) add(o *onode, epoch uint64) {
	o.refs.Add(1) // a dirty onode stays
	d.Lock()
	e := &d.epochs[epoch%2]
	e.onodes = append(e.onodes, o)
	d.Unlock()
}

func (d *dirtyList) addRemoved(b *body, epoch uint64) {
	d.Lock()
	e := &d.epochs[epoch%2]
	e.removed = append(e.removed, b)
	d.Unlock()
}

func (d *dirtyList) addDead(dead decided, epoch uint64) {
	d.Lock()
	e := &d.epochs[epoch%2]
	e.dead = append(e.dead, dead)
	d.Unlock()
}

func (d *dirtyList) addLost(key string, epoch uint64) {
	d.Lock()
	e := &d.epochs[epoch%2]
	e.lost = append(e.lost, key)
	d.Unlock()
}

func (d *dirtyList) account(epoch uint64, b burden) {
	d.Lock()
	d.epochs[epoch%2].add(b)
	d.Unlock()
}

// waiting is what waits for a checkpoint.
type waiting struct {
	onodes int
	burden
}

// inHeap returns what it takes of the heap.
func (w *waiting) inHeap() int64 { return w.heap + int64(w.onodes)*dirtyFootprint }

// pressure returns what both open epochs have.
func (d *dirtyList) pressure() (w waiting) {
	d.Lock()
	defer d.Unlock()
	for i := range d.epochs {
		w.onodes += len(d.epochs[i].onodes)
		w.add(d.epochs[i].burden)
	}
	return w
}

// take returns the list of epoch, which no transaction adds to any more. The
// slot is emptied by done.
func (d *dirtyList) take(epoch uint64) dirtyEpoch {
	d.Lock()
	defer d.Unlock()
	return d.epochs[epoch%2]
}

func (d *dirtyList) done(epoch uint64) {
	d.Lock()
	d.epochs[epoch%2] = dirtyEpoch{}
	d.Unlock()
}
