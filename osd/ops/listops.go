package ops

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

// allNamespaces as the namespace of a listing means every one.
const allNamespaces = "\x01"

// listed is an object in a listing.
type listed struct{ namespace, name, key string }

// opPGNList lists objects of the PG from a cursor on. The result is 1 when the PG
// is through.
func opPGNList(r *run, in, out *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	cursor := ceph.DecodeHObject(d)
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	e := r.env
	if cursor.IsMin() || cursor.Compare(e.Begin) < 0 && cursor.Pool == ceph.NoPool {
		cursor = e.Begin
	}
	if cursor.Compare(e.Begin) < 0 || cursor.Compare(e.End) > 0 {
		return 0, ceph.EINVAL
	}
	count, _ := in.List()
	most := int(min(max(count, 1), MaxListEntries))
	want := r.req.Locator.Namespace
	var names []listed
	res, next := ceph.Errno(1), e.End
	// Clones and other namespaces do not count for the client, but there is an end
	// to what one request looks at.
	for looked := 0; res == 1 && looked < 4*MaxListEntries; {
		start := Key(cursor)
		start.Generation = 0
		ids, more, err := e.Store.List(r.ctx, e.Coll, &start, nil, MaxListEntries)
		if err != nil {
			return 0, err
		}
		looked += len(ids)
		for _, id := range ids {
			h := HObject(id)
			if len(names) == most { // whatever it is: what a client asks for next begins here
				res, next = 0, h
				break
			}
			if !visible(h, id) || want != allNamespaces && h.Namespace != want {
				continue
			}
			names = append(names, listed{h.Namespace, h.Name, h.Key})
		}
		if res == 0 || more == nil {
			break
		}
		cursor = HObject(*more)
		if looked >= 4*MaxListEntries {
			res, next = 0, cursor
		}
	}
	var enc denc.Encoder
	m := enc.Begin(1, 1)
	next.Encode(&enc)
	denc.PutSlice(&enc, names, func(e *denc.Encoder, l listed) {
		e.Str(l.namespace)
		e.Str(l.name)
		e.Str(l.key)
	})
	enc.End(m)
	out.Data = enc.Bytes()
	r.out.Result = res // of the request: that of the operation is 0
	return 0, nil
}

// visible reports whether a listing shows an object of the store: heads only, not
// the PG's own.
func visible(h ceph.HObject, id osd.ObjectID) bool {
	return h.Snap == ceph.NoSnap && id.Generation == noGeneration && h.Name != "" && h.Pool >= 0
}
