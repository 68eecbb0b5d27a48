package btree

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var bg = context.Background()

// modelConfigs are tree kinds with tiny pages, so that little data makes deep trees.
var modelConfigs = []*Config{
	{Name: "var", Kind: 1, FSID: 7, LeafBytes: 4096, InnerBytes: 4096},
	{Name: "inline", Kind: 2, LeafBytes: 4096, InnerBytes: 4096, InlineBytes: 600, OverflowBytes: 300},
	{Name: "set", Kind: 3, Set: true, LeafBytes: 4096, InnerBytes: 4096, InlineBytes: 512},
	{Name: "u64", Kind: 4, Cmp: Uint64, FixedKey: 8, FixedVal: 24, LeafBytes: 4096, InnerBytes: 4096},
	{Name: "u64var", Kind: 5, FixedKey: 8, LeafBytes: 4096, InnerBytes: 4096, InlineBytes: 256, OverflowBytes: 200, Diff: true},
	{Name: "fixed20", Kind: 6, FixedKey: 20, Set: true, LeafBytes: 4096, InnerBytes: 4096},
	{Name: "varfix", Kind: 7, FixedVal: 100, LeafBytes: 8192, InnerBytes: 4096, Diff: true},
}

// bigKeys makes keys long, so that inner nodes hold few children.
func modelKey(cfg *Config, n uint64, long int) []byte {
	switch {
	case cfg.FixedKey == 8:
		return binary.BigEndian.AppendUint64(nil, n)
	case cfg.FixedKey != 0:
		k := make([]byte, cfg.FixedKey)
		copy(k, fmt.Sprintf("%019d", n))
		return k
	}
	k := fmt.Appendf(nil, "key/%05d", n)
	if n%7 == 0 {
		k = append(k, bytes.Repeat([]byte{'x'}, long)...)
	}
	return k
}

func modelVal(cfg *Config, n uint64) []byte {
	switch {
	case cfg.Set:
		return nil
	case cfg.FixedVal != 0:
		v := make([]byte, cfg.FixedVal)
		binary.LittleEndian.PutUint64(v, n)
		return v
	}
	return bytes.Repeat(fmt.Appendf(nil, "%d.", n), int(n%97))
}

// model is a tree, its store, and what it should hold.
type model struct {
	t     *Tree
	s     *MemStore
	cfg   *Config
	want  map[string]string
	root  Root // reconciled, not published
	ready bool

	told map[string]string // what the tree holds inline, by the Differ

	snap     *Snapshot
	snapWant map[string]string
	snapOld  bool // something was published since
}

// Replaced implements Differ: it follows the pages by their changes alone.
func (m *model) Replaced(_ *Config, _ *Owner, key, old, new []byte) error {
	was, had := m.told[string(key)]
	switch {
	case had != (old != nil) || was != string(old):
		return fmt.Errorf("told that %q was %.40q, %v; it was %.40q, %v", key, old, old != nil, was, had)
	case new == nil && old == nil, new != nil && old != nil && bytes.Equal(new, old):
		return fmt.Errorf("told of no change of %q", key)
	case new == nil:
		delete(m.told, string(key))
	default:
		m.told[string(key)] = string(new)
	}
	return nil
}

// modelSink is the store with the model as its Differ.
type modelSink struct {
	*MemStore
	*model
}

func newModel(cfg *Config) *model {
	s := NewMemStore()
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &model{t: New(cfg, s, Owner{ID: 5}, Root{}), s: s, cfg: cfg, want: map[string]string{}, told: map[string]string{}}
}

func (m *model) put(k, v []byte) { m.t.Put(k, v); m.want[string(k)] = string(v) }
func (m *model) del(k []byte)    { m.t.Delete(k); delete(m.want, string(k)) }
func (m *model) delRange(lo, hi []byte) {
	m.t.DeleteRange(lo, hi)
	for k := range m.want {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			delete(m.want, k)
		}
	}
}

func (m *model) sorted() []string {
	keys := make([]string, 0, len(m.want))
	for k := range m.want {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type fataler interface {
	Fatalf(string, ...any)
	Helper()
}

func (m *model) freeze() {
	if !m.t.Frozen() {
		m.t.Freeze()
	}
}

func (m *model) reconcile(t fataler) {
	t.Helper()
	if m.ready {
		return
	}
	m.s.NextEpoch()
	root, err := m.t.Reconcile(bg, modelSink{m.s, m})
	if err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	m.root, m.ready = root, true
}

// publish makes the reconciled root live; the pages it replaced are gone.
func (m *model) publish(t fataler) {
	t.Helper()
	if !m.ready {
		return
	}
	enc := m.root.Append(nil)
	dec, rest, err := DecodeRoot(enc)
	if err != nil || len(rest) != 0 {
		t.Fatalf("root %+v does not decode: %v, %d left", m.root, err, len(rest))
	}
	m.t.Publish(dec)
	m.ready, m.snapOld = false, true
	m.s.Settle()
	m.account(t)
}

// account checks the store's books and the tree's structure.
func (m *model) account(t fataler) {
	t.Helper()
	if err := m.s.Check(); err != nil {
		t.Fatalf("%v", err)
	}
	root := m.t.Root()
	own := m.t.Owner()
	nodes, blobs := 0, 0
	items, size, inline := uint64(0), uint64(0), 0
	err := Walk(bg, m.s, m.cfg, &own, root, Visitor{
		Node: func(n *Node) error {
			if n.Page != nil {
				nodes++
			}
			return nil
		},
		Item: func(k, v []byte, ext []BlobExtent) error {
			items++
			size += uint64(len(k) + len(v))
			if told, ok := m.told[string(k)]; m.told != nil && m.cfg.Diff && (ok != (ext == nil) || told != string(v)) {
				return fmt.Errorf("told %.40q, %v of %q, which is %.40q", told, ok, k, v)
			}
			if ext == nil {
				inline++
			}
			for _, e := range ext {
				size += uint64(e.Bytes)
			}
			blobs += len(ext)
			return nil
		},
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	if m.told != nil && m.cfg.Diff && len(m.told) != inline {
		t.Fatalf("told of %d records, there are %d", len(m.told), inline)
	}
	if root.Count != items || root.Bytes != size {
		t.Fatalf("root says %d items %d bytes, there are %d, %d", root.Count, root.Bytes, items, size)
	}
	if n, b := m.s.Len(); n != nodes || b != blobs {
		t.Fatalf("live %d nodes %d runs, reachable %d, %d", n, b, nodes, blobs)
	}
}

// check compares all ways to read with the model.
func (m *model) check(t fataler, lo, hi []byte) {
	t.Helper()
	keys := m.sorted()
	i, _ := slices.BinarySearch(keys, string(lo))
	j := len(keys)
	if hi != nil {
		j, _ = slices.BinarySearch(keys, string(hi))
	}
	part := keys[i:max(i, j)]
	at := 0
	err := m.t.Iter(bg, lo, hi, func(k, v []byte) bool {
		if at == len(part) || part[at] != string(k) || m.want[part[at]] != string(v) {
			t.Fatalf("iter %q..%q: item %d is %q=%.40q, want %v", lo, hi, at, k, v, part[at:min(at+1, len(part))])
		}
		at++
		return true
	})
	if err != nil || at != len(part) {
		t.Fatalf("iter %q..%q: %d of %d keys, %v", lo, hi, at, len(part), err)
	}
	c := m.t.Cursor(lo, hi, true)
	for c.Next(bg) {
		at--
		if at < 0 || part[at] != string(c.Key()) || m.want[part[at]] != string(c.Value()) {
			t.Fatalf("reverse %q..%q: item %d is %q=%.40q, want %v", lo, hi, at, c.Key(), c.Value(), part[max(at, 0):max(at+1, 0)])
		}
	}
	if c.Err() != nil || at != 0 {
		t.Fatalf("reverse %q..%q: %d keys missing, %v", lo, hi, at, c.Err())
	}
	c.Close()
}

func (m *model) get(t fataler, k []byte) {
	t.Helper()
	want, has := m.want[string(k)]
	v, ok, err := m.t.Get(bg, k, nil)
	if err != nil || ok != has || string(v) != want {
		t.Fatalf("get %q = %.40q, %v, %v, want %.40q, %v", k, v, ok, err, want, has)
	}
	if ok, err := m.t.Has(bg, k); ok != has || err != nil {
		t.Fatalf("has %q = %v, %v, want %v", k, ok, err, has)
	}
	if v, ok, known := m.t.GetResident(k, nil); known && (ok != has || string(v) != want) {
		t.Fatalf("resident %q = %.40q, %v, want %.40q, %v", k, v, ok, want, has)
	}
}

// readSnapshot compares the snapshot with the model at its time.
func (m *model) readSnapshot(t fataler, k []byte) {
	t.Helper()
	if m.snap == nil {
		return
	}
	want, has := m.snapWant[string(k)]
	v, ok, err := m.snap.Get(bg, k, nil)
	if m.snapOld && errors.Is(err, ErrSnapshotExpired) {
		return
	}
	if err != nil || ok != has || string(v) != want {
		t.Fatalf("snapshot: get %q = %.40q, %v, %v, want %.40q, %v", k, v, ok, err, want, has)
	}
	n := 0
	err = m.snap.Iter(bg, nil, nil, func(k, v []byte) bool {
		if want, has := m.snapWant[string(k)]; !has || want != string(v) {
			t.Fatalf("snapshot: iter sees %q=%.40q, want %.40q, %v", k, v, want, has)
		}
		n++
		return true
	})
	if (err != nil || n != len(m.snapWant)) && !(m.snapOld && errors.Is(err, ErrSnapshotExpired)) {
		t.Fatalf("snapshot: iter sees %d of %d keys, %v", n, len(m.snapWant), err)
	}
}

// walk moves a cursor over a range that changes meanwhile. What was not touched
// since it began must come as it is; what was, in any state it had.
func (m *model) walk(t *rapid.T, lo, hi []byte, reverse bool, key func() []byte) {
	touched := map[string]bool{}
	var prev []byte
	seen := map[string]bool{}
	c := m.t.Cursor(lo, hi, reverse)
	defer c.Close()
	change := rapid.IntRange(1, 30).Draw(t, "every")
	for i := 0; c.Next(bg); i++ {
		k := string(c.Key())
		if prev != nil && (bytes.Compare(prev, c.Key()) < 0) == reverse {
			t.Fatalf("cursor: %q after %q", k, prev)
		}
		if k < string(lo) || hi != nil && k >= string(hi) || !touched[k] && m.want[k] != string(c.Value()) {
			t.Fatalf("cursor %q..%q: %q=%.40q, want %.40q", lo, hi, k, c.Value(), m.want[k])
		}
		prev = append(prev[:0], k...)
		seen[k] = true
		if i%change == 0 && i < 20*change {
			k := key()
			touched[string(k)] = true
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				m.put(k, modelVal(m.cfg, uint64(i)))
			case 1:
				m.del(k)
			case 2:
				end := append(bytes.Clone(k), 0)
				if len(k) > 8 && m.cfg.FixedKey == 0 {
					end = append(bytes.Clone(k[:8]), 0xff)
				}
				for x := range m.want {
					if x >= string(k) && x < string(end) {
						touched[x] = true
					}
				}
				m.delRange(k, end)
			case 3:
				m.publish(t)
				m.checkpoint(t)
			}
		}
	}
	if c.Err() != nil {
		t.Fatalf("cursor: %v", c.Err())
	}
	for k := range m.want {
		if k >= string(lo) && (hi == nil || k < string(hi)) && !touched[k] && !seen[k] {
			t.Fatalf("cursor %q..%q reverse %v: missed %q", lo, hi, reverse, k)
		}
	}
}

// TestModel runs random operations against a map, with the steps of a
// checkpoint anywhere in between.
func TestModel(t *testing.T) {
	for _, cfg := range modelConfigs {
		t.Run(cfg.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := newModel(cfg)
				space := rapid.SampledFrom([]uint64{40, 600, 3000}).Draw(t, "space")
				long := rapid.SampledFrom([]int{0, 30, 900}).Draw(t, "long")
				if cfg.Name == "inline" || cfg.Name == "u64var" {
					long = min(long, 30)
				}
				key := rapid.Uint64Range(0, space)
				drawKey := func(what string) []byte { return modelKey(cfg, key.Draw(t, what), long) }
				bounds := func() (lo, hi []byte) {
					if rapid.IntRange(0, 7).Draw(t, "lo?") > 0 {
						lo = drawKey("lo")
					}
					if rapid.IntRange(0, 7).Draw(t, "hi?") > 0 {
						hi = drawKey("hi")
					}
					return lo, hi
				}
				t.Repeat(map[string]func(*rapid.T){
					"puts": func(t *rapid.T) {
						start, n := key.Draw(t, "start"), rapid.IntRange(1, 400).Draw(t, "n")
						step := rapid.SampledFrom([]uint64{1, 1, 7, 31}).Draw(t, "step")
						seed := rapid.Uint64().Draw(t, "seed")
						for i := range uint64(n) {
							m.put(modelKey(cfg, (start+i*step)%space, long), modelVal(cfg, seed+i))
						}
					},
					"put":    func(t *rapid.T) { m.put(drawKey("key"), modelVal(cfg, rapid.Uint64().Draw(t, "val"))) },
					"delete": func(t *rapid.T) { m.del(drawKey("key")) },
					"deletes": func(t *rapid.T) {
						start, n := key.Draw(t, "start"), rapid.IntRange(1, 300).Draw(t, "n")
						for i := range uint64(n) {
							m.del(modelKey(cfg, (start+i)%space, long))
						}
					},
					"range": func(t *rapid.T) {
						lo, hi := bounds()
						if rapid.IntRange(0, 3).Draw(t, "narrow") > 0 {
							n := key.Draw(t, "at")
							lo, hi = modelKey(cfg, n, 0), modelKey(cfg, n+20, 0)
						}
						m.delRange(lo, hi)
					},
					"ranges": func(t *rapid.T) {
						n := key.Draw(t, "at")
						for i := range uint64(150) {
							m.delRange(modelKey(cfg, n+3*i, 0), modelKey(cfg, n+3*i+1, 0))
						}
					},
					"batch": func(t *rapid.T) {
						var b Batch
						k, v := drawKey("key"), modelVal(cfg, rapid.Uint64().Draw(t, "val"))
						d := drawKey("deleted")
						b.Put(k, v)
						b.Delete(d)
						m.t.Apply(&b)
						m.want[string(k)] = string(v)
						delete(m.want, string(d))
					},
					"freeze":    func(t *rapid.T) { m.freeze() },
					"reconcile": func(t *rapid.T) { m.freeze(); m.reconcile(t) },
					"publish":   func(t *rapid.T) { m.publish(t) },
					"checkpoint": func(t *rapid.T) {
						m.publish(t)
						m.freeze()
						m.reconcile(t)
						m.publish(t)
					},
					"snapshot": func(t *rapid.T) {
						m.snap, m.snapWant, m.snapOld = m.t.Snapshot(), maps.Clone(m.want), false
					},
					"read snapshot": func(t *rapid.T) { m.readSnapshot(t, drawKey("key")) },
					"walk": func(t *rapid.T) {
						lo, hi := bounds()
						m.walk(t, lo, hi, rapid.Bool().Draw(t, "reverse"), func() []byte { return drawKey("during") })
					},
					"get":  func(t *rapid.T) { m.get(t, drawKey("key")) },
					"iter": func(t *rapid.T) { lo, hi := bounds(); m.check(t, lo, hi) },
					"":     func(t *rapid.T) {},
				})
				m.check(t, nil, nil)
				m.publish(t)
				m.freeze()
				m.reconcile(t)
				m.publish(t)
				m.check(t, nil, nil)
				m.delRange(nil, nil)
				m.freeze()
				m.reconcile(t)
				m.publish(t)
				m.freeze()
				m.reconcile(t)
				m.publish(t)
				if n, b := m.s.Len(); n != 0 || b != 0 || m.t.Root().Kind != RootEmpty {
					t.Fatalf("emptied tree keeps %d nodes, %d runs, root %+v", n, b, m.t.Root())
				}
			})
		})
	}
}
