package pgfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/osd"
	"ebofs/osd/ebofsstore"
	"ebofs/osd/memstore"
	"ebofs/osd/pg"
)

var (
	bg     = context.Background()
	testPG = ceph.PG{Pool: 3, Seed: 1}
	meta   = osd.ObjectID{Shard: -1, Pool: 3, Hash: 1, Snap: uint64(ceph.NoSnap), Generation: 1<<64 - 1}
	header = Header{Cluster: ceph.UUID{0: 0xc1, 15: 1}, OSDID: ceph.UUID{0: 0x05, 15: 2}, OSD: 4, PG: testPG, Made: time.Unix(1700000000, 0)}
)

func object(name string, hash uint32) osd.ObjectID {
	return osd.ObjectID{Shard: -1, Pool: 3, Hash: hash, Namespace: "ns", Name: name, Snap: uint64(ceph.NoSnap), Generation: 1<<64 - 1}
}

func apply(t testing.TB, s osd.ObjectStore, x *osd.Transaction) {
	t.Helper()
	if err := osd.Apply(bg, s, x); err != nil {
		t.Fatal(err)
	}
}

// small has a PG of one object and one entry in its log.
func small(t testing.TB) osd.ObjectStore {
	s := memstore.New(memstore.Options{})
	var x osd.Transaction
	pg.Create(&x, testPG, 2, pg.Info{Created: 7})
	e := pg.Entry{Version: ceph.EVersion{Version: 1, Epoch: 9}, Object: ceph.HObject{Pool: 3, Hash: 0x11, Namespace: "ns", Name: "a", Snap: ceph.NoSnap}, UserVersion: 1, Stats: pg.Stats{Objects: 1, Bytes: 5}}
	var b denc.Encoder
	e.Encode(&b)
	x.OmapSet(pg.Collection(testPG), meta, map[string][]byte{fmt.Sprintf("%010d.%020d", 9, 1): b.Bytes()})
	o := object("a", 0x11)
	x.Write(pg.Collection(testPG), o, 0, []byte("hello"))
	x.SetAttrs(pg.Collection(testPG), o, map[string][]byte{"_": {1}, "uk": []byte("v")})
	apply(t, s, &x)
	return s
}

// large adds what is cut into several records, holes, and what is not the PG's.
func large(t testing.TB, s osd.ObjectStore) {
	c := pg.Collection(testPG)
	var x osd.Transaction
	pg.Create(&x, testPG, 2, pg.Info{Created: 7})
	for i := range 300 {
		o := object(fmt.Sprint("o", i), uint32(i)<<1|1)
		x.Write(c, o, uint64(i), bytes.Repeat([]byte{byte(i)}, i*17))
		x.SetAttr(c, o, "_", []byte{byte(i)})
	}
	clone := object("o7", 15)
	clone.Snap = 4
	x.Write(c, clone, 0, []byte("old"))
	pg.Create(&x, ceph.PG{Pool: 3}, 2, pg.Info{Created: 7})
	x.Write(pg.Collection(ceph.PG{Pool: 3}), object("other", 2), 0, []byte("not ours"))
	apply(t, s, &x)

	sparse := object("sparse", 3)
	x = osd.Transaction{}
	x.Write(c, sparse, 5<<20, bytes.Repeat([]byte("data"), 600<<10))
	x.Truncate(c, sparse, 20<<20)
	x.OmapSetHeader(c, sparse, []byte("header"))
	apply(t, s, &x)
	kv := map[string][]byte{"": []byte("empty key"), "empty value": {}}
	for i := range 5000 {
		kv[fmt.Sprintf("key %05d", i)] = bytes.Repeat([]byte{byte(i)}, 300)
	}
	x = osd.Transaction{}
	x.OmapSet(c, sparse, kv)
	x.SetAttrs(c, sparse, map[string][]byte{"big": bytes.Repeat([]byte("a"), 1<<20), "bigger": bytes.Repeat([]byte("b"), 1<<20)})
	apply(t, s, &x)
}

// content is all a PG has, as text.
func content(t testing.TB, s osd.ObjectStore, c osd.CollectionID) []string {
	t.Helper()
	spec, err := s.Collection(bg, c)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{fmt.Sprintf("%+v", spec)}
	ids, _, err := s.List(bg, c, nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		st, err := s.Stat(bg, c, id)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, st.SizeBytes)
		if n, err := s.Read(bg, c, id, 0, p); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
		attrs, err := s.Attrs(bg, c, id)
		if err != nil {
			t.Fatal(err)
		}
		head, err := s.OmapHeader(bg, c, id)
		if err != nil {
			t.Fatal(err)
		}
		omap := map[string][]byte{}
		if err := s.OmapIter(bg, c, id, "", "", func(k string, v []byte) bool {
			omap[k] = slices.Clone(v)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%v: %d bytes %08x, header %q, %s, %s", id, len(p), crc(p), head, digest(attrs), digest(omap)))
	}
	return out
}

func digest(m map[string][]byte) string {
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%q=%q ", k, m[k])
	}
	return fmt.Sprintf("%d pairs %08x", len(m), crc(b.Bytes()))
}

func export(t testing.TB, s osd.ObjectStore) []byte {
	t.Helper()
	var b bytes.Buffer
	sum, err := Export(bg, s, header, &b, nil)
	if err != nil || sum.File != int64(b.Len()) {
		t.Fatalf("%+v, %d bytes, %v", sum, b.Len(), err)
	}
	return b.Bytes()
}

func load(s osd.ObjectStore, p []byte) (Summary, error) {
	r, err := NewReader(bytes.NewReader(p))
	if err != nil {
		return Summary{}, err
	}
	return Import(bg, s, header.Cluster, r, nil)
}

// nothing expects a store without collections.
func nothing(t testing.TB, s osd.ObjectStore) {
	t.Helper()
	if all, err := s.Collections(bg); err != nil || len(all) != 0 {
		t.Errorf("left: %q, %v", all, err)
	}
}

// disk is a store of ours.
func disk(t testing.TB, size uint64) osd.ObjectStore {
	t.Helper()
	dev := devices.NewMem(devices.MemOptions{Blocks: size / devices.BlockSize})
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(bg); err != nil {
			t.Error(err)
		}
	})
	return ebofsstore.New(s)
}

func TestRoundTrip(t *testing.T) {
	for name, fresh := range map[string]func() osd.ObjectStore{
		"memory": func() osd.ObjectStore { return memstore.New(memstore.Options{}) },
		"disk":   func() osd.ObjectStore { return disk(t, 128<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			from, to := fresh(), fresh()
			large(t, from)
			p := export(t, from)
			sum, err := load(to, p)
			if err != nil {
				t.Fatal(err)
			}
			want, got := content(t, from, pg.Collection(testPG)), content(t, to, pg.Collection(testPG))
			if !slices.Equal(got, want) {
				t.Fatalf("%d objects, want %d; the first that differs: %q", len(got), len(want), firstDifference(got, want))
			}
			if sum.Objects != int64(len(want)-1) {
				t.Errorf("%+v of %d objects", sum, len(want)-1)
			}
			if again := export(t, to); !bytes.Equal(again, p) {
				t.Error("exported again, it is another file")
			}
			if _, err := load(to, p); !errors.Is(err, ErrExists) {
				t.Errorf("imported twice: %v", err)
			}
			var gone int
			if err := pg.Remove(bg, to, testPG, pg.Whole, func(n int) { gone += n }); err != nil || gone != len(want)-1 {
				t.Errorf("%d removed: %v", gone, err)
			}
			nothing(t, to)
		})
	}
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + " / " + b[i]
		}
	}
	return "length"
}

// TestGolden: the bytes of docs/format/pgfile.md are what is written and read.
func TestGolden(t *testing.T) {
	// What a PG says of itself has a format of its own.
	st, c, o := memstore.New(memstore.Options{}), pg.Collection(testPG), object("a", 0x11)
	var x osd.Transaction
	x.MkColl(c, osd.CollectionSpec{Shard: -1, Pool: 3, Bits: 1, Seed: 1})
	x.Write(c, o, 0, []byte("hello"))
	x.SetAttrs(c, o, map[string][]byte{"_": {1}, "uk": []byte("v")})
	x.OmapSet(c, o, map[string][]byte{"k1": []byte("v1"), "k2": {}})
	x.OmapSetHeader(c, o, []byte("map"))
	apply(t, st, &x)
	p := export(t, st)
	var b strings.Builder
	show := func(title string, p []byte) {
		fmt.Fprintln(&b, title)
		for i := 0; i < len(p); i += 16 {
			fmt.Fprintf(&b, "%4d  % x\n", i, p[i:min(i+16, len(p))])
		}
	}
	show("header", p[:headerBytes])
	for at, n := headerBytes, 0; at < len(p); at += n {
		n = recordHeader + int(le.Uint32(p[at+4:]))
		show(map[kind]string{objectRecord: "object", attrsRecord: "its attributes", dataRecord: "its data", headerRecord: "the header of its omap", omapRecord: "its omap", endRecord: "end"}[kind(p[at])], p[at:at+n])
	}
	text, err := os.ReadFile("../../docs/format/pgfile.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```\n"+b.String()+"```\n") {
		t.Errorf("docs/format/pgfile.md does not show:\n%s", b.String())
	}
	r, err := NewReader(bytes.NewReader(p))
	want := header
	want.Bits = 1
	if err != nil || !reflect.DeepEqual(r.Header, want) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestDamage: a file that is cut off anywhere, has any byte changed, any record
// twice or missing, or bytes behind it makes nothing.
func TestDamage(t *testing.T) {
	p := export(t, small(t))
	refused := func(what string, q []byte) {
		t.Helper()
		s := memstore.New(memstore.Options{})
		if _, err := load(s, q); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNoFile) && !errors.Is(err, ErrNewer) {
			t.Fatalf("%s: %v", what, err)
		}
		nothing(t, s)
	}
	for i := range p {
		refused(fmt.Sprint("cut at ", i), p[:i])
		q := slices.Clone(p)
		q[i] ^= 0x40
		refused(fmt.Sprint("byte ", i), q)
	}
	refused("a byte more", append(slices.Clone(p), 0))
	for at := headerBytes; at < len(p); {
		n := recordHeader + int(le.Uint32(p[at+4:]))
		refused(fmt.Sprint("without record at ", at), slices.Concat(p[:at], p[at+n:]))
		refused(fmt.Sprint("twice the record at ", at), slices.Concat(p[:at+n], p[at:]))
		at += n
	}
}

func TestRefuse(t *testing.T) {
	p := export(t, small(t))
	other := header.Cluster
	other[3] = 1
	r, err := NewReader(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	s := memstore.New(memstore.Options{})
	if _, err := Import(bg, s, other, r, nil); !errors.Is(err, ErrCluster) {
		t.Error(err)
	}
	nothing(t, s)
	// The pool had one PG only when the other store was filled.
	var x osd.Transaction
	pg.Create(&x, ceph.PG{Pool: 3}, 1, pg.Info{Created: 7})
	apply(t, s, &x)
	if _, err := load(s, p); !errors.Is(err, ErrOverlap) {
		t.Error(err)
	}
	if _, err := Export(bg, s, header, &bytes.Buffer{}, nil); !errors.Is(err, osd.ErrNotFound) {
		t.Errorf("of a pg that is not there: %v", err)
	}
	for _, q := range [][]byte{nil, []byte("EBOFS"), bytes.Repeat([]byte("x"), 100)} {
		if _, err := NewReader(bytes.NewReader(q)); !errors.Is(err, ErrNoFile) {
			t.Errorf("%q: %v", q, err)
		}
	}
	newer := slices.Clone(p)
	newer[13] = 2
	le.PutUint32(newer[8:], crc(newer[12:headerBytes]))
	if _, err := NewReader(bytes.NewReader(newer)); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

// failing is a store whose n-th transaction fails; dead: and all after it.
type failing struct {
	osd.ObjectStore
	n    int
	dead bool
}

var errBroken = errors.New("broken")

func (f *failing) Queue(ctx context.Context, t *osd.Transaction, applied func(), committed func(error)) error {
	f.n--
	if f.n == 0 || f.dead && f.n < 0 {
		return errBroken
	}
	return f.ObjectStore.Queue(ctx, t, applied, committed)
}

// TestInterrupted: import fails at every transaction, with the store and without; at
// no time is there half a PG, and a second import succeeds.
func TestInterrupted(t *testing.T) {
	from := memstore.New(memstore.Options{})
	large(t, from)
	p, want := export(t, from), content(t, from, pg.Collection(testPG))
	for _, dead := range []bool{false, true} {
		n := 1
		for ; ; n++ {
			s := memstore.New(memstore.Options{})
			_, err := load(&failing{ObjectStore: s, n: n, dead: dead}, p)
			if err == nil {
				break
			}
			if !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
			if !dead {
				nothing(t, s)
			}
			if _, err := s.Collection(bg, pg.Collection(testPG)); !errors.Is(err, osd.ErrNotFound) {
				t.Fatalf("transaction %d: half a PG: %v", n, err)
			}
			if _, err := load(s, p); err != nil {
				t.Fatalf("again after transaction %d: %v", n, err)
			}
			if !slices.Equal(content(t, s, pg.Collection(testPG)), want) {
				t.Fatalf("again after transaction %d: not the same", n)
			}
		}
		if n < 5 {
			t.Errorf("%d transactions: nothing was cut", n)
		}
	}
}

// TestCancelled: who is interrupted leaves nothing.
func TestCancelled(t *testing.T) {
	from := memstore.New(memstore.Options{})
	large(t, from)
	p := export(t, from)
	ctx, cancel := context.WithCancel(bg)
	r, err := NewReader(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	s := memstore.New(memstore.Options{})
	seen := 0
	_, err = Import(ctx, s, header.Cluster, r, func(objects, _ int64) {
		if seen += int(objects); seen == 200 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	nothing(t, s)
}

// TestRemoveInterrupted: what a killed removal leaves is no PG, and goes later.
func TestRemoveInterrupted(t *testing.T) {
	for n := 1; ; n++ {
		s := memstore.New(memstore.Options{})
		large(t, s)
		err := pg.Remove(bg, &failing{ObjectStore: s, n: n, dead: true}, testPG, pg.Whole, func(int) {})
		if err == nil {
			if n < 4 {
				t.Errorf("%d transactions", n)
			}
			return
		}
		phase := pg.Removing
		if _, err := s.Collection(bg, pg.Collection(testPG)); err == nil {
			if phase = pg.Whole; n > 1 {
				t.Fatalf("transaction %d: half a PG", n)
			}
		}
		if err := pg.Remove(bg, s, testPG, phase, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Collections(bg); err != nil || !slices.Equal(all, []osd.CollectionID{"3.0_head"}) {
			t.Fatal(all, err)
		}
	}
}

// FuzzImport: any records, their checksums made right, make a PG that can be
// exported and imported again, or nothing.
func FuzzImport(f *testing.F) {
	f.Add(export(f, small(f)))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < headerBytes {
			return
		}
		p = slices.Clone(p)
		copy(p, magic)
		le.PutUint32(p[8:], crc(p[12:headerBytes]))
		number := uint64(0)
		for at := headerBytes; at+recordHeader <= len(p); number++ {
			n := min(int(le.Uint32(p[at+4:])), len(p)-at-recordHeader)
			le.PutUint32(p[at+4:], uint32(n))
			le.PutUint64(p[at+8:], number)
			le.PutUint32(p[at+20:], crc(slices.Concat(p[at:at+20], p[at+recordHeader:at+recordHeader+n])))
			at += recordHeader + n
		}
		r, err := NewReader(bytes.NewReader(p))
		if err != nil {
			return
		}
		s := memstore.New(memstore.Options{CapacityBytes: 64 << 20})
		if _, err := Import(bg, s, r.Header.Cluster, r, nil); err != nil {
			nothing(t, s)
			return
		}
		h := r.Header
		var b bytes.Buffer
		if _, err := Export(bg, s, h, &b, nil); err != nil {
			t.Fatal(err)
		}
		again, err := NewReader(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		to := memstore.New(memstore.Options{})
		if _, err := Import(bg, to, h.Cluster, again, nil); err != nil {
			t.Fatal(err)
		}
		var c bytes.Buffer
		if _, err := Export(bg, to, h, &c, nil); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
			t.Fatalf("not the same: %v", err)
		}
	})
}
