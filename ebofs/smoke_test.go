package ebofs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
)

var bg = context.Background()

func obj(name string) ebofs.ObjectID {
	return ebofs.NewObjectID(1, name)
}

func mustFormat(t testing.TB, dev devices.Device) {
	t.Helper()
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, dev devices.Device, o ebofs.Options) *ebofs.Store {
	t.Helper()
	s, err := ebofs.Open(bg, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSmoke drives the main path once: format, write on both paths, read,
// checkpoint, overwrite, reopen clean and unclean.
func TestSmoke(t *testing.T) {
	for _, inline := range []bool{true, false} {
		t.Run(fmt.Sprint("inline=", inline), func(t *testing.T) {
			dev := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / 4096})
			mustFormat(t, dev)
			o := ebofs.Options{Inline: inline}
			s := mustOpen(t, dev, o)
			c := ebofs.CollectionID("c")
			apply := func(fn func(*ebofs.Txn)) {
				t.Helper()
				x := ebofs.NewTxn()
				fn(x)
				if err := s.Apply(bg, x); err != nil {
					t.Fatal(err)
				}
			}
			apply(func(x *ebofs.Txn) { x.MkColl(c, ebofs.CollSpec{Shard: -1, Pool: 1}) })
			rng := rand.New(rand.NewPCG(1, 2))
			want := map[string][]byte{}
			for i := range 200 {
				name := fmt.Sprint("o", i%37)
				off := rng.IntN(300 << 10)
				data := make([]byte, 1+rng.IntN(100<<10))
				for j := range data {
					data[j] = byte(rng.Uint32())
				}
				apply(func(x *ebofs.Txn) { x.Write(c, obj(name), uint64(off), data) })
				w := want[name]
				if n := off + len(data); n > len(w) {
					w = append(w, make([]byte, n-len(w))...)
				}
				copy(w[off:], data)
				want[name] = w
				if i%50 == 49 {
					if err := s.Checkpoint(bg); err != nil {
						t.Fatal(err)
					}
				}
				if i == 120 {
					if err := s.Close(bg); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, dev, o)
				}
			}
			check := func() {
				t.Helper()
				for name, w := range want {
					got := make([]byte, len(w)+100)
					n, err := s.Read(bg, c, obj(name), 0, got)
					if err != nil {
						t.Fatal(name, err)
					}
					if !bytes.Equal(got[:n], w) {
						t.Fatalf("%s: %d bytes differ from %d written", name, n, len(w))
					}
				}
			}
			check()
			if err := s.Close(bg); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, dev, o)
			check()
			for name := range want {
				apply(func(x *ebofs.Txn) { x.Remove(c, obj(name)) })
				if _, err := s.Stat(bg, c, obj(name)); !errors.Is(err, ebofs.ErrNotFound) {
					t.Fatal(err)
				}
			}
			apply(func(x *ebofs.Txn) { x.RmColl(c) })
			if err := s.Close(bg); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, dev, o)
			st, _ := s.Statfs()
			t.Logf("%+v", st)
			if st.Objects != 0 || st.Meta != 0 || st.Data != 0 {
				t.Errorf("left behind: %+v", st)
			}
			s.Close(bg)
		})
	}
}
