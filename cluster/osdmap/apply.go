package osdmap

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

var (
	// ErrEpoch is wrapped when an increment does not belong behind the map.
	ErrEpoch = errors.New("not the next epoch")

	// ErrChecksum is wrapped when the map that comes out is not the one the
	// increment promises: the full map has to be fetched.
	ErrChecksum = errors.New("the full map is another")
)

// maxOSDs bounds MaxOSD: the lists by OSD take 200 bytes for each.
const maxOSDs = 1 << 20

// Clone returns a copy of m. Pools and encoded maps, which are replaced and never
// changed in place, are shared.
func (m *Map) Clone() *Map {
	c := *m
	c.Pools, c.PoolNames, c.Profiles = maps.Clone(m.Pools), maps.Clone(m.PoolNames), maps.Clone(m.Profiles)
	c.States, c.Weights, c.Affinity = slices.Clone(m.States), slices.Clone(m.Weights), slices.Clone(m.Affinity)
	c.Client, c.Cluster = slices.Clone(m.Client), slices.Clone(m.Cluster)
	c.HeartbeatBack, c.HeartbeatFront = slices.Clone(m.HeartbeatBack), slices.Clone(m.HeartbeatFront)
	c.Infos, c.XInfos, c.UUIDs = slices.Clone(m.Infos), slices.Clone(m.XInfos), slices.Clone(m.UUIDs)
	c.PGTemp, c.PrimaryTemp = maps.Clone(m.PGTemp), maps.Clone(m.PrimaryTemp)
	c.Upmap, c.UpmapItems = maps.Clone(m.Upmap), maps.Clone(m.UpmapItems)
	c.RemovedSnapsQueue, c.Blocklist = maps.Clone(m.RemovedSnapsQueue), maps.Clone(m.Blocklist)
	c.NodeFlags, c.ClassFlags = maps.Clone(m.NodeFlags), maps.Clone(m.ClassFlags)
	return &c
}

// Apply makes m the map of the next epoch. m stays as it is if n belongs to
// another, names an OSD beyond MaxOSD, or gives another map than it promises.
func (m *Map) Apply(n *Incremental) error {
	next, err := m.Next(n)
	if err == nil {
		*m = *next
	}
	return err
}

// Next returns the map of the next epoch; m stays as it is.
func (m *Map) Next(n *Incremental) (*Map, error) {
	if n.FSID != m.FSID || n.Epoch != m.Epoch+1 {
		return nil, fmt.Errorf("increment to %d of cluster %s for map %d of %s: %w", n.Epoch, n.FSID, m.Epoch, m.FSID, ErrEpoch)
	}
	if len(n.FullMap) > 0 {
		full, err := Decode(n.FullMap)
		if err == nil && (full.Epoch != n.Epoch || full.FSID != n.FSID) {
			err = fmt.Errorf("full map %d in increment %d: %w", full.Epoch, n.Epoch, ErrEpoch)
		}
		return full, err
	}
	a := &applier{Map: m.Clone(), n: n}
	if err := a.resize(); err != nil {
		return nil, err
	}
	if err := a.inRange(); err != nil {
		return nil, err
	}
	a.whole()
	a.pools()
	a.osds()
	a.pgs()
	a.snaps()
	if err := a.check(); err != nil {
		return nil, err
	}
	a.Encode()
	if n.FullChecksum != 0 && a.checksum != n.FullChecksum {
		return nil, fmt.Errorf("map %d: checksum %08x, want %08x: %w", a.Epoch, a.checksum, n.FullChecksum, ErrChecksum)
	}
	return a.Map, nil
}

// applier is the map that is being made.
type applier struct {
	*Map
	n *Incremental
}

func grown[T any](list []T, n int, fill T) []T {
	for len(list) < n {
		list = append(list, fill)
	}
	return list[:n]
}

func (a *applier) resize() error {
	n := a.n.MaxOSD
	if n == Unchanged {
		return nil
	}
	if n < 0 || n > maxOSDs {
		return fmt.Errorf("max_osd %d: %w", n, denc.ErrMalformed)
	}
	a.MaxOSD = n
	size := int(n)
	a.States, a.Weights = grown(a.States, size, 0), grown(a.Weights, size, 0)
	if len(a.Affinity) > 0 {
		a.Affinity = grown(a.Affinity, size, DefaultAffinity)
	}
	a.Client, a.Cluster = grown(a.Client, size, nil), grown(a.Cluster, size, nil)
	a.HeartbeatBack, a.HeartbeatFront = grown(a.HeartbeatBack, size, nil), grown(a.HeartbeatFront, size, nil)
	a.Infos, a.XInfos, a.UUIDs = grown(a.Infos, size, Info{}), grown(a.XInfos, size, XInfo{}), grown(a.UUIDs, size, ceph.UUID{})
	return nil
}

// osdsOf reports an OSD of m that has no place in the lists.
func osdsOf[V any](what string, m map[int32]V, size int32) error {
	for osd := range m {
		if osd < 0 || osd >= size {
			return fmt.Errorf("%s of osd.%d, of %d: %w", what, osd, size, denc.ErrMalformed)
		}
	}
	return nil
}

func (a *applier) inRange() error {
	n, size := a.n, a.MaxOSD
	return errors.Join(
		osdsOf("address", n.UpClient, size), osdsOf("address", n.UpCluster, size), osdsOf("address", n.UpHeartbeatBack, size), osdsOf("address", n.UpHeartbeatFront, size),
		osdsOf("state", n.States, size), osdsOf("weight", n.Weights, size), osdsOf("affinity", n.Affinity, size), osdsOf("up_thru", n.UpThru, size),
		osdsOf("interval", n.CleanIntervals, size), osdsOf("loss", n.Lost, size), osdsOf("uuid", n.UUIDs, size), osdsOf("xinfo", n.XInfos, size),
	)
}

// whole takes what holds of the cluster.
func (a *applier) whole() {
	n := a.n
	a.Epoch, a.Modified = n.Epoch, n.Modified
	if n.PoolMax != Unchanged {
		a.PoolMax = int32(n.PoolMax)
	}
	if n.Flags != Unchanged {
		a.Flags = Flags(n.Flags)
	}
	if len(n.Crush) > 0 {
		a.Crush = n.Crush
		a.CrushVersion++
	}
	if !n.LastUp.IsZero() {
		a.LastUp = n.LastUp
	}
	if !n.LastIn.IsZero() {
		a.LastIn = n.LastIn
	}
	a.SnapshotEpoch, a.Snapshot = 0, n.Snapshot
	if n.Snapshot != "" {
		a.SnapshotEpoch = n.Epoch
	}
	for _, r := range []struct {
		to   *float32
		from float32
	}{{&a.NearFullRatio, n.NearFullRatio}, {&a.FullRatio, n.FullRatio}, {&a.BackfillFullRatio, n.BackfillFullRatio}} {
		if !(r.from < 0) {
			*r.to = r.from
		}
	}
	if n.MinCompatClient != UnchangedSmall {
		a.MinCompatClient = n.MinCompatClient
	}
	if n.RequireRelease != UnchangedSmall {
		a.RequireRelease = n.RequireRelease
	}
	if n.Stretch != nil {
		a.Stretch = n.Stretch
	}
	merge(&a.NodeFlags, n.NodeFlags, func(s State) bool { return s == 0 })
	merge(&a.ClassFlags, n.ClassFlags, func(s State) bool { return s == 0 })
	merge(&a.Profiles, n.Profiles, never)
	drop(a.Profiles, n.OldProfiles)
	merge(&a.Blocklist, n.Blocklist, never)
	drop(a.Blocklist, n.OldBlocklist)
}

func never[V any](V) bool { return false }

// merge puts all of from into to, but takes out what gone says.
func merge[K comparable, V any](to *map[K]V, from map[K]V, gone func(V) bool) {
	for k, v := range from {
		switch {
		case gone(v):
			delete(*to, k)
		case *to == nil:
			*to = map[K]V{k: v}
		default:
			(*to)[k] = v
		}
	}
}

func drop[K comparable, V any](m map[K]V, keys []K) {
	for _, k := range keys {
		delete(m, k)
	}
}

func (a *applier) pools() {
	for id, p := range a.n.Pools {
		changed := *p
		changed.LastChange = a.Epoch
		merge(&a.Pools, map[ceph.PoolID]*Pool{id: &changed}, never)
	}
	merge(&a.PoolNames, a.n.PoolNames, never)
	drop(a.Pools, a.n.OldPools)
	drop(a.PoolNames, a.n.OldPools)
}

func (a *applier) osds() {
	n := a.n
	for osd, w := range n.Weights {
		a.Weights[osd] = w
		if w != 0 {
			a.States[osd] = (a.States[osd] | Exists) &^ (AutoOut | New)
			a.XInfos[osd].OldWeight = 0
		}
	}
	for osd, affinity := range n.Affinity {
		if len(a.Affinity) == 0 {
			a.Affinity = grown(nil, int(a.MaxOSD), uint32(DefaultAffinity))
		}
		a.Affinity[osd] = affinity
	}
	for osd, bits := range n.States {
		a.turn(osd, bits)
	}
	for osd, addr := range n.UpClient {
		a.States[osd] |= Up | Exists
		a.Client[osd] = addr
		a.Cluster[osd], a.HeartbeatBack[osd], a.HeartbeatFront[osd] = n.UpCluster[osd], n.UpHeartbeatBack[osd], n.UpHeartbeatFront[osd]
		a.Infos[osd].UpFrom = a.Epoch
	}
	for osd, e := range n.UpThru {
		a.Infos[osd].UpThru = e
	}
	for osd, c := range n.CleanIntervals {
		a.Infos[osd].CleanBegin, a.Infos[osd].CleanEnd = c.Begin, c.End
	}
	for osd, e := range n.Lost {
		a.Infos[osd].LostAt = e
	}
	for osd, x := range n.XInfos {
		a.XInfos[osd] = x
	}
	for osd, u := range n.UUIDs {
		a.UUIDs[osd] = u
	}
}

// turn turns bits of the state of an OSD over; none stand for Up.
func (a *applier) turn(osd int32, bits State) {
	if bits == 0 {
		bits = Up
	}
	was := a.States[osd]
	a.States[osd] = was ^ bits
	if was&bits&Up != 0 {
		a.Infos[osd].DownAt = a.Epoch
		a.XInfos[osd].DownStamp = a.Modified
	}
	if was&bits&Exists != 0 {
		a.States[osd] = 0
		a.Infos[osd], a.XInfos[osd], a.UUIDs[osd] = Info{}, XInfo{}, ceph.UUID{}
		a.Client[osd], a.Cluster[osd], a.HeartbeatBack[osd], a.HeartbeatFront[osd] = nil, nil, nil, nil
		if len(a.Affinity) > 0 {
			a.Affinity[osd] = DefaultAffinity
		}
	}
}

func (a *applier) pgs() {
	n := a.n
	merge(&a.PGTemp, n.PGTemp, func(osds []int32) bool { return len(osds) == 0 })
	merge(&a.PrimaryTemp, n.PrimaryTemp, func(osd int32) bool { return osd == -1 })
	merge(&a.Upmap, n.Upmap, never)
	drop(a.Upmap, n.OldUpmap)
	merge(&a.UpmapItems, n.UpmapItems, never)
	drop(a.UpmapItems, n.OldUpmapItems)
}

func (a *applier) snaps() {
	a.NewRemovedSnaps, a.NewPurgedSnaps = a.n.RemovedSnaps, a.n.PurgedSnaps
	for pool, snaps := range a.NewRemovedSnaps {
		merge(&a.RemovedSnapsQueue, map[ceph.PoolID]Intervals{pool: a.RemovedSnapsQueue[pool].With(snaps)}, never)
	}
	for pool, snaps := range a.NewPurgedSnaps {
		if queue, ok := a.RemovedSnapsQueue[pool]; ok {
			left := map[ceph.PoolID]Intervals{pool: queue.Without(snaps)}
			merge(&a.RemovedSnapsQueue, left, func(v Intervals) bool { return len(v) == 0 })
		}
	}
}
