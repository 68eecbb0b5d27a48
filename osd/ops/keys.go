package ops

import (
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/osd"
	"ebofs/osd/cls"
)

// attr returns one attr of a user.
func (v *view) attr(name string) ([]byte, error) {
	if p, pending := v.attrs[name]; pending {
		if p == nil {
			return nil, ceph.ENODATA
		}
		return p, nil
	}
	if !v.attrsBelow {
		return nil, ceph.ENODATA
	}
	return v.env.Store.Attr(v.ctx, v.env.Coll, v.from, userPrefix+name)
}

// oldAttr returns one attr of a user as it was before the request, of an object
// that was there: comparisons see that.
func (v *view) oldAttr(name string) ([]byte, error) {
	return v.env.Store.Attr(v.ctx, v.env.Coll, v.key, userPrefix+name)
}

// allAttrs returns all attrs of users.
func (v *view) allAttrs() (map[string][]byte, error) {
	out := map[string][]byte{}
	if v.attrsBelow {
		all, err := v.env.Store.Attrs(v.ctx, v.env.Coll, v.from)
		if err != nil {
			return nil, err
		}
		for name, p := range all {
			if user, ok := strings.CutPrefix(name, userPrefix); ok {
				out[user] = p
			}
		}
	}
	for name, p := range v.attrs {
		if p == nil {
			delete(out, name)
		} else {
			out[name] = p
		}
	}
	return out, nil
}

func (v *view) setAttr(name string, value []byte) error {
	switch {
	case len(name) > MaxAttrNameBytes:
		return ceph.ENAMETOOLONG
	case len(value) > osd.MaxAttrBytes:
		return ceph.EFBIG
	}
	v.create()
	v.user, v.changed = true, true
	if value == nil {
		value = []byte{}
	}
	v.pendAttr(name, value)
	v.txn.SetAttr(v.env.Coll, v.key, userPrefix+name, value)
	return nil
}

// rmAttr removes an attr of an object that exists.
func (v *view) rmAttr(name string) {
	v.user, v.changed = true, true
	v.pendAttr(name, nil)
	v.txn.RmAttr(v.env.Coll, v.key, userPrefix+name)
}

func (v *view) pendAttr(name string, value []byte) {
	if v.attrs == nil {
		v.attrs = map[string][]byte{}
	}
	v.attrs[name] = value
}

func (v *view) omapHeader() ([]byte, error) {
	if v.headerSet || !v.omapBelow {
		return v.header, nil
	}
	return v.env.Store.OmapHeader(v.ctx, v.env.Coll, v.from)
}

func (v *view) setOmapHeader(p []byte) error {
	if len(p) > osd.MaxOmapHeaderBytes {
		return ceph.EFBIG
	}
	v.create()
	v.user, v.changed, v.state.HasOmap = true, true, true
	v.header, v.headerSet = p, true
	v.txn.OmapSetHeader(v.env.Coll, v.key, p)
	return nil
}

// hidden reports whether a key of the store's map is covered by what is pending.
func (v *view) hidden(key string) bool {
	if _, pending := v.omap[key]; pending {
		return true
	}
	for _, r := range v.omapCut {
		if key >= r.first && (r.last == "" || key < r.last) {
			return true
		}
	}
	return false
}

// omapGet returns those of keys that exist.
func (v *view) omapGet(keys []string) (map[string][]byte, error) {
	out := map[string][]byte{}
	var below []string
	for _, k := range keys {
		if p := v.omap[k]; p != nil {
			out[k] = p
		} else if v.omapBelow && !v.hidden(k) && len(k) <= osd.MaxOmapKeyBytes {
			below = append(below, k)
		}
	}
	if len(below) == 0 {
		return out, nil
	}
	have, err := v.env.Store.OmapGet(v.ctx, v.env.Coll, v.from, below)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, have)
	return out, nil
}

// oldOmap returns those of keys that existed before the request.
func (v *view) oldOmap(keys []string) (map[string][]byte, error) {
	if v.before == nil || v.before.Whiteout || !v.before.HasOmap {
		return nil, nil
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return len(k) > osd.MaxOmapKeyBytes })
	return v.env.Store.OmapGet(v.ctx, v.env.Coll, v.key, keys)
}

// omapVals returns up to most pairs behind the key after that begin with prefix,
// in order, as long as they fit into bytes, and whether there are more.
func (v *view) omapVals(after, prefix string, most, bytes int) (out []cls.Pair, more bool, err error) {
	first := max(after+"\x00", prefix) // the least key behind after
	var above []string
	for k, p := range v.omap {
		if p != nil && k >= first && strings.HasPrefix(k, prefix) {
			above = append(above, k)
		}
	}
	slices.Sort(above)
	room := bytes
	// take adds a pair; false: there is one more than fits.
	take := func(k string, p []byte) bool {
		if len(out) == most || len(out) > 0 && len(k)+len(p) > room {
			more = true
			return false
		}
		room -= len(k) + len(p)
		out = append(out, cls.Pair{Key: k, Value: p})
		return true
	}
	if v.omapBelow && v.state.HasOmap {
		err = v.env.Store.OmapIter(v.ctx, v.env.Coll, v.from, first, "", func(k string, p []byte) bool {
			for len(above) > 0 && above[0] < k {
				if !take(above[0], v.omap[above[0]]) {
					return false
				}
				above = above[1:]
			}
			if !strings.HasPrefix(k, prefix) {
				return false
			}
			if v.hidden(k) {
				return true
			}
			return take(k, slices.Clone(p))
		})
		if err != nil {
			return nil, false, err
		}
	}
	for len(above) > 0 && !more {
		if take(above[0], v.omap[above[0]]) {
			above = above[1:]
		}
	}
	return out, more, nil
}

func (v *view) omapSet(kv map[string][]byte) error {
	for k := range kv {
		if len(k) > osd.MaxOmapKeyBytes {
			return ceph.ENAMETOOLONG
		}
	}
	v.create()
	v.user, v.changed, v.state.HasOmap = true, true, true
	if len(kv) == 0 {
		return nil
	}
	if v.omap == nil {
		v.omap = make(map[string][]byte, len(kv))
	}
	for k, p := range kv {
		if p == nil {
			kv[k] = []byte{}
		}
		v.omap[k] = kv[k]
	}
	v.txn.OmapSet(v.env.Coll, v.key, kv)
	return nil
}

// omapRm removes keys of an object that exists.
func (v *view) omapRm(keys []string) error {
	v.user, v.changed = true, true
	keys = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return len(k) > osd.MaxOmapKeyBytes }) // there are none
	if len(keys) == 0 {
		return nil
	}
	if v.omap == nil {
		v.omap = make(map[string][]byte, len(keys))
	}
	for _, k := range keys {
		v.omap[k] = nil
	}
	v.txn.OmapRm(v.env.Coll, v.key, keys)
	return nil
}

// omapRmRange removes the keys of [first, last).
func (v *view) omapRmRange(first, last string) error {
	v.user, v.changed = true, true
	if last <= first {
		return nil
	}
	for k := range v.omap {
		if k >= first && k < last {
			delete(v.omap, k)
		}
	}
	v.omapCut = append(v.omapCut, keyRange{first, last})
	v.txn.OmapRmRange(v.env.Coll, v.key, first, last)
	return nil
}

func (v *view) omapClear() {
	v.user, v.changed, v.state.HasOmap = true, true, false
	v.omap, v.omapCut, v.omapBelow = nil, nil, false
	v.header, v.headerSet = nil, true
	v.txn.OmapClear(v.env.Coll, v.key)
}
