package ebofs

import (
	"sync"

	"ebofs/ebofs/layout"
)

// onodeTable holds the onodes in RAM. It is split into shards by key; each
// shard evicts by second chance when it holds more than its share. Who only reads
// a clean object does without one the first time: see passby.go.
type onodeTable struct {
	shards [onodeShards]onodeShard
	limit  int // onodes a shard keeps before it evicts
}

const onodeShards = 64

type onodeShard struct {
	mu   sync.Mutex
	m    map[string]*onode
	ring []*onode // all of m; hand walks over it, again and again
	hand int
	seen [seenKeys]uint16 // by hash: another part of the hashes of keys that had no onode
}

// seenKeys is how many such keys a shard remembers.
const seenKeys = 128

// onodePlace is an onode's place in its shard's ring, guarded by the shard.
type onodePlace struct {
	at   int
	used bool // since the hand came by
}

func (t *onodeTable) init(limit int) {
	t.limit = max(limit/onodeShards, 1)
	for i := range t.shards {
		t.shards[i].m = make(map[string]*onode)
	}
}

func (t *onodeTable) shard(key []byte) *onodeShard {
	return &t.shards[layout.CRC(key)%onodeShards]
}

// get returns the onode of key with a reference added, and whether it was
// made now: then it is loading and the caller starts the load.
func (t *onodeTable) get(key []byte) (o *onode, fresh bool) {
	sh := t.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if o = sh.find(key); o != nil {
		return o, false
	}
	o = &onode{key: string(key), loading: true}
	o.refs.Add(1)
	sh.insert(o)
	if len(sh.m) > t.limit {
		sh.evict(t.limit)
	}
	return o, true
}

// again is get for a reader that can do without: it returns nil if there is no onode
// and nobody asked for one of that key a while ago.
func (t *onodeTable) again(key []byte) (o *onode, fresh bool) {
	h := layout.CRC(key)
	sh := &t.shards[h%onodeShards]
	sh.mu.Lock()
	if o = sh.find(key); o == nil {
		p := &sh.seen[h/onodeShards%seenKeys]
		tag := uint16(h>>16) | 1 // 0: none
		fresh = *p == tag
		*p = tag
	}
	sh.mu.Unlock()
	if fresh {
		return t.get(key)
	}
	return o, false
}

// find returns the onode of key with a reference added, nil if there is none.
func (sh *onodeShard) find(key []byte) *onode {
	o := sh.m[string(key)]
	if o != nil {
		o.refs.Add(1)
		o.place.used = true
	}
	return o
}

// discard takes an onode out whose load failed, so that the key can be loaded
// again; who holds it keeps it.
func (t *onodeTable) discard(o *onode) {
	sh := t.shard([]byte(o.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m[o.key] == o {
		sh.drop(o)
	}
}

// each calls fn for every onode, a shard at a time.
func (t *onodeTable) each(fn func(*onode)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, o := range sh.m {
			fn(o)
		}
		sh.mu.Unlock()
	}
}

func (sh *onodeShard) insert(o *onode) {
	sh.m[o.key] = o
	o.place.at = len(sh.ring)
	sh.ring = append(sh.ring, o)
}

// drop forgets o; the onode that came last has its place now.
func (sh *onodeShard) drop(o *onode) {
	delete(sh.m, o.key)
	end := len(sh.ring) - 1
	last := sh.ring[end]
	sh.ring[o.place.at], last.place.at = last, o.place.at
	sh.ring[end] = nil
	sh.ring = sh.ring[:end]
}

// evict drops unused onodes until limit are left or every one had its chance.
// A dirty onode holds a reference, so zero references means clean.
func (sh *onodeShard) evict(limit int) {
	for tries := 16; tries > 0 && len(sh.m) > limit; tries-- {
		if sh.hand >= len(sh.ring) {
			sh.hand = 0
		}
		o := sh.ring[sh.hand]
		sh.hand++
		switch {
		case o.refs.Load() != 0:
		case o.place.used:
			o.place.used = false
		default:
			sh.drop(o)
		}
	}
}
