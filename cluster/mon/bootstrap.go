package mon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/crush"
	"ebofs/cluster/denc"
	"ebofs/cluster/monmap"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
)

// NewCluster says what a cluster is made with.
type NewCluster struct {
	FSID     ceph.UUID // zero: a random one
	Monitors []monmap.Monitor
	Now      time.Time
	// Entities are known from the start. client.admin and mon. are made where they
	// are not among them.
	Entities cephx.Keyring
	// Domain is what the first rule puts each copy of an object on another of:
	// "osd" or "host", the default.
	Domain string
}

// Made is what the maker of a cluster needs to know.
type Made struct {
	FSID  ceph.UUID
	Admin cephx.Key
	Mon   cephx.Key
}

// Make writes a new cluster into an empty quorum: the maps of epoch 1, and the
// keys of client.admin and of the monitors. If there is a cluster it fails, and
// changes nothing.
func Make(ctx context.Context, q quorum.Store, o NewCluster) (Made, error) {
	made := Made{FSID: o.FSID}
	if made.FSID.IsZero() {
		if _, err := rand.Read(made.FSID[:]); err != nil {
			return made, err
		}
		made.FSID[6] = made.FSID[6]&0x0f | 0x40
		made.FSID[8] = made.FSID[8]&0x3f | 0x80
	}
	ring, err := firstKeys(o)
	if err != nil {
		return made, err
	}
	made.Admin, made.Mon = ring[adminName].Key, ring[monName].Key
	now := ceph.MakeTime(o.Now)
	mm := &monmap.Map{
		FSID: made.FSID, Epoch: 1, LastChanged: now, Created: now, Persistent: monmap.Features,
		Monitors: map[string]monmap.Monitor{}, MinRelease: monmap.Release, Strategy: 1,
	}
	for _, m := range o.Monitors {
		mm.Monitors[m.Name] = m
		mm.Ranks = append(mm.Ranks, m.Name)
	}
	if len(mm.Ranks) == 0 || len(mm.Ranks) != len(mm.Monitors) {
		return made, fmt.Errorf("new cluster: %d monitors of %d names", len(mm.Ranks), len(mm.Monitors))
	}
	osd, err := firstMap(made.FSID, now, cmp.Or(o.Domain, "host"))
	if err != nil {
		return made, err
	}
	var e denc.Encoder
	mm.Encode(&e)
	full := osd.Encode()
	inc := osdmap.NewIncremental(osd, now)
	inc.Epoch, inc.FullMap = 1, full
	inc.FullChecksum = osd.Checksum()
	txn := quorum.Txn{Put: []quorum.KV{
		{Key: keyMonMap, Value: e.Bytes()},
		{Key: epochKey(prefixFull, 1), Value: full},
		{Key: epochKey(prefixInc, 1), Value: inc.Encode()},
		{Key: keyEpoch, Value: number(1)},
	}}
	for name, n := range ring {
		txn.Put = append(txn.Put, quorum.KV{Key: prefixAuth + name.String(), Value: encodeEntity(n)})
	}
	for _, kv := range txn.Put {
		txn.If = append(txn.If, quorum.Cond{Key: kv.Key})
	}
	if _, err := q.Commit(ctx, txn); errors.Is(err, quorum.ErrConflict) {
		return made, fmt.Errorf("new cluster: this quorum holds one already: %w", err)
	} else if err != nil {
		return made, fmt.Errorf("new cluster: %w", err)
	}
	return made, nil
}

var (
	adminName = ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}
	monName   = ceph.EntityName{Type: ceph.TypeMon}
)

// firstKeys are the entities of a new cluster.
func firstKeys(o NewCluster) (cephx.Keyring, error) {
	ring := cephx.Keyring{}
	maps.Copy(ring, o.Entities)
	all := func(caps string) map[ceph.EntityType]string {
		return map[ceph.EntityType]string{ceph.TypeMon: caps, ceph.TypeOSD: caps, ceph.TypeMgr: caps, ceph.TypeMDS: caps}
	}
	for name, caps := range map[ceph.EntityName]map[ceph.EntityType]string{
		adminName: all("allow *"), monName: {ceph.TypeMon: "allow *"},
	} {
		e := ring[name]
		if e.Key.IsZero() {
			var err error
			if e.Key, err = cephx.NewKey(rand.Reader, o.Now); err != nil {
				return nil, err
			}
		}
		if e.Caps == nil {
			e.Caps = caps
		}
		ring[name] = e
	}
	return ring, nil
}

// firstMap is the OSD map of epoch 1: no OSDs, a root, a rule for replicated
// pools, each copy in another domain.
func firstMap(fsid ceph.UUID, now ceph.Time, domain string) (*osdmap.Map, error) {
	c := crush.New()
	err := c.Edit(func(e *crush.Editor) error {
		if _, err := e.AddBucket("default", "root", crush.Straw2); err != nil {
			return err
		}
		_, err := e.AddRule(crush.NewRule{Name: "replicated_rule", Root: "default", Domain: domain, Type: crush.Replicated})
		return err
	})
	if err != nil {
		return nil, err
	}
	encoded, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return &osdmap.Map{
		FSID: fsid, Epoch: 1, Created: now, Modified: now, Crush: encoded, CrushVersion: 1,
		Flags:         osdmap.FlagSortBitwise | osdmap.FlagRecoveryDeletes | osdmap.FlagPurgedSnapdirs | osdmap.FlagPGLogHardLimit,
		NearFullRatio: 0.85, FullRatio: 0.95, BackfillFullRatio: 0.9, MinCompatClient: 10, RequireRelease: 16,
		Profiles: map[string]map[string]string{"default": {"k": "2", "m": "1", "plugin": "jerasure", "technique": "reed_sol_van"}},
	}, nil
}

// AddEntity gives an entity a key and caps, or replaces them.
func (m *Monitor) AddEntity(ctx context.Context, n ceph.EntityName, e cephx.Entity) error {
	_, err := m.change(ctx, func(c *Change) error {
		c.Put(prefixAuth+n.String(), encodeEntity(e))
		return nil
	})
	return err
}
