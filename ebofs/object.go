package ebofs

import "ebofs/ebofs/layout"

// NewObjectID returns the id of a plain object of a pool: no snapshot, no
// generation, hashed by name.
func NewObjectID(pool int64, name string) ObjectID {
	return ObjectID{
		Shard: layout.NoShard, Pool: pool, Hash: layout.HashName("", "", name), Name: name,
		Snap: layout.NoSnap, Generation: layout.NoGeneration,
	}
}
