package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

// slowReads is a store that does not answer reads of one pool.
type slowReads struct {
	osd.ObjectStore
	pool    string        // as its collections' names begin
	entered chan struct{} // a read waits
	release chan struct{}
	once    sync.Once
}

func (s *slowReads) Read(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off uint64, p []byte) (int, error) {
	if strings.HasPrefix(string(c), s.pool) {
		s.once.Do(func() { close(s.entered) })
		<-s.release
	}
	return s.ObjectStore.Read(ctx, c, o, off, p)
}

// status is what the OSD says of itself.
func (x *client) status() (s struct {
	Newest ceph.Epoch `json:"newest_map"`
	PGs    int        `json:"num_pgs"`
}) {
	x.t.Helper()
	must(x.t, json.Unmarshal(x.tell(`{"prefix":"status"}`).Output, &s))
	return s
}

// level waits until the OSD has the client's map.
func (x *client) level() {
	x.t.Helper()
	eventually(x.t, func() string {
		s := x.status()
		x.mu.Lock()
		defer x.mu.Unlock()
		return fmt.Sprint("has the map: ", s.Newest >= x.maps.Epoch)
	}, "true")
}

// TestWaitedFirst: a request that waited for a map is not overtaken by one that
// comes when the OSD has that map but is not done with it: a PG that is here no
// more has a read under way.
func TestWaitedFirst(t *testing.T) {
	c := newCluster(t)
	c.stop()
	slow := &slowReads{pool: "2.", entered: make(chan struct{}), release: make(chan struct{})}
	c.wrap = func(s osd.ObjectStore) osd.ObjectStore { slow.ObjectStore = s; return slow }
	c.start()
	x, y := c.client("client.admin", c.admin), c.client("client.admin", c.admin)
	x.pool("p", 1)
	x.pool("q", 1)
	y.until(func() bool { return y.maps.Pools[2] != nil })
	x.do("p", "o", writeFull("[first]"))
	y.do("q", "o", writeFull("x"))
	y.start("q", "o", read())
	release := sync.OnceFunc(func() { close(slow.release) })
	defer release()
	select {
	case <-slow.entered:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is read")
	}
	x.command("config set", "who", "mon", "name", "mon_allow_pool_delete", "value", "true")

	var replies []chan *msg.OSDOpReply
	start := func(epoch func(mine ceph.Epoch) ceph.Epoch, text string) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.stale = x.maps.Epoch - epoch(x.maps.Epoch)
		replies = append(replies, x.startLocked("p", "o", appendOp(text)))
		x.stale = 0
	}
	x.level()
	start(func(mine ceph.Epoch) ceph.Epoch { return mine + 1 }, "[waited]")
	x.status() // answered after that has come
	x.command("osd pool delete", "pool", "q", "pool2", "q", "yes_i_really_really_mean_it", true)
	x.until(func() bool { return x.maps.Pools[2] == nil })
	var has ceph.Epoch // there may be a newer one, which the OSD does not get to
	eventually(t, func() string {
		s := x.status()
		has = s.Newest
		return fmt.Sprint("PGs: ", s.PGs)
	}, "PGs: 1")
	start(func(ceph.Epoch) ceph.Epoch { return has }, "[last]")
	wait := func(i int) {
		t.Helper()
		select {
		case r := <-replies[i]:
			if r.Result != 0 {
				t.Error(ceph.Errno(r.Result))
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("request %d: no reply", i)
		}
	}
	wait(1)
	release()
	wait(0)
	if r := x.do("p", "o", read()); string(r.Ops[0].Data) != "[first][waited][last]" {
		t.Errorf("the object is %q", r.Ops[0].Data)
	}
}
