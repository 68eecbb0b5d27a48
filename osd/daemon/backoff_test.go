package daemon_test

import (
	"fmt"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
)

// backoff does what an OSD says of requests for a PG: keep them, or make them.
func (x *client) backoff(c *msgr.Conn, p *msg.OSDBackoff) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.blocks == nil {
		x.blocks = map[uint64]bool{}
	}
	x.blocks[p.ID] = p.Op == msg.BackoffBlock
	if p.Op == msg.BackoffBlock {
		ack := *p
		ack.Op = msg.BackoffAckBlock
		_ = c.Send(msg.Pack(&ack))
	} else {
		for tid, m := range x.sent {
			delete(x.to, tid)
			m.Retry++
			x.sendLocked(tid, m)
		}
	}
	x.cond.Broadcast()
}

// TestBackoff: a client is told to keep requests for a PG that is not served, and
// to make them once it is; other PGs do not wait for it.
func TestBackoff(t *testing.T) {
	c := newCluster(t)
	c.stop()
	c.blockAfter = 50 * time.Millisecond
	c.start()
	x := c.client("client.admin", c.admin)
	x.pool("p", 1)
	x.pool("q", 1)
	x.do("p", "o", writeFull("x"))
	x.command("osd pool set", "pool", "p", "var", "size", "val", "2")
	x.command("osd pool set", "pool", "p", "var", "min_size", "val", "2")
	x.until(func() bool { return x.maps.Pools[1].MinSize == 2 })
	var late []chan *msg.OSDOpReply
	blocked := func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.blocks) > 0
	}
	for i, stop := 0, time.Now().Add(time.Minute); !blocked(); i++ { // the first ones wait there
		late = append(late, x.start("p", "o", appendOp(fmt.Sprint("[", i, "]"))))
		if time.Now().After(stop) {
			t.Fatal("no backoff")
		}
		x.do("q", "o", writeFull("x"))
	}
	x.command("osd pool set", "pool", "p", "var", "min_size", "val", "1")
	size := 1
	for i, ch := range late {
		size += len(fmt.Sprint("[", i, "]"))
		select {
		case r := <-ch:
			if r.Result != 0 {
				t.Errorf("append %d: %v", i, ceph.Errno(r.Result))
			}
		case <-time.After(time.Minute):
			t.Fatalf("append %d: no reply", i)
		}
	}
	x.mu.Lock()
	for id, on := range x.blocks {
		if on {
			t.Errorf("backoff %d was not taken back", id)
		}
	}
	n := len(x.blocks)
	x.mu.Unlock()
	if r := x.do("p", "o", read()); n != 1 || len(r.Ops[0].Data) != size {
		t.Errorf("%d backoffs; the object has %d bytes, want %d", n, len(r.Ops[0].Data), size)
	}
}
