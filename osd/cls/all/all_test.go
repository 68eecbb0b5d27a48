package all

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/osd/captured"
	"ebofs/osd/cls"
	"ebofs/osd/cls/clstest"
)

// method is a method by name.
type method struct{ class, name string }

func methods() (all []method) {
	cls.Each(func(class, name string, _ cls.Method) { all = append(all, method{class, name}) })
	return all
}

// inputs returns inputs of each method that clients sent, of different lengths.
func inputs(t testing.TB) map[method][][]byte {
	all := map[method][][]byte{}
	for _, scenario := range []string{"rados-lock", "fio-rbd", "rbd-snap-clone-v2"} {
		before, requests := captured.Scenario(t, scenario)
		for _, r := range append(before, requests...) {
			for i := range r.Ops {
				op := &r.Ops[i]
				if captured.Method(op) == "" || len(op.Data) > 200 {
					continue
				}
				c := op.Call()
				a, b := int(c.ClassLength), int(c.ClassLength)+int(c.MethodLength)
				m, in := method{string(op.Data[:a]), string(op.Data[a:b])}, op.Data[b:]
				if !slices.ContainsFunc(all[m], func(p []byte) bool { return len(p) == len(in) }) {
					all[m] = append(all[m], in)
				}
			}
		}
	}
	return all
}

// optional is methods whose inputs may end early, and after how many bytes.
var optional = map[method]func(in []byte) int{
	{"rbd", "create"}:        func(in []byte) int { return len(in) - 8 }, // without a data pool
	{"rbd", "get_features"}:  func([]byte) int { return 8 },              // without a mode
	{"rbd", "set_flags"}:     func([]byte) int { return 16 },             // without a snapshot
	{"rbd", "parent_attach"}: func(in []byte) int { return len(in) - 1 },
	{"rbd", "snapshot_add"}:  func(in []byte) int { return len(in) - 10 }, // without a namespace
}

// TestTruncated cuts off inputs of clients. Whatever lacks a byte is EINVAL.
func TestTruncated(t *testing.T) {
	tried := 0
	for m, list := range inputs(t) {
		if m.name == "mirror_image_get" || m.name == "mirror_image_remove" {
			continue // look at nothing
		}
		o := clstest.New(t, "o")
		o.Write([]byte("there"))
		for _, in := range list {
			for n := range in {
				if whole := optional[m]; whole != nil && whole(in) == n {
					continue
				}
				if _, err := o.Call(m.class, m.name, in[:n]); err != ceph.EINVAL {
					t.Errorf("%s.%s: %d of %d bytes: %v", m.class, m.name, n, len(in), err)
				}
				tried++
			}
		}
	}
	if tried < 1000 {
		t.Fatalf("%d inputs", tried)
	}
}

// FuzzMethods runs a script on one object: it calls methods, with inputs and on
// keys, attrs and data that may be anything. Errors are errnos, and nothing
// panics.
//
//	u8 what | u8 length | bytes …
func FuzzMethods(f *testing.F) {
	all := methods()
	keys := []string{"size", "order", "features", "op_features", "object_prefix", "snap_seq", "snapshot_0000000000000004", "snap_children_0000000000000004",
		"parent", "flags", "name_a", "id_1", "metadata_k", "create_timestamp"}
	attrs := []string{"lock.l", "refcount", "ceph.objclass.version"}
	step := func(what int, in []byte) []byte { return append([]byte{byte(what), byte(len(in))}, in...) }
	seen := inputs(f)
	var story []byte // everything clients did, one after the other
	for i, m := range all {
		for _, in := range seen[m] {
			f.Add(step(i, in))
			story = append(story, step(i, in)...)
		}
	}
	f.Add(story)
	for i := range len(keys) + len(attrs) + 1 {
		f.Add(append(step(len(all)+i, []byte{1, 1, 4, 0, 0, 0, 1, 0, 0, 0}), story...))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		o := clstest.New(t, "o")
		for calls := 0; len(script) >= 2 && calls < 200; calls++ {
			what, n := int(script[0]), min(int(script[1]), len(script)-2)
			in := script[2 : 2+n]
			script = script[2+n:]
			switch rest := what - len(all); {
			case rest < 0:
				m := all[what]
				if m.name == "object_map_resize" && len(in) >= 8 && binary.LittleEndian.Uint64(in) > 1<<20 {
					continue // sound, and slow
				}
				_, err := o.Call(m.class, m.name, in)
				var e ceph.Errno
				if err != nil && (!errors.As(err, &e) || e >= 0) {
					t.Fatalf("%s.%s(%x): %v", m.class, m.name, in, err)
				}
			case rest < len(keys):
				o.Omap(map[string][]byte{keys[rest]: in})
			case rest < len(keys)+len(attrs):
				o.Attr(attrs[rest-len(keys)], in)
			default:
				o.Write(in)
			}
		}
	})
}
