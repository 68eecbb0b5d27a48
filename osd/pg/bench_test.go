package pg

import (
	"context"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

// deaf is a store that says of every transaction that it is committed, and does
// nothing.
type deaf struct{ osd.ObjectStore }

func (deaf) Queue(_ context.Context, _ *osd.Transaction, applied func(), committed func(error)) error {
	if applied != nil {
		applied()
	}
	committed(nil)
	return nil
}

// BenchmarkWrite is small writes of one client, one after the other, on a PG whose log
// is trimmed all the time: what they take beside the store.
func BenchmarkWrite(b *testing.B) {
	p := newBench(b)
	p.Close()
	p.logLength = 250
	p.store.ObjectStore = deaf{p.store.ObjectStore}
	p.open()
	p.cfg.Store = p.store.ObjectStore
	s := newSession(1)
	done := make(chan *msg.OSDOpReply, 1)
	write := func() {
		p.Submit(p.request(s, "o", writeOp(0, "x")), s, func(r *msg.OSDOpReply) { done <- r })
		if r := <-done; r.Result != 0 {
			b.Fatal(ceph.Errno(r.Result))
		}
	}
	for range 2 * logLength { // all that is kept is there
		write()
	}
	b.ReportAllocs()
	for b.Loop() {
		write()
	}
}
