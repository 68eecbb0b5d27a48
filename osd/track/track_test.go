package track_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd/track"
)

// clock is a time that stands until it is moved.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newTracker(keep int) (*track.Tracker, *clock) {
	c := &clock{time.Unix(1000, 0)}
	return track.New(track.Options{Now: c.now, Keep: keep, SlowKeep: 2}), c
}

func request(name string) *msg.OSDOp {
	o := msg.Op{Code: msg.OpWriteFull, Data: make([]byte, 5)}
	o.SetExtent(msg.Extent{Length: 5})
	return &msg.OSDOp{
		PG: ceph.ShardPG{PG: ceph.PG{Pool: 2}}, Hash: 0x9ee28181, Name: name, Locator: ceph.Locator{Pool: 2}, Snap: ceph.NoSnap,
		Flags: msg.FlagOnDisk | msg.FlagWrite | msg.FlagKnownRedir, Epoch: 13, Ops: []msg.Op{o},
	}
}

func id(n uint64) ceph.ReqID {
	return ceph.ReqID{Name: ceph.EntityID{Type: ceph.TypeClient, Num: 4119}, Tid: n}
}

// TestDescription: a request reads as Ceph's OSD wrote the same one; the text is of
// `dump_historic_ops` of 16.2.15.
func TestDescription(t *testing.T) {
	tr, _ := newTracker(1)
	tr.Start(id(1), ceph.Addr{}, request("a"))
	got := tr.InFlight(0)[0].String()
	// The hash is that of "a" in pool 2, its bits in the order of listings.
	want := "osd_op(client.4119.0:1 2.0 2:81814779:::a:head [writefull 0~5] snapc 0=[] ondisk+write+known_if_redirected e13)"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestWaits: a request in flight says what it waits for; one that is over is shown
// with all it went through.
func TestWaits(t *testing.T) {
	tr, c := newTracker(20)
	o := tr.Start(id(1), ceph.Addr{}, request("a"))
	for _, s := range []track.Stage{track.Queued, track.WaitingObject, track.Started, track.Committing} {
		c.t = c.t.Add(time.Second)
		o.Mark(s)
		p, err := json.Marshal(tr.DumpInFlight())
		if err != nil || !strings.Contains(string(p), `"flag_point":"`+s.String()+`"`) || !strings.Contains(string(p), `"num_ops":1`) {
			t.Errorf("%v: %v %s", s, err, p)
		}
	}
	c.t = c.t.Add(28 * time.Second)
	if s := tr.Slow(); s.Count != 1 || s.Oldest != 32*time.Second || s.Waits[track.Committing] != 1 || s.Pools[2] != 1 {
		t.Errorf("slow: %+v", s)
	}
	times, ok := o.Done()
	if want := (track.Times{Total: 32 * time.Second, Process: 29 * time.Second, Prepare: time.Second}); !ok || times != want {
		t.Errorf("times %+v, want %+v", times, want)
	}
	if _, again := o.Done(); again || tr.Count() != 0 {
		t.Error("over twice, or still in flight")
	}
	h := tr.History()
	if len(h) != 1 || len(h[0].Marks) != 6 || h[0].Marks[5].Stage != track.Done {
		t.Errorf("history %+v", h)
	}
	if s := tr.SlowHistory(); len(s) != 1 || s[0].Duration != 32*time.Second {
		t.Errorf("slow history %+v", s)
	}
}

// TestHistory keeps the slowest of the last ten minutes, and of slow ones the newest.
func TestHistory(t *testing.T) {
	tr, c := newTracker(3)
	run := func(name string, d time.Duration) {
		o := tr.Start(id(1), ceph.Addr{}, request(name))
		c.t = c.t.Add(d)
		o.Done()
	}
	for i, d := range []int{5, 1, 30, 2, 20, 11} {
		run(fmt.Sprint(i), time.Duration(d)*time.Second)
	}
	names := func(l []track.Record) (out []string) {
		for _, r := range l {
			out = append(out, r.Object.Name)
		}
		return out
	}
	if got := names(tr.History()); !slices.Equal(got, []string{"2", "4", "5"}) {
		t.Errorf("slowest %v", got)
	}
	if got := names(tr.SlowHistory()); !slices.Equal(got, []string{"4", "5"}) {
		t.Errorf("slow %v", got)
	}
	c.t = c.t.Add(11 * time.Minute)
	if got := tr.History(); len(got) != 0 {
		t.Errorf("after ten minutes %v", names(got))
	}
	run("new", time.Millisecond)
	if got := names(tr.History()); !slices.Equal(got, []string{"new"}) {
		t.Errorf("room of old ones %v", got)
	}
}

// TestDrop: a dropped request leaves nothing.
func TestDrop(t *testing.T) {
	tr, _ := newTracker(3)
	a, b := tr.Start(id(1), ceph.Addr{}, request("a")), tr.Start(id(2), ceph.Addr{}, request("b"))
	a.Drop()
	a.Drop()
	if _, ok := a.Done(); ok || tr.Count() != 1 || len(tr.History()) != 0 {
		t.Error("dropped and yet there")
	}
	b.Done()
	if l := tr.InFlight(0); len(l) != 0 {
		t.Errorf("in flight: %v", l)
	}
	var none *track.Op
	none.Mark(track.Started)
	none.Drop()
}
