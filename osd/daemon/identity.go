package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd"
)

// identity is who a store belongs to, in the meta collection.
type identity struct {
	osd  int32
	uuid ceph.UUID // of this OSD
	fsid ceph.UUID // of the cluster; zero: not claimed yet
}

const (
	metaColl = osd.CollectionID("meta")
	idAttr   = "identity"
)

var metaObject = osd.ObjectID{Shard: -1, Pool: -1, Name: "osd_superblock", Generation: 1<<64 - 1}

func (i identity) encode() []byte {
	var e denc.Encoder
	m := e.Begin(1, 1)
	e.I32(i.osd)
	i.uuid.Encode(&e)
	i.fsid.Encode(&e)
	e.End(m)
	return e.Bytes()
}

// loadIdentity reads who the store belongs to; a store without a meta collection
// becomes this OSD's.
func loadIdentity(ctx context.Context, s osd.ObjectStore, id int32) (identity, error) {
	p, err := s.Attr(ctx, metaColl, metaObject, idAttr)
	if errors.Is(err, osd.ErrNotFound) || errors.Is(err, osd.ErrNoAttr) {
		i := identity{osd: id}
		if _, err := rand.Read(i.uuid[:]); err != nil {
			return i, err
		}
		var t osd.Transaction
		t.MkColl(metaColl, osd.CollectionSpec{Shard: -1, Pool: -1})
		t.SetAttr(metaColl, metaObject, idAttr, i.encode())
		return i, osd.Apply(ctx, s, &t)
	}
	if err != nil {
		return identity{}, err
	}
	d := denc.NewDecoder(p)
	v := d.Begin(1)
	i := identity{d.I32(), ceph.DecodeUUID(d), ceph.DecodeUUID(d)}
	d.End(v)
	if err := d.Finish(); err != nil {
		return i, fmt.Errorf("identity of the store: %w", err)
	}
	if i.osd != id {
		return i, fmt.Errorf("this store is osd.%d's, not osd.%d's: start it with the id it was made for", i.osd, id)
	}
	return i, nil
}

// claim binds the store to a cluster, for good.
func (i *identity) claim(ctx context.Context, s osd.ObjectStore, fsid ceph.UUID) error {
	if i.fsid == fsid {
		return nil
	}
	if !i.fsid.IsZero() {
		return fmt.Errorf("osd.%d: this store belongs to cluster %v, the monitors are of cluster %v", i.osd, i.fsid, fsid)
	}
	i.fsid = fsid
	var t osd.Transaction
	t.SetAttr(metaColl, metaObject, idAttr, i.encode())
	return osd.Apply(ctx, s, &t)
}
