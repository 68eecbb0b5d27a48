package rbd

import (
	"errors"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// get reads the value of a key; ENOENT if there is none, EIO if it is damaged.
func get[V any](c cls.Context, key string, decode func(*denc.Decoder) V) (v V, err error) {
	p, err := c.OmapGet(key)
	if err != nil {
		return v, err
	}
	return stored(p, decode)
}

// getOr is get with a value for keys that are not there.
func getOr[V any](c cls.Context, key string, decode func(*denc.Decoder) V, none V) (V, error) {
	v, err := get(c, key, decode)
	if errors.Is(err, ceph.ENOENT) {
		return none, nil
	}
	return v, err
}

// stored decodes what an object keeps.
func stored[V any](p []byte, decode func(*denc.Decoder) V) (v V, err error) {
	d := denc.NewDecoder(p)
	if v = decode(d); d.Err() != nil {
		return v, ceph.EIO
	}
	return v, nil
}

// put stores the value of a key.
func put[V any](c cls.Context, key string, v V, encode func(*denc.Encoder, V)) error {
	var e denc.Encoder
	encode(&e, v)
	return c.OmapSet(map[string][]byte{key: e.Bytes()})
}

func putU64(c cls.Context, key string, v uint64) error {
	return put(c, key, v, (*denc.Encoder).U64)
}

// has reports whether a key is there.
func has(c cls.Context, key string) (bool, error) {
	_, err := c.OmapGet(key)
	if errors.Is(err, ceph.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// must returns ENOENT if the object is missing.
func must(c cls.Context) error {
	if !c.Exists() {
		return ceph.ENOENT
	}
	return nil
}

// batch is how many keys are read at once.
const batch = 256

// each calls do with the keys that begin with prefix and are behind prefix+after,
// in order, without the prefix, until do returns false.
func each(c cls.Context, prefix, after string, do func(key string, value []byte) (bool, error)) error {
	for at := prefix + after; ; {
		pairs, more, err := c.OmapVals(at, prefix, batch)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			on, err := do(strings.TrimPrefix(p.Key, prefix), p.Value)
			if err != nil || !on {
				return err
			}
		}
		if !more || len(pairs) == 0 {
			return nil
		}
		at = pairs[len(pairs)-1].Key
	}
}

// span is a part of a list: up to most entries behind the name after.
type span struct {
	after string
	most  uint64
}

func decodeRange(d *denc.Decoder) span { return span{d.Str(), d.U64()} }

// list appends a map of a span of the keys with a prefix, values as they are
// stored or as encode writes them.
func list(c cls.Context, prefix string, s span, out *denc.Encoder, encode func(*denc.Encoder, []byte)) error {
	var entries []cls.Pair
	if s.most > 0 {
		err := each(c, prefix, s.after, func(key string, value []byte) (bool, error) {
			entries = append(entries, cls.Pair{Key: key, Value: value})
			return uint64(len(entries)) < s.most, nil
		})
		if err != nil {
			return err
		}
	}
	denc.PutSlice(out, entries, func(e *denc.Encoder, p cls.Pair) {
		e.Str(p.Key)
		encode(e, p.Value)
	})
	return nil
}
