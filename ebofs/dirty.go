package ebofs

import (
	"sync"
	"time"
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
		b.data += int64(len(cs[i].data))
		b.heap += cs[i].heapBytes()
	}
	return b
}

// heapBytes is what a change keeps in RAM beside journaled data: entries of a delta
// with what an entry costs beside its bytes, blocks that are decided.
func (c *change) heapBytes() int64 {
	n := c.weight
	if c.code == opPlace {
		n += editsBytes*int64(1+c.n>>chunkShift) + decidedBytes*int64(c.n>>blockShift)
	}
	for i := range c.pairs {
		n += int64(len(c.pairs[i].key)+len(c.pairs[i].value)) + 32
	}
	return n
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
