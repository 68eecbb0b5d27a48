package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

var bg = context.Background()

// marker is in every name, value and byte of data of the sample, and in its label.
const marker = "SEKRET"

func newMem(bytes uint64) *devices.Mem {
	return devices.NewMem(devices.MemOptions{Blocks: bytes / devices.BlockSize})
}

// stop is a device its store leaves open.
type stop struct{ devices.Device }

// Close leaves the device open.
func (stop) Close() error { return nil }

func marked(n int) []byte { return bytes.Repeat([]byte(marker+"!"), n/7+1)[:n] }

// sample fills a store; unclean: the last changes are in its log only.
func sample(t testing.TB, dev *devices.Mem, log devices.Device, unclean bool) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := ebofs.Format(bg, dev, ebofs.FormatOptions{Label: "label " + marker, LogBytes: 4 << 20, LogDevice: log})
	must(err)
	s, err := ebofs.Open(bg, stop{dev}, ebofs.Options{Inline: true, LogDevice: log})
	must(err)
	apply := func(fn func(x *ebofs.Txn)) {
		t.Helper()
		x := ebofs.NewTxn()
		fn(x)
		must(s.Apply(bg, x))
	}
	coll := func(i int) ebofs.CollectionID { return ebofs.CollectionID(fmt.Sprintf("%s-coll-%02d", marker, i)) }
	id := func(i int) ebofs.ObjectID {
		o := ebofs.NewObjectID(1, fmt.Sprintf("%s\x00vm-%d/disk %03d", marker, i%3, i))
		o.Namespace = []string{"", marker + "space"}[i%2]
		return o
	}
	c := coll(0)
	apply(func(x *ebofs.Txn) {
		for i := range 40 {
			x.MkColl(coll(i), ebofs.CollSpec{Shard: layout.NoShard, Pool: int64(i + 1)})
		}
	})
	r := rand.New(rand.NewSource(1))
	for i := range 120 {
		apply(func(x *ebofs.Txn) {
			x.Write(c, id(i), 0, marked(r.Intn(3000)))
			if i%5 == 0 {
				x.Write(c, id(i), uint64(r.Intn(1<<20)), marked(100_000))
			}
			x.SetAttr(c, id(i), "_"+marker, marked(30))
			x.SetAttr(c, id(i), fmt.Sprintf("%s%d", marker, i), marked(r.Intn(900)))
		})
	}
	apply(func(x *ebofs.Txn) {
		x.SetAttr(c, id(7), "long"+marker, marked(30_000))
		x.OmapSetHeader(c, id(8), marked(60_000)) // an onode with blocks of its own
		m := map[string][]byte{"": []byte("x"), marker + "long": marked(20_000)}
		for i := range 400 {
			m[fmt.Sprintf("%s.%x", marker, i*7919)] = marked(i)
		}
		x.OmapSet(c, id(9), m)
	})
	must(s.Checkpoint(bg))
	apply(func(x *ebofs.Txn) { x.Clone(c, id(5), id(500)); x.CloneRange(c, id(10), id(501), 0, 50_000, 4096) })
	apply(func(x *ebofs.Txn) { x.Remove(c, id(15)) })
	if !unclean {
		must(s.Close(bg))
		return
	}
	must(s.Checkpoint(bg))
	apply(func(x *ebofs.Txn) {
		x.Write(c, id(20), 5, marked(5000))
		x.Write(c, id(600), 0, marked(700_000))
		x.SetAttr(c, id(21), marker+"late", marked(40))
		x.RmAttr(c, id(22), "_"+marker)
		x.OmapSet(c, id(9), map[string][]byte{marker + ".new": marked(50)})
		x.OmapRmRange(c, id(9), marker+".1", marker+".3")
		x.OmapSetHeader(c, id(9), marked(30))
	})
	apply(func(x *ebofs.Txn) { x.Rename(c, id(23), id(700)); x.Remove(c, id(24)); x.Truncate(c, id(25), 100) })
	apply(func(x *ebofs.Txn) { x.Write(c, id(601), 0, marked(2_000_000)) })
}

// save returns the image of a store.
func save(t testing.TB, dev, log devices.Device, o SaveOptions) ([]byte, Saved) {
	t.Helper()
	var w bytes.Buffer
	o.LogDevice = log
	res, err := Save(bg, dev, &w, o)
	if err != nil {
		t.Fatal(err)
	}
	return w.Bytes(), res
}

// restore makes devices of an image.
func restore(t testing.TB, p []byte) map[uint8]*devices.Mem {
	t.Helper()
	c, err := Verify(bg, bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	to, mems := map[uint8]Target{}, map[uint8]*devices.Mem{}
	for i, blocks := range c.Devices {
		mems[i] = newMem(blocks * devices.BlockSize)
		to[i] = Target{Device: mems[i], Fresh: true}
	}
	if err := Restore(bg, bytes.NewReader(p), to); err != nil {
		t.Fatal(err)
	}
	return mems
}

// plain returns the stream behind the compression.
func plain(t testing.TB, p []byte) []byte {
	t.Helper()
	r, err := NewReader(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r.z)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func optional(m *devices.Mem) devices.Device {
	if m == nil {
		return nil
	}
	return m
}

// fsck returns what a check says without names and contents.
func fsck(t testing.TB, dev, log devices.Device, level check.Level) (problems []string, counts check.Counts) {
	t.Helper()
	rep, err := check.Run(bg, dev, check.Options{Level: level, LogDevice: log, Workers: 1, Replay: func(ctx context.Context) (devices.Device, error) {
		o := ebofs.Options{Inline: true, ReplayImage: true}
		main := devices.NewOverlay(dev, 256<<20)
		if log != nil {
			o.LogDevice = devices.NewOverlay(log, 64<<20)
		}
		s, err := ebofs.Open(ctx, main, o)
		if err != nil {
			return nil, err
		}
		return main, s.Close(ctx)
	}})
	if err != nil {
		return []string{"error: " + err.Error()}, counts
	}
	for i := range rep.Problems {
		p := &rep.Problems[i]
		s := fmt.Sprintf("%s %s %d:%d~%d", p.Code, p.Tree, p.Device, p.Address, p.Blocks)
		for _, o := range p.Objects {
			s += fmt.Sprintf(" %d~%d", o.Offset, o.Length)
		}
		problems = append(problems, s)
	}
	slices.Sort(problems)
	rep.Counts.BytesRead, rep.Counts.Retried = 0, 0
	return problems, rep.Counts
}

// same compares the store with its image, restored.
func same(t testing.TB, dev, log devices.Device, p []byte) map[uint8]*devices.Mem {
	t.Helper()
	mems := restore(t, p)
	for _, level := range []check.Level{check.Quick, check.Full} {
		want, wantN := fsck(t, dev, log, level)
		got, gotN := fsck(t, mems[0], optional(mems[1]), level)
		if !slices.Equal(got, want) {
			t.Fatalf("level %v:\nthe store has\n  %s\nits image\n  %s", level, strings.Join(want, "\n  "), strings.Join(got, "\n  "))
		}
		if gotN != wantN {
			t.Fatalf("level %v: the store has %+v, its image %+v", level, wantN, gotN)
		}
	}
	return mems
}

// TestSave: stores of every kind, and nothing secret in their images.
func TestSave(t *testing.T) {
	for _, c := range []struct{ unclean, log bool }{{}, {unclean: true}, {log: true}, {true, true}} {
		t.Run(fmt.Sprintf("unclean %v, log device %v", c.unclean, c.log), func(t *testing.T) {
			dev := newMem(1100 << 20)
			var log devices.Device
			if c.log {
				log = newMem(32 << 20)
			}
			sample(t, dev, log, c.unclean)
			p, res := save(t, dev, log, SaveOptions{})
			if res.Names == 0 || res.Nodes < 10 || res.Withheld != 0 || res.Clean == c.unclean || len(p) > 1<<20 {
				t.Errorf("%+v, %d bytes", res, len(p))
			}
			for what, bytes := range map[string][]byte{"the file": p, "the stream": plain(t, p)} {
				leaks(t, what, bytes)
			}
			mems := same(t, dev, log, p)
			if got, _ := fsck(t, mems[0], optional(mems[1]), check.Deep); got != nil {
				t.Errorf("a deep check of the image: %v", got)
			}
			reads(t, mems)
			q, _ := save(t, dev, log, SaveOptions{PlainNames: true})
			same(t, dev, log, q)
			if r, stream := plain(t, p), plain(t, q); len(r) != len(stream) || !bytes.Contains(stream, []byte(marker+"-coll-")) || bytes.Contains(stream, []byte("!"+marker)) {
				t.Error("with plain names: a name is missing, or data is there")
			}
		})
	}
}

// leaks looks for what was in names, values and data.
func leaks(t *testing.T, what string, p []byte) {
	t.Helper()
	for _, s := range []string{marker, marker[:4], marker[2:], "vm-", "disk", "-coll-", "space", "long", "late", "label"} {
		if i := bytes.Index(p, []byte(s)); i >= 0 {
			t.Errorf("%q is in %s: %q", s, what, p[max(0, i-20):min(len(p), i+20)])
		}
	}
}

// reads lists what a restored image shows, and is refused its data.
func reads(t *testing.T, mems map[uint8]*devices.Mem) {
	t.Helper()
	if _, err := ebofs.Open(bg, stop{mems[0]}, ebofs.Options{Inline: true, LogDevice: optional(mems[1])}); !errors.Is(err, ebofs.ErrNoData) {
		t.Errorf("a writable mount: %v", err)
	}
	s, err := ebofs.Open(bg, stop{mems[0]}, ebofs.Options{ReadOnly: true, Inline: true, LogDevice: optional(mems[1])})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(bg)
	cs, err := s.Collections(bg)
	if err != nil || len(cs) != 40 {
		t.Fatalf("%d collections, %v", len(cs), err)
	}
	n := 0
	for _, c := range cs {
		ids, _, err := s.List(bg, c, nil, nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			n++
			if _, err := s.Stat(bg, c, id); err != nil {
				t.Error(err)
			}
			if _, err := s.Read(bg, c, id, 0, make([]byte, 10)); !errors.Is(err, ebofs.ErrNoData) {
				t.Errorf("read: %v", err)
			}
		}
	}
	if n < 100 {
		t.Errorf("%d objects", n)
	}
}

// TestFresh: an empty store.
func TestFresh(t *testing.T) {
	dev := newMem(64 << 20)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	p, _ := save(t, dev, nil, SaveOptions{})
	same(t, dev, nil, p)
	if len(p) > 16<<10 {
		t.Errorf("%d bytes", len(p))
	}
}

// TestNoLogDevice: the image says that the log is missing, and so does fsck.
func TestNoLogDevice(t *testing.T) {
	dev, log := newMem(64<<20), newMem(32<<20)
	sample(t, dev, log, false)
	p, res := save(t, dev, nil, SaveOptions{})
	if c, err := Verify(bg, bytes.NewReader(p)); err != nil || c.Flags&NoLog == 0 || res.Log != "missing" {
		t.Errorf("%+v, %+v, %v", c, res, err)
	}
	if got, _ := fsck(t, restore(t, p)[0], nil, check.Full); len(got) != 1 || !strings.HasPrefix(got[0], string(check.LogMissing)) {
		t.Errorf("%v", got)
	}
}

// TestNoStore: what is none gives an error.
func TestNoStore(t *testing.T) {
	if _, err := Save(bg, newMem(64<<20), io.Discard, SaveOptions{}); !errors.Is(err, ebofs.ErrNoStore) {
		t.Error(err)
	}
	dev, log := newMem(64<<20), newMem(32<<20)
	sample(t, dev, log, false)
	if _, err := Save(bg, log, io.Discard, SaveOptions{}); !errors.Is(err, ebofs.ErrInvalid) {
		t.Error(err)
	}
	if _, err := Save(bg, dev, io.Discard, SaveOptions{LogDevice: newMem(32 << 20)}); !errors.Is(err, ebofs.ErrNoStore) {
		t.Error(err)
	}
}

// TestWriteFails: an error of the file is Save's.
func TestWriteFails(t *testing.T) {
	dev := newMem(64 << 20)
	sample(t, dev, nil, false)
	p, _ := save(t, dev, nil, SaveOptions{})
	for n := 0; n < len(p); n += 1 + len(p)/20 {
		if _, err := Save(bg, dev, &narrow{n}, SaveOptions{Seed: [32]byte{1}}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := Save(ctx, dev, io.Discard, SaveOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type narrow struct{ left int }

// Write takes what is left.
func (s *narrow) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
