package history

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"ebofs/osd"
	"ebofs/osd/memstore"
)

const (
	collA = osd.CollectionID("a")
	collB = osd.CollectionID("b")
)

func objA(name string) osd.ObjectID { return osd.ObjectID{Shard: -1, Pool: 1, Name: name} }
func objB(name string) osd.ObjectID { return osd.ObjectID{Shard: -1, Pool: 2, Name: name} }

// story is what the tests submit: one step a transaction, the last but one in two
// collections.
func story() []*osd.Transaction {
	ts := make([]*osd.Transaction, 5)
	for i := range ts {
		ts[i] = new(osd.Transaction)
	}
	ts[0].MkColl(collA, osd.CollectionSpec{Shard: -1, Pool: 1})
	ts[0].MkColl(collB, osd.CollectionSpec{Shard: -1, Pool: 2})
	ts[1].Write(collA, objA("x"), 5000, bytes.Repeat([]byte{1}, 9000))
	ts[2].OmapSet(collA, objA("x"), map[string][]byte{"k": []byte("v")})
	ts[3].Remove(collA, objA("x"))
	ts[3].Write(collB, objB("y"), 0, []byte("moved"))
	ts[4].SetAttr(collA, objA("z"), "n", []byte("v"))
	return ts
}

// storeOf returns a store that was given some steps of the story.
func storeOf(t *testing.T, ts ...*osd.Transaction) *memstore.Store {
	t.Helper()
	s := memstore.New(memstore.Options{})
	for _, txn := range ts {
		if err := osd.Apply(context.Background(), s, txn); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func part(t *osd.Transaction, from, to int) *osd.Transaction {
	p := new(osd.Transaction)
	for _, op := range t.Ops()[from:to] {
		p.Add(op)
	}
	return p
}

// TestCheck gives histories with known faults to Check.
func TestCheck(t *testing.T) {
	ctx := context.Background()
	ts := story()
	h := New()
	for _, txn := range ts {
		if err := h.Submit(ctx, txn); err != nil {
			t.Fatal(err)
		}
	}
	other := new(osd.Transaction)
	other.Write(collA, objA("x"), 5000, append(bytes.Repeat([]byte{1}, 8999), 2))
	for name, c := range map[string]struct {
		holds []*osd.Transaction // what the store holds
		acked int                // transactions 1 to acked were acknowledged
		want  string             // part of the error; empty: none
	}{
		"nothing":         {nil, 0, ""},
		"everything":      {ts, 5, ""},
		"prefix":          {ts[:3], 3, ""},
		"not acked there": {ts[:3], 2, ""},
		"acked lost":      {ts[:3], 4, "is as after transaction 3, but 4 of 5 was acknowledged"},
		"half a transaction": {[]*osd.Transaction{ts[0], ts[1], ts[2], part(ts[3], 0, 1)}, 3,
			"in one of its collections and not in another"},
		"other half": {[]*osd.Transaction{ts[0], ts[1], ts[2], part(ts[3], 1, 2)}, 3,
			"in one of its collections and not in another"},
		"not a prefix": {[]*osd.Transaction{ts[0], ts[2]}, 1, "is like no state"},
		"wrong byte":   {[]*osd.Transaction{ts[0], other}, 2, "other data"},
		"wrong attr":   {[]*osd.Transaction{ts[0], ts[1], part(ts[4], 0, 1)}, 1, "should not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			pic, err := Draw(ctx, storeOf(t, c.holds...), Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = h.Check(pic, h.Submitted(), func(i int) bool { return i <= c.acked })
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("found fault: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestPictureIgnoresHoles: written zeros, holes and what Fiemap leaves out are
// the same to a reader; a moved page is not.
func TestPictureIgnoresHoles(t *testing.T) {
	ctx := context.Background()
	draw := func(data ...[]byte) Object {
		txn := new(osd.Transaction)
		txn.MkColl(collA, osd.CollectionSpec{Shard: -1, Pool: 1})
		off := uint64(0)
		for _, p := range data {
			txn.Write(collA, objA("x"), off, p)
			off += uint64(max(len(p), 4096))
		}
		txn.Truncate(collA, objA("x"), 64<<20) // beyond sparseBytes
		pic, err := Draw(ctx, storeOf(t, txn), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return pic[collA].Objects[objA("x")]
	}
	page := bytes.Repeat([]byte{7}, 4096)
	if a, b := draw(nil, page), draw(make([]byte, 4096), page); a != b {
		t.Errorf("hole %+v, zeros %+v", a, b)
	}
	if a, b := draw(nil, page), draw(page, nil); a == b {
		t.Errorf("a page in another place looks the same")
	}
	if a, b := draw(page, page), draw(nil, nil); a == b {
		t.Errorf("two equal pages cancel out")
	}
}

// TestSubmitRefused: what the reference refuses leaves no step.
func TestSubmitRefused(t *testing.T) {
	h := New()
	txn := new(osd.Transaction)
	txn.Touch(collA, objA("x"))
	if err := h.Submit(context.Background(), txn); err == nil {
		t.Fatal("a missing collection was accepted")
	}
	if h.Submitted() != 0 {
		t.Fatalf("submitted %d", h.Submitted())
	}
}
