package pg

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/ops"
)

// TestScrub plants one fault after the other and expects to be told of each, and of
// nothing else.
func TestScrub(t *testing.T) {
	for name, x := range map[string]struct {
		fault func(b *bench, txn *osd.Transaction, head, clone osd.ObjectID)
		copy  uint64
		snaps uint64
		text  string
		deep  bool
	}{
		"none": {func(*bench, *osd.Transaction, osd.ObjectID, osd.ObjectID) {}, 0, 0, "", false},
		"size": {func(b *bench, txn *osd.Transaction, head, _ osd.ObjectID) { txn.Truncate(b.env.Coll, head, 7) },
			ops.CopySizeDiffers, 0, "on disk size (7) does not match object info size (3) adjusted for ondisk to (3)", false},
		"no info": {func(b *bench, txn *osd.Transaction, head, _ osd.ObjectID) {
			txn.RmAttr(b.env.Coll, head, ops.StateAttr)
		},
			ops.CopyInfoMissing, ops.SnapsMissing, "no object info", false},
		"info": {func(b *bench, txn *osd.Transaction, head, _ osd.ObjectID) {
			txn.SetAttr(b.env.Coll, head, ops.StateAttr, []byte("nonsense"))
		}, ops.CopyInfoCorrupted, ops.SnapsMissing, "object info", false},
		"clone missing": {func(b *bench, txn *osd.Transaction, _, clone osd.ObjectID) { txn.Remove(b.env.Coll, clone) },
			0, ops.CloneMissing, "expected clone 2 is missing", false},
		"clone size": {func(b *bench, txn *osd.Transaction, _, clone osd.ObjectID) { txn.Truncate(b.env.Coll, clone, 1) },
			0, ops.CloneSize, "clone 2 has 1 bytes, snapset says 3", false},
		"clone extra": {func(b *bench, txn *osd.Transaction, _, clone osd.ObjectID) {
			extra := clone
			extra.Snap = 1
			txn.Clone(b.env.Coll, clone, extra)
		}, 0, ops.CloneExtra, "clone 1 is not in the snapset", false},
		"no head": {func(b *bench, txn *osd.Transaction, head, _ osd.ObjectID) { txn.Remove(b.env.Coll, head) },
			0, ops.CloneHeadless, "clone without a head", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := newSession(1)
			for i := range 5 {
				b.do(s, fmt.Sprint("o", i), writeOp(0, "one"))
				r := b.request(s, fmt.Sprint("o", i), writeOp(0, "two"))
				r.SnapSeq, r.Snaps = 2, []ceph.SnapID{2}
				b.wait(b.submit(r, s))
			}
			head := b.request(s, "o3").Head()
			clone := head
			clone.Snap = 2
			txn := &osd.Transaction{}
			x.fault(b, txn, ops.Key(head), ops.Key(clone))
			if err := osd.Apply(context.Background(), b.store, txn); err != nil {
				t.Fatal(err)
			}
			res, err := b.Scrub(context.Background(), ScrubOptions{Deep: true, OSD: 4, Now: ceph.Time{Sec: 77}})
			if err != nil {
				t.Fatal(err)
			}
			var bits, snaps uint64
			for _, d := range res.Damaged {
				if d.Object.Name != "o3" {
					t.Errorf("%v is said to be damaged: %q", d.Object, d.Text)
				}
				if d.Copy != 0 && (bits == 0 || d.Object.Snap == ceph.NoSnap) {
					bits = d.Copy
				}
				snaps |= d.Snaps
			}
			if name == "clone size" { // its own info differs as well
				bits = 0
			}
			if bits != x.copy || snaps != x.snaps || !strings.Contains(strings.Join(res.Text, "\n"), x.text) {
				t.Errorf("copy %#x, want %#x; snaps %#x, want %#x; %q", bits, x.copy, snaps, x.snaps, res.Text)
			}
			st := b.Status().Scrubs
			if wrong := x.copy|x.snaps != 0; wrong != (st.ShallowErrors+st.DeepErrors > 0) || wrong == (st.CleanAt.Sec == 77) || st.DeepAt.Sec != 77 {
				t.Errorf("%+v", st)
			}
			b.Close()
			b.open()
			if again := b.Status().Scrubs; again != st {
				t.Errorf("after a restart %+v, want %+v", again, st)
			}
		})
	}
}

// TestScrubSums: statistics that do not match are found, and repaired.
func TestScrubSums(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	b.do(s, "o", writeOp(0, "one"))
	b.mu.Lock()
	b.mu.stats.Bytes += 5
	b.mu.Unlock()
	for _, want := range []struct {
		repair       bool
		errors, done int
	}{{false, 1, 0}, {true, 1, 1}, {false, 0, 0}} {
		res, err := b.Scrub(context.Background(), ScrubOptions{Repair: want.repair})
		if err != nil || res.Shallow != want.errors || res.Fixed != want.done {
			t.Errorf("%+v: %v %+v", want, err, res)
		}
		if want.errors > 0 && !strings.Contains(res.Text[0], "stat mismatch, got 1/1 objects, 0/0 clones, 0/0 omap, 0/0 whiteouts, 3/8 bytes.") {
			t.Error(res.Text)
		}
	}
}

// TestScrubBusy: a scrub goes on between the requests of clients, and holds up none.
func TestScrubBusy(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	for i := range 50 {
		b.do(s, fmt.Sprint("o", i), writeOp(0, "one"))
	}
	paced := 0
	res, err := b.Scrub(context.Background(), ScrubOptions{Deep: true, Pace: func(context.Context, int) error {
		if paced++; paced%10 == 0 { // other objects than the one being checked
			b.do(s, fmt.Sprint("new", paced), writeOp(0, "two"))
		}
		return nil
	}})
	if err != nil || len(res.Text) != 0 || res.Objects < 50 {
		t.Errorf("%v %+v", err, res)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := b.Scrub(ctx, ScrubOptions{Pace: func(ctx context.Context, _ int) error { cancel(); return ctx.Err() }}); err == nil {
		t.Error("a scrub that was stopped says that it is over")
	}
}

// TestScrubList: what a scrub has found is listed as clients read it, page by page.
func TestScrubList(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	list := func(after string, most uint64) (names []string, result ceph.Errno) {
		t.Helper()
		r := b.request(s, "", msg.Op{Code: msg.OpScrubList, Data: scrubArg(after, most)})
		reply := b.wait(b.submit(r, s))
		return scrubNames(t, reply.Ops[0].Data), ceph.Errno(reply.Result)
	}
	if _, e := list("", 10); e != ceph.ENOENT {
		t.Errorf("before any scrub: %v", e)
	}
	txn := &osd.Transaction{}
	for i := range 5 {
		name := strings.Repeat("o", i+1)
		b.do(s, name, writeOp(0, "one"))
		txn.Truncate(b.env.Coll, ops.Key(b.request(s, name).Head()), 1)
	}
	if err := osd.Apply(context.Background(), b.store, txn); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Scrub(context.Background(), ScrubOptions{}); err != nil {
		t.Fatal(err)
	}
	all, e := list("", 10)
	if e != 0 || len(all) != 5 {
		t.Fatalf("%q, %v", all, e)
	}
	var paged []string
	for after := ""; ; {
		page, _ := list(after, 2)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		after = page[len(page)-1]
	}
	if !slices.Equal(paged, all) {
		t.Errorf("paged %q, want %q", paged, all)
	}
}

func scrubArg(after string, most uint64) []byte {
	var e denc.Encoder
	m := e.Begin(1, 1)
	e.U32(0) // interval
	e.U32(0) // not of snapsets
	e.Str(after)
	e.Str("") // namespace
	if after == "" {
		e.U64(0)
	} else {
		e.U64(uint64(ceph.NoSnap))
	}
	e.U64(most)
	e.End(m)
	return e.Bytes()
}

func scrubNames(t *testing.T, p []byte) (names []string) {
	if len(p) == 0 {
		return nil
	}
	d := denc.NewDecoder(p)
	s := d.Begin(1)
	d.U32()
	for range d.Count(10) {
		v := denc.NewDecoder(d.Bytes())
		v.Begin(2)
		v.U64()
		n := v.Begin(1)
		names = append(names, v.Str())
		v.End(n)
		if v.Err() != nil {
			t.Error(v.Err())
		}
	}
	d.End(s)
	if err := d.Finish(); err != nil {
		t.Error(err)
	}
	return names
}
