package ebofs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"ebofs/btree"
	"ebofs/devices"
)

// ordered is a store of objects and what they hold.
type ordered struct {
	*Store
	dev  *devices.Mem
	ids  []ObjectID // in order of their keys
	want [][]byte
}

// newOrdered writes objects of size bytes, every tenth of another one, over several
// checkpoints, and mounts the store anew.
func newOrdered(t *testing.T, objects, size int) *ordered {
	o := &ordered{dev: newMem(128)}
	o.Store = newStore(t, o.dev, FormatOptions{}, quiet())
	names := rand.New(rand.NewPCG(1, 2)).Perm(objects)
	data := map[string][]byte{}
	for i, n := range names {
		name := fmt.Sprint(n)
		data[name] = bytes.Repeat([]byte(fmt.Sprintf("%7d,", n)), size/8)
		if n%10 == 0 {
			data[name] = data[name][:size/2+n%(size/2)]
		}
		apply(t, o.Store, func(x *Txn) { x.Write(mainColl, oid(name), 0, data[name]) })
		if i%(objects/3) == 0 {
			mustCheckpoint(t, o.Store)
		}
	}
	o.again(t)
	t.Cleanup(func() { closeStore(t, o.Store) })
	for next := (*ObjectID)(nil); ; {
		list, more, err := o.List(bg, mainColl, next, nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		o.ids = append(o.ids, list...)
		if next = more; next == nil {
			break
		}
	}
	for _, id := range o.ids {
		o.want = append(o.want, data[id.Name])
	}
	if len(o.ids) != objects {
		t.Fatalf("%d of %d objects are listed", len(o.ids), objects)
	}
	return o
}

// again mounts the store anew: nothing of the objects is in RAM then but what the
// list of them needs.
func (o *ordered) again(t *testing.T) {
	closeStore(t, o.Store)
	o.Store = open(t, o.dev, quiet())
}

// check reads object i whole.
func (o *ordered) check(t *testing.T, i int) {
	t.Helper()
	p := make([]byte, len(o.want[i])+10)
	if n, err := o.Read(bg, mainColl, o.ids[i], 0, p); err != nil || !bytes.Equal(p[:n], o.want[i]) {
		t.Fatalf("object %d: %.20q, %v, want %.20q", i, p[:n], err, o.want[i])
	}
}

// TestReadAhead reads all objects in order: with far fewer reads of the device than
// objects, and no more bytes than they have. At random nothing comes too early.
func TestReadAhead(t *testing.T) {
	for _, size := range []int{blockSize, 5 * blockSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const objects = 3000
			o := newOrdered(t, objects, size)
			bytes := 0
			for i := range o.ids {
				bytes += (len(o.want[i]) + blockSize - 1) / blockSize * blockSize
			}
			for i := range o.ids {
				o.check(t, i)
			}
			reads, got := o.lat.Read.Count(), int(o.Metrics().ReadBytes)
			if most := uint64(objects * size / blockSize / 20); reads > most || got < bytes*99/100 || got > bytes*5/4 {
				t.Errorf("in order: %d reads of %d bytes, for %d objects of %d bytes", reads, got, objects, bytes)
			}
			o.again(t)
			for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(objects) {
				o.check(t, i)
			}
			if got := int(o.Metrics().ReadBytes); got < bytes*99/100 || got > bytes*21/20 {
				t.Errorf("at random: %d bytes, objects have %d", got, bytes)
			}
		})
	}
}

// TestReadAheadChanges changes, removes and makes objects that have been read ahead,
// and reads on.
func TestReadAheadChanges(t *testing.T) {
	const objects = 1200
	o := newOrdered(t, objects, blockSize)
	r := rand.New(rand.NewPCG(5, 6))
	gone := map[int]bool{}
	for i := range o.ids {
		if gone[i] {
			if _, err := o.Read(bg, mainColl, o.ids[i], 0, make([]byte, 10)); !errors.Is(err, ErrNotFound) {
				t.Fatalf("object %d, which was removed: %v", i, err)
			}
			continue
		}
		o.check(t, i)
		if i < 50 || i%7 != 0 {
			continue
		}
		j := min(i+1+r.IntN(40), objects-1)
		switch r.IntN(3) {
		case 0:
			gone[j] = true
			apply(t, o.Store, func(x *Txn) { x.Touch(mainColl, o.ids[j]); x.Remove(mainColl, o.ids[j]) })
		case 1:
			if gone[j] {
				continue
			}
			o.want[j] = bytes.Repeat([]byte{byte(i)}, blockSize+i%5000)
			apply(t, o.Store, func(x *Txn) { x.Truncate(mainColl, o.ids[j], 0); x.Write(mainColl, o.ids[j], 0, o.want[j]) })
		default:
			apply(t, o.Store, func(x *Txn) { x.Write(mainColl, oid(fmt.Sprint("new", i)), 0, make([]byte, blockSize)) })
		}
		if r.IntN(3) == 0 {
			mustCheckpoint(t, o.Store) // what was freed is written over soon
		}
	}
}

// TestReadAheadDamage has wrong blocks among what is read ahead, and reads that fail:
// whoever wants the block is told, nobody else.
func TestReadAheadDamage(t *testing.T) {
	const objects = 800
	o := newOrdered(t, objects, blockSize)
	bad := map[int]bool{}
	for i := 100; i < objects; i += 37 {
		n, err := o.onodeOf(bg, o.ids[i].AppendKey(nil), true)
		if err != nil {
			t.Fatal(err)
		}
		val, _, err := n.cur.extents.Get(bg, chunkKey(0), nil)
		if err != nil {
			t.Fatal(err)
		}
		addr, _, _, err := n.cur.lookup(0, val)
		n.refs.Add(-1)
		if err != nil || addr == 0 {
			t.Fatalf("object %d is nowhere: %v", i, err)
		}
		if err := o.dev.Write(bg, devices.Block(addr.Block()), devices.Vec{make([]byte, blockSize)}); err != nil {
			t.Fatal(err)
		}
		bad[i] = true
	}
	for i := range o.ids {
		if !bad[i] {
			o.check(t, i)
			continue
		}
		var c *CorruptError
		if n, err := o.Read(bg, mainColl, o.ids[i], 0, make([]byte, blockSize)); n != 0 || !errors.As(err, &c) || c.Object != o.ids[i].String() {
			t.Fatalf("damaged object %d: %d bytes, %v", i, n, err)
		}
	}
	if m := o.Metrics(); m.Corruptions != int64(len(bad)) || int(o.lat.Read.Count()) > objects/4 {
		t.Fatalf("%d blocks are called damaged, %d are; %d reads", m.Corruptions, len(bad), o.lat.Read.Count())
	}
}

// TestReadAheadBeside reads in order in several places while others write, remove and
// checkpoint.
func TestReadAheadBeside(t *testing.T) {
	const objects = 600
	o := newOrdered(t, objects, blockSize)
	var done atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			for n := 0; !done.Load(); n++ {
				i := r.IntN(objects/2)*2 + w
				x := NewTxn()
				x.Write(mainColl, o.ids[i], 0, bytes.Repeat([]byte{byte(n), byte(i)}, blockSize/2))
				if err := o.Apply(bg, x); err != nil {
					t.Error(err)
				}
				if n%100 == 0 {
					if err := o.Checkpoint(bg); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			p := make([]byte, blockSize)
			for range 5 {
				for i, id := range o.ids {
					n, err := o.Read(bg, mainColl, id, 0, p)
					if err != nil {
						t.Error(err)
						return
					}
					if !bytes.Equal(p[:n], o.want[i]) && !bytes.Equal(p[:n], bytes.Repeat([]byte{p[0], byte(i)}, blockSize/2)) {
						t.Errorf("object %d: %.20q", i, p[:n])
						return
					}
				}
			}
		})
	}
	readers.Wait()
	done.Store(true)
	wg.Wait()
}

// TestReadAheadMany reads in eight places in turns: what is read ahead for all of them
// stays in a small cache until it is wanted.
func TestReadAheadMany(t *testing.T) {
	const streams, objects = 8, 600
	o := newOrdered(t, streams*objects, blockSize)
	o.again(t)
	o.shares.least, o.shares.most, o.shares.object = 2<<20, 2<<20, 2<<20
	o.data.SetBudget(2 << 20)
	for i := range objects {
		for k := range streams {
			o.check(t, k*objects+i)
		}
	}
	bytes := streams * objects * blockSize
	if got := int(o.Metrics().ReadBytes); got > bytes*6/5 {
		t.Errorf("read %d bytes for %d", got, bytes)
	}
}

// TestStreams: what goes on with what.
func TestStreams(t *testing.T) {
	const items = 100
	var s streams
	waiting := false
	follow := func(leaf uint64, item int) int {
		run, _ := s.follow(btree.Place{Leaf: leaf, Item: item, Items: items}, func(wanted) bool { return waiting })
		return run
	}
	want := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %d reads went on with it, want %d", what, got, want)
		}
	}
	want("first", follow(1, 96), 0)
	want("second", follow(1, 97), 1)
	want("the same", follow(1, 97), 0)
	want("before it", follow(1, 96), 0)
	want("third", follow(1, 98), 2)
	want("last of a leaf", follow(1, 99), 3)
	for i := range 1000 {
		want("elsewhere", follow(7, 1+i*2%(items-1)), 0)
	}
	want("first of the next leaf", follow(2, 0), 4)
	want("with a gap", follow(2, streamSkips), 5)
	want("too far", follow(2, 2*streamSkips+1), 0)
	s.reached(btree.Place{Leaf: 2, Item: streamSkips, Items: items}, btree.Place{Leaf: 3, Item: 40, Items: items}, []wanted{{1, 1}})
	want("behind what was read ahead", follow(3, 41), 6)
	waiting = true
	want("while that is unused", follow(3, 42), 0)
	waiting = false
	want("afterwards", follow(3, 43), 0)
}
