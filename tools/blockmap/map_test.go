package blockmap

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/tools/picture"
	"ebofs/tools/verb"
)

var bg = context.Background()

// filled makes a store with objects of many sizes, long attributes and maps,
// some of them removed again.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	dev, err := devices.OpenFile(path, devices.FileOptions{CreateBytes: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(fn func(*ebofs.Txn)) {
		t.Helper()
		x := ebofs.NewTxn()
		fn(x)
		if err := s.Apply(bg, x); err != nil {
			t.Fatal(err)
		}
	}
	apply(func(x *ebofs.Txn) { x.MkColl("c", ebofs.CollSpec{Shard: layout.NoShard, Pool: 1}) })
	r := rand.New(rand.NewPCG(9, 9))
	for i := range 300 {
		id := ebofs.NewObjectID(1, fmt.Sprint("o", i))
		apply(func(x *ebofs.Txn) {
			x.Write("c", id, 0, bytes.Repeat([]byte{byte(i)}, r.IntN(1<<uint(1+r.IntN(19)))))
			x.SetAttr("c", id, "a", make([]byte, r.IntN(3000)))
			if i%10 == 0 {
				x.SetAttr("c", id, "long", make([]byte, 100_000))
				kv := map[string][]byte{}
				for k := range 500 {
					kv[fmt.Sprint("key", k)] = make([]byte, 50)
				}
				x.OmapSet("c", id, kv)
			}
		})
	}
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 300; i += 3 {
		apply(func(x *ebofs.Txn) { x.Remove("c", ebofs.NewObjectID(1, fmt.Sprint("o", i))) })
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	return path
}

func runMap(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(bg, args, verb.Streams{Out: &out, Err: &errs, Program: "ebofs"})
	return out.String(), errs.String(), code
}

// TestAgainstCheck: the picture's amounts are what fsck counts by other means.
func TestAgainstCheck(t *testing.T) {
	img := filled(t)
	dev, err := devices.OpenFile(img, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := check.Run(bg, dev, check.Options{Level: check.Full})
	dev.Close()
	if err != nil || !rep.OK() {
		t.Fatal(err, rep)
	}
	out, errs, code := runMap(t, "--format", "json", img)
	if code != 0 || errs != "" {
		t.Fatal(code, errs)
	}
	var v struct {
		result
		Cells []map[string]uint64
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	n := &rep.Counts
	for kind, want := range map[string]uint64{"node": n.MetaBlocks + n.OwnBlocks, "data": n.DataBlocks, "free": n.FreeBlocks} {
		if v.Totals[kind] != want*layout.BlockSize || want == 0 {
			t.Errorf("%s: %d blocks, fsck counts %d", kind, v.Totals[kind]/layout.BlockSize, want)
		}
	}
	sum := map[string]uint64{}
	for _, c := range v.Cells {
		for k, b := range c {
			sum[k] += b
		}
	}
	var runs uint64
	for _, r := range v.FreeRuns {
		runs += r.Bytes
	}
	if fmt.Sprint(sum) != fmt.Sprint(v.Totals) || runs != v.Totals["free"] {
		t.Errorf("cells %v, runs %d, totals %v", sum, runs, v.Totals)
	}
}

// TestDamage: a damaged node is red, what is below it still drawn, and an image
// can be made of it.
func TestDamage(t *testing.T) {
	img := filled(t)
	dev, err := devices.OpenFile(img, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ebofs.ReadRoots(bg, dev, &f.Super)
	dev.Close()
	if err != nil || roots.Record.Objects.Ptr.Addr == 0 {
		t.Fatal(err, "no root node")
	}
	file, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("damage"), int64(layout.Addr(roots.Record.Objects.Ptr.Addr).Block()*layout.BlockSize)+200); err != nil {
		t.Fatal(err)
	}
	file.Close()
	path := filepath.Join(t.TempDir(), "map.png")
	for _, args := range [][]string{{img}, {"--check", "full", "--png", path, img}} {
		out, errs, code := runMap(t, args...)
		if code != 0 || !strings.Contains(errs, "1 damaged tree nodes") || strings.Count(out, "!") < 2 || !strings.Contains(out, "!  damaged") {
			t.Errorf("%v: exit %d: %s\n%s", args, code, errs, out)
		}
	}
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(p)); err != nil {
		t.Fatal(err)
	}
}

// TestCut compares cutting runs at segments with painting block by block.
func TestCut(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		const blocks = 200
		var over []segment
		for at := uint64(r.IntN(10)); at < blocks; {
			n := uint64(1 + r.IntN(9))
			over = append(over, segment{at, n, picture.Kind(r.IntN(3))})
			at += n + uint64(r.IntN(12))
		}
		model := map[uint64]picture.Kind{}
		for _, s := range over {
			for i := range s.n {
				model[s.start+i] = s.kind
			}
		}
		start := uint64(r.IntN(blocks))
		n := uint64(1 + r.IntN(blocks))
		next := start
		cut(over, start, n, picture.Data, func(at, n uint64, k picture.Kind) {
			if at != next || n == 0 {
				t.Fatalf("seed %d: piece %d~%d, expected at %d", seed, at, n, next)
			}
			next = at + n
			for i := range n {
				want, ok := model[at+i]
				if !ok {
					want = picture.Data
				}
				if k != want {
					t.Fatalf("seed %d: block %d is %v, want %v", seed, at+i, k, want)
				}
			}
		})
		if next != start+n {
			t.Fatalf("seed %d: ends at %d, want %d", seed, next, start+n)
		}
	}
}
