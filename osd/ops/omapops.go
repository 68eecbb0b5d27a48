package ops

import (
	"cmp"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd/cls"
)

// What one operation returns of a map at most.
const (
	maxOmapEntries = 1024
	maxOmapBytes   = 1 << 30
)

// vals reads up to most pairs for a client; most is what it asked for.
func (r *run) vals(after, prefix string, most uint64) ([]cls.Pair, bool, error) {
	if err := r.v.must(); err != nil {
		return nil, false, err
	}
	n := int(min(most, maxOmapEntries))
	if !r.v.state.HasOmap {
		return nil, false, nil
	}
	return r.v.omapVals(after, prefix, n, maxOmapBytes)
}

func opOmapGetKeys(r *run, in, out *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	after, most := d.Str(), d.U64()
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	list, more, err := r.vals(after, "", most)
	if err != nil {
		return 0, err
	}
	var e denc.Encoder
	denc.PutSlice(&e, list, func(e *denc.Encoder, p cls.Pair) { e.Str(p.Key) })
	e.Bool(more)
	out.Data = e.Bytes()
	return 0, nil
}

func opOmapGetVals(r *run, in, out *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	after, most, prefix := d.Str(), d.U64(), d.Str()
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	list, more, err := r.vals(after, prefix, most)
	if err != nil {
		return 0, err
	}
	var e denc.Encoder
	denc.PutSlice(&e, list, func(e *denc.Encoder, p cls.Pair) {
		e.Str(p.Key)
		e.Blob(p.Value)
	})
	e.Bool(more)
	out.Data = e.Bytes()
	return 0, nil
}

func opOmapGetHeader(r *run, _, out *msg.Op) (_ ceph.Errno, err error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	out.Data, err = r.v.omapHeader()
	return 0, err
}

func opOmapGetByKeys(r *run, in, out *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	keys := denc.Slice(d, 4, (*denc.Decoder).Str)
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	if err := r.v.must(); err != nil {
		return 0, err
	}
	have, err := r.v.omapGet(keys)
	if err != nil {
		return 0, err
	}
	var e denc.Encoder
	denc.PutMap(&e, have, (*denc.Encoder).Str, (*denc.Encoder).Blob)
	out.Data = e.Bytes()
	return 0, nil
}

// opOmapCmp compares stored values with given ones, stored OP given.
func opOmapCmp(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	type assertion struct {
		value []byte
		op    int32
	}
	d := denc.NewDecoder(in.Data)
	want := denc.Map(d, 12, (*denc.Decoder).Str, func(d *denc.Decoder) assertion { return assertion{d.Bytes(), d.I32()} })
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	if err := r.v.must(); err != nil {
		return 0, err
	}
	keys := make([]string, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	have, err := r.v.oldOmap(keys)
	if err != nil {
		return 0, err
	}
	for k, w := range want {
		if w.op != cmpEQ && w.op != cmpGT && w.op != cmpLT {
			return 0, ceph.EINVAL
		}
		if ok, _ := holds(uint8(w.op), compareSigned(have[k], w.value)); !ok {
			return 0, ceph.ECANCELED
		}
	}
	return 0, nil
}

// compareSigned compares bytes as signed numbers: what clients get from Ceph, whose
// buffers are made of char.
func compareSigned(a, b []byte) int {
	return slices.CompareFunc(a, b, func(x, y byte) int { return cmp.Compare(int8(x), int8(y)) })
}

func opOmapSetVals(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	kv := denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Bytes)
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	return 0, r.v.omapSet(kv)
}

func opOmapSetHeader(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	return 0, r.v.setOmapHeader(in.Data)
}

func opOmapClear(r *run, _, _ *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	if r.idle = !r.v.state.HasOmap; !r.idle {
		r.v.omapClear()
	}
	return 0, nil
}

func opOmapRmKeys(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	keys := denc.Slice(d, 4, (*denc.Decoder).Str)
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	if err := r.v.must(); err != nil {
		return 0, err
	}
	return 0, r.v.omapRm(keys)
}

func opOmapRmKeyRange(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	first, last := d.Str(), d.Str()
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	if err := r.v.must(); err != nil {
		return 0, err
	}
	return 0, r.v.omapRmRange(first, last)
}
