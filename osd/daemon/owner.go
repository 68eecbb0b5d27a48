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

// Owner is who a store belongs to, in the meta collection.
type Owner struct {
	OSD  int32
	UUID ceph.UUID // of this OSD
	FSID ceph.UUID // of the cluster; zero: not claimed yet
}

const (
	metaColl = osd.CollectionID("meta")
	idAttr   = "identity"
)

var metaObject = osd.ObjectID{Shard: -1, Pool: -1, Name: "osd_superblock", Generation: 1<<64 - 1}

// ErrNoOwner is returned for a store that no OSD has used.
var ErrNoOwner = errors.New("no OSD has used this store")

// ReadOwner reads who a store belongs to.
func ReadOwner(ctx context.Context, s osd.ObjectStore) (Owner, error) {
	p, err := s.Attr(ctx, metaColl, metaObject, idAttr)
	if errors.Is(err, osd.ErrNotFound) || errors.Is(err, osd.ErrNoAttr) {
		return Owner{}, ErrNoOwner
	}
	if err != nil {
		return Owner{}, err
	}
	d := denc.NewDecoder(p)
	v := d.Begin(1)
	i := Owner{d.I32(), ceph.DecodeUUID(d), ceph.DecodeUUID(d)}
	d.End(v)
	if err := d.Finish(); err != nil {
		return i, fmt.Errorf("identity of the store: %w", err)
	}
	return i, nil
}

// Make appends to t what makes a store without an owner this one's.
func (i Owner) Make(t *osd.Transaction) {
	t.MkColl(metaColl, osd.CollectionSpec{Shard: -1, Pool: -1})
	i.put(t)
}

func (i Owner) put(t *osd.Transaction) {
	var e denc.Encoder
	m := e.Begin(1, 1)
	e.I32(i.OSD)
	i.UUID.Encode(&e)
	i.FSID.Encode(&e)
	e.End(m)
	t.SetAttr(metaColl, metaObject, idAttr, e.Bytes())
}

// loadOwner reads who the store belongs to; one that nobody has used becomes this
// OSD's. fsid, unless zero, is the cluster it has to be of.
func loadOwner(ctx context.Context, s osd.ObjectStore, id int32, fsid ceph.UUID) (Owner, error) {
	i, err := ReadOwner(ctx, s)
	if errors.Is(err, ErrNoOwner) {
		i = Owner{OSD: id}
		if _, err := rand.Read(i.UUID[:]); err != nil {
			return i, err
		}
		var t osd.Transaction
		i.Make(&t)
		return i, osd.Apply(ctx, s, &t)
	}
	if err == nil && i.OSD != id {
		err = fmt.Errorf("this store is osd.%d's, not osd.%d's: start it with the id it was made for", i.OSD, id)
	}
	if err == nil && !fsid.IsZero() && !i.FSID.IsZero() && i.FSID != fsid {
		err = fmt.Errorf("osd.%d: this store belongs to cluster %v, the configuration is of cluster %v", id, i.FSID, fsid)
	}
	return i, err
}

// claim binds the store to a cluster, for good.
func (i *Owner) claim(ctx context.Context, s osd.ObjectStore, fsid ceph.UUID) error {
	if i.FSID == fsid {
		return nil
	}
	if !i.FSID.IsZero() {
		return fmt.Errorf("osd.%d: this store belongs to cluster %v, the monitors are of cluster %v", i.OSD, i.FSID, fsid)
	}
	i.FSID = fsid
	var t osd.Transaction
	i.put(&t)
	return osd.Apply(ctx, s, &t)
}
