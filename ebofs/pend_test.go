package ebofs

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"ebofs/ebofs/layout"
)

// TestOverlayAgainstBytes compares the overlay with plain arrays: what is in
// it, which epoch made it, and that a frozen version never changes.
func TestOverlayAgainstBytes(t *testing.T) {
	const size = 3 * chunkBytes
	type model struct {
		data  []byte
		epoch []uint64 // 0: not in the overlay
	}
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var o overlay
		live := model{make([]byte, size), make([]uint64, size)}
		check := func(what string, o *overlay, m *model) {
			t.Helper()
			got := model{make([]byte, size), make([]uint64, size)}
			for k, c := range o.pieces.all() {
				at := k << chunkShift
				for _, p := range c.list {
					if p.off < at || p.end() > (k+1)<<chunkShift || len(p.data) == 0 {
						t.Fatalf("seed %d: %s: piece %d+%d in chunk %d after %d", seed, what, p.off, len(p.data), k, at)
					}
					at = p.end()
					copy(got.data[p.off:], p.data)
					for i := range p.data {
						got.epoch[p.off+uint64(i)] = p.epoch
					}
				}
			}
			for i := range got.epoch {
				if got.epoch[i] != m.epoch[i] || m.epoch[i] != 0 && got.data[i] != m.data[i] {
					t.Fatalf("seed %d: %s: byte %d is %d of epoch %d, want %d of epoch %d", seed, what, i, got.data[i], got.epoch[i], m.data[i], m.epoch[i])
				}
			}
		}
		epoch := uint64(1)
		var frozen overlay
		var was model
		for step := range 60 {
			off := uint64(rng.IntN(size - 1))
			n := 1 + rng.IntN(min(size-int(off), 1<<rng.IntN(19)))
			switch rng.IntN(8) {
			case 0, 1, 2, 3:
				data := bytes.Repeat([]byte{byte(step)}, n)
				o.write(off, data, epoch)
				copy(live.data[off:], data)
				for i := range data {
					live.epoch[off+uint64(i)] = epoch
				}
			case 4, 5:
				o.cut(off, off+uint64(n))
				clear(live.epoch[off : off+uint64(n)])
			case 6:
				frozen = o.freeze()
				was = model{bytes.Clone(live.data), append([]uint64(nil), live.epoch...)}
				epoch++
			case 7:
				if was.data == nil {
					continue
				}
				o.settle(epoch - 1)
				for i, e := range live.epoch {
					if e <= epoch-1 {
						live.epoch[i] = 0
					}
				}
			}
			if step%4 != 3 {
				continue
			}
			check("live", &o, &live)
			if was.data != nil {
				check("frozen", &frozen, &was)
			}
		}
	}
}

// TestEditsDead follows the addresses that no checkpoint will see: those an
// epoch decided and dropped itself, and no others.
func TestEditsDead(t *testing.T) {
	var o overlay
	if dead := o.place(5, decided{addr: 100, crc: 1}, 1); dead.addr != 0 {
		t.Fatalf("first decision leaves %v dead", dead)
	}
	if dead := o.place(5, decided{addr: 101, crc: 2}, 1); dead.addr != 100 {
		t.Fatalf("second decision of the epoch leaves %v dead, want 100", dead)
	}
	f := o.freeze()
	if dead := o.place(5, decided{addr: 102, crc: 3}, 2); dead.addr != 0 {
		t.Fatalf("decision of the next epoch leaves %v dead: the checkpoint of the first needs it", dead)
	}
	if d, ok := f.lookup(5); !ok || d.addr != 101 {
		t.Fatalf("frozen version sees %v, want 101", d.addr)
	}
	o.settle(1)
	if d, ok := o.lookup(5); !ok || d.addr != 102 {
		t.Fatalf("after the first epoch is settled block 5 is %v, want 102", d.addr)
	}
	o.settle(2)
	if !o.empty() {
		t.Fatal("something is left after both epochs are settled")
	}
	o.place(200, decided{addr: 7, crc: 1}, 3)
	o.place(201, decided{}, 3)
	var dead []layout.Addr
	for _, e := range o.edits.all() {
		e.each(3, func(d decided) { dead = append(dead, d.addr) })
	}
	if len(dead) != 1 || dead[0] != 7 {
		t.Fatalf("dead %v, want [7]: a hole has no address", dead)
	}
}
