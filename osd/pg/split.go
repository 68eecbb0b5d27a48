package pg

import (
	"context"
	"fmt"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/osd"
	"ebofs/osd/ops"
)

// What of a log goes along when a PG is split is bounded, to be one transaction: the
// newest entries of the part, dups of the older ones, and the newest dups.
const (
	splitLogBytes = 512 << 10
	splitDupBytes = 512 << 10 // more than all of them have, but for outputs
)

// Split makes a closed PG of a store as large as it is among pgNum PGs, and returns
// the new PGs that have the rest. Each is split off in one transaction with its
// statistics and the part of the log and of the dups that is about its objects; a crash
// in between leaves the PG between its old size and the new one, to be split further.
// The PG itself keeps all of both: what is about others' objects nobody asks it for, and
// it goes with time.
func Split(ctx context.Context, s osd.ObjectStore, id ceph.PG, pgNum uint32, epoch ceph.Epoch) (parts []ceph.PG, err error) {
	for {
		spec, err := s.Collection(ctx, Collection(id))
		if err != nil {
			return parts, fmt.Errorf("pg %v: %w", id, err)
		}
		if int(spec.Bits) >= id.Bits(pgNum) {
			break
		}
		part, err := splitOff(ctx, s, id, spec.Bits, epoch)
		if err != nil {
			return parts, fmt.Errorf("pg %v: split: %w", id, err)
		}
		parts = append(parts, part)
	}
	// The parts may be too large as well.
	for _, part := range parts[:len(parts):len(parts)] {
		more, err := Split(ctx, s, part, pgNum, epoch)
		if parts = append(parts, more...); err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// splitOff splits off the objects whose hash has bit number bits set.
func splitOff(ctx context.Context, s osd.ObjectStore, id ceph.PG, bits uint8, epoch ceph.Epoch) (ceph.PG, error) {
	part := ceph.PG{Pool: id.Pool, Seed: id.Seed | 1<<bits}
	info, l, err := load(ctx, s, Collection(id), id)
	if err != nil {
		return part, err
	}
	sum, err := sumOf(ctx, s, id, part)
	if err != nil {
		return part, err
	}
	var last ceph.EVersion
	var rest Stats
	if n := len(l.entries); n > 0 {
		last, rest = l.entries[n-1].Version, l.entries[n-1].Stats
	}
	// An entry of nobody's in either log has the statistics from now on.
	at := ceph.EVersion{Version: last.Version + 1, Epoch: max(epoch, last.Epoch)}
	var own Stats
	own.add(sum)
	rest.take(sum)
	user := uint64(0)
	for _, e := range l.entries {
		user = max(user, e.UserVersion)
	}
	mark := func(st Stats) *Entry { return &Entry{Version: at, Prior: last, UserVersion: user, Stats: st} }

	info.Created = epoch
	kv := map[string][]byte{infoKey: info.encode()}
	l.part(kv, osd.CollectionSpec{Bits: bits + 1, Seed: part.Seed})
	n := mark(own)
	kv[n.key()] = n.bytes()
	var t osd.Transaction
	t.SplitColl(Collection(id), bits+1, part.Seed, Collection(part))
	t.OmapSet(Collection(part), metaObject(part), kv)
	n = mark(rest)
	t.OmapSet(Collection(id), metaObject(id), map[string][]byte{n.key(): n.bytes()})
	return part, osd.Apply(ctx, s, &t)
}

// part puts into kv what of the log is about objects in spec.
func (l *log) part(kv map[string][]byte, spec osd.CollectionSpec) {
	holds := func(n *Entry) bool { return spec.Contains(osd.ObjectID{Hash: n.Object.Hash}) }
	room, i := splitLogBytes, len(l.entries)
	for ; i > 0 && room > 0; i-- {
		if n := l.entries[i-1]; holds(&n.Entry) {
			p := n.bytes()
			kv[n.key()] = p
			room -= len(p)
		}
	}
	old := l.dups.list()
	for _, n := range l.entries[:i] {
		old = append(old, &n.Entry)
	}
	old = slices.DeleteFunc(old, func(n *Entry) bool { return !holds(n) })
	room = splitDupBytes
	for _, b := range slices.Backward(pack(old)) {
		if room -= len(b.value); room < 0 {
			break
		}
		kv[b.key] = b.value
	}
}

// sumOf counts what the part of a PG holds that is to be split off.
func sumOf(ctx context.Context, s osd.ObjectStore, id, part ceph.PG) (ops.Delta, error) {
	var sum ops.Delta
	env := &ops.Env{Store: s, Coll: Collection(id), PG: id}
	from := ops.Key(ceph.HObject{Pool: part.Pool, Hash: part.Seed}) // the upper half of the PG, to its end
	from.Generation = 0
	for start := &from; start != nil; {
		ids, next, err := s.List(ctx, env.Coll, start, nil, ops.MaxListEntries)
		if err != nil {
			return sum, err
		}
		for _, o := range ids {
			h := ops.HObject(o)
			if h.Snap != ceph.NoSnap || h.Name == "" || h.Pool != part.Pool {
				continue
			}
			st, err := env.Load(ctx, h)
			if err == nil {
				sum.Add(st)
			} // else a scrub finds it, and that the sums differ
			if ctx.Err() != nil {
				return sum, ctx.Err()
			}
		}
		start = next
	}
	return sum, nil
}
