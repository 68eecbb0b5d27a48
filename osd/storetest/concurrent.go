package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"ebofs/osd"
)

// testConcurrent has eight workers, each with objects of its own in the same
// collection and a model for them, while others list and checkpoint.
func testConcurrent(t *testing.T, f Factory) {
	b := open(t, f)
	const workers, steps, objects = 8, 250, 6
	var wg sync.WaitGroup
	bothers := []func() error{
		func() error { return second(b.h.Store.Collections(b.ctx)) },
		func() error { return second(b.h.Store.Statfs(b.ctx)) },
		func() error {
			_, _, err := b.h.Store.List(b.ctx, c1, nil, nil, 10)
			return err
		},
		func() error { return b.h.Store.Sync(b.ctx) },
		b.checkpoint,
	}
	pairs := make([]*pair, workers)
	for w := range workers {
		p := newPair(b.h)
		p.m.colls = b.m.colls // nobody changes it
		pairs[w] = p
		g := newGenerator(uint64(w), p.m)
		g.fixedColls = true
		g.objects = nil
		for i := range objects {
			g.objects = append(g.objects, w*objects+i)
		}
		wg.Go(func() {
			for i := range steps {
				line := g.transaction()
				x, err := parseTransaction(line)
				if err == nil {
					err = p.do(x)
				}
				if err == nil && i%10 == w {
					err = bothers[(w+i/10)%len(bothers)]()
				}
				if err != nil {
					t.Errorf("worker %d, step %d: %s: %v", w, i, line, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, p := range pairs {
		maps.Copy(b.m.objs, p.m.objs)
	}
	if !t.Failed() {
		b.end()
	}
}

// testReadersAndWriter rewrites whole objects while others read them: a read
// sees one version of all bytes, of all attrs, of all keys it asks for.
func testReadersAndWriter(t *testing.T, f Factory) {
	b := open(t, f)
	const versions = 200
	sizes := []int{1000, 4096, 20000, 262144}
	pages := make([][]byte, 256)
	for i := range pages {
		pages[i] = make([]byte, sizes[len(sizes)-1])
		for j := range pages[i] {
			pages[i][j] = byte(i)
		}
	}
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("k%02d", i))
	}
	version := func(v int) *osd.Transaction {
		return txn(func(x *osd.Transaction) {
			for i, size := range sizes {
				x.Write(c1, object(i), 0, pages[v%256][:size])
				x.SetAttrs(c1, object(i), allOf(keys, v))
				x.OmapSet(c1, object(i), allOf(keys, v))
			}
		})
	}
	b.do(version(0))
	var written atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, read := range []func(o osd.ObjectID) (map[string][]byte, error){
		func(o osd.ObjectID) (map[string][]byte, error) { return b.h.Store.Attrs(b.ctx, c1, o) },
		func(o osd.ObjectID) (map[string][]byte, error) { return b.h.Store.OmapGet(b.ctx, c1, o, keys) },
	} {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				m, err := read(object(n % len(sizes)))
				if err != nil || len(m) != len(keys) {
					t.Errorf("object %d: %d values, %v", n%len(sizes), len(m), err)
					return
				}
				for _, k := range keys {
					if string(m[k]) != string(m[keys[0]]) {
						t.Errorf("object %d: %s is of version %s, %s of %s", n%len(sizes), keys[0], m[keys[0]], k, m[k])
						return
					}
				}
			}
		})
	}
	for r := range 3 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(r), 0))
			buf := make([]byte, sizes[len(sizes)-1])
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rnd.IntN(len(sizes))
				least := written.Load()
				n, err := b.h.Store.Read(b.ctx, c1, object(i), 0, buf)
				most := written.Load() + 1 // one may be applied and not counted yet
				if err != nil || n != sizes[i] {
					t.Errorf("read of object %d: %d bytes, %v", i, n, err)
					return
				}
				if !uniform(buf[:n]) {
					t.Errorf("read of object %d, %d bytes: a mixture of versions", i, n)
					return
				}
				if most-least < 100 && byte(int64(buf[0])-least) > byte(most-least) {
					t.Errorf("read of object %d: version %d, of %d to %d", i, buf[0], least, most)
					return
				}
			}
		})
	}
	for v := 1; v <= versions; v++ {
		if err := b.h.Store.Queue(b.ctx, version(v), nil, nil); err != nil {
			t.Error(err)
			break
		}
		written.Store(int64(v))
		if v%50 == 25 {
			b.ok(b.checkpoint())
		}
	}
	close(stop)
	wg.Wait()
	x := version(versions)
	pl, err := b.m.check(x)
	b.ok(err)
	b.m.apply(x, pl)
	b.end()
}

// testApart has transactions change an object in places that stand apart, with
// changes of others between them: a read sees all of them or none.
func testApart(t *testing.T, f Factory) {
	b := open(t, f)
	const versions, size = 100, 3 * 8192
	a, c, spare := object(0), object(1), object(2)
	var keys []string
	for i := range 3 {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	version := func(v int) *osd.Transaction {
		return txn(func(x *osd.Transaction) {
			if v > 0 && v%4 == 0 { // they change places
				x.Rename(c1, a, spare)
				x.Rename(c1, c, a)
				x.Rename(c1, spare, c)
			}
			if v%4 == 2 {
				x.Remove(c1, a)
			}
			for i, k := range keys {
				for _, o := range []osd.ObjectID{a, c} {
					x.Write(c1, o, uint64(i)*size/3, bytes.Repeat([]byte{byte(v)}, size/3))
					x.SetAttrs(c1, o, allOf(keys[i:i+1], v))
					x.OmapSet(c1, o, allOf([]string{k}, v))
				}
			}
		})
	}
	b.do(version(0))
	one := func(m map[string][]byte, err error) error {
		if err == nil && (len(m) != len(keys) || string(m["k0"]) != string(m["k1"]) || string(m["k1"]) != string(m["k2"])) {
			err = fmt.Errorf("a mixture of versions: %q", m)
		}
		return err
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for what, read := range map[string]func(o osd.ObjectID) error{
		"attrs": func(o osd.ObjectID) error { return one(b.h.Store.Attrs(b.ctx, c1, o)) },
		"omap":  func(o osd.ObjectID) error { return one(b.h.Store.OmapGet(b.ctx, c1, o, keys)) },
		"data": func(o osd.ObjectID) error {
			p := make([]byte, size)
			if n, err := b.h.Store.Read(b.ctx, c1, o, 0, p); err != nil || n != size {
				return fmt.Errorf("%d bytes, %w", n, err)
			}
			if !uniform(p) {
				return fmt.Errorf("a mixture of versions: %d, %d, %d", p[0], p[size/2], p[size-1])
			}
			return nil
		},
	} {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := read([]osd.ObjectID{a, c}[n%2]); err != nil {
					t.Errorf("%s of object %d: %v", what, n%2, err)
					return
				}
			}
		})
	}
	for v := 1; v <= versions && !t.Failed(); v++ {
		if err := b.queue(version(v), nil, nil); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if !t.Failed() {
		b.end()
	}
}

// allOf returns values that all name one version.
func allOf(keys []string, v int) map[string][]byte {
	m := make(map[string][]byte, len(keys))
	for _, k := range keys {
		m[k] = fmt.Append(nil, v)
	}
	return m
}
