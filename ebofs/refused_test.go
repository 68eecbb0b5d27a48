package ebofs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ebofs/ebofs/layout"
)

// TestRefused: what no store can do is refused with an error of its kind, and
// leaves no trace.
func TestRefused(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	a, bad, far := oid("a"), oid(strings.Repeat("x", 1<<16)), NewObjectID(9, "far")
	half := CollSpec{Shard: -1, Pool: 1, Bits: 1, Seed: 1}
	apply(t, s, func(x *Txn) {
		x.MkColl("p2", CollSpec{Shard: -1, Pool: 2})
		x.Touch(mainColl, a)
		x.MkColl("half", half) // awaits the split of mainColl
	})
	before, err := pictureOf(s)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		make func(x *Txn)
		want error
	}{
		"object name":              {func(x *Txn) { x.Touch(mainColl, bad) }, ErrInvalid},
		"object of another pool":   {func(x *Txn) { x.Touch(mainColl, far) }, ErrInvalid},
		"collection id":            {func(x *Txn) { x.Touch("", a) }, ErrInvalid},
		"no such collection":       {func(x *Txn) { x.Touch("none", a) }, ErrNotFound},
		"collection awaits split":  {func(x *Txn) { x.Touch("half", a) }, ErrInvalid},
		"rename to a bad name":     {func(x *Txn) { x.Rename(mainColl, a, bad) }, ErrInvalid},
		"rename to no collection":  {func(x *Txn) { x.MoveRename(mainColl, a, "", a) }, ErrInvalid},
		"rename to none there":     {func(x *Txn) { x.MoveRename(mainColl, a, "none", a) }, ErrNotFound},
		"rename out of the range":  {func(x *Txn) { x.MoveRename(mainColl, a, "p2", far) }, ErrInvalid},
		"clone to a bad name":      {func(x *Txn) { x.Clone(mainColl, a, bad) }, ErrInvalid},
		"clone out of the range":   {func(x *Txn) { x.Clone(mainColl, a, far) }, ErrInvalid},
		"write beyond all objects": {func(x *Txn) { x.Write(mainColl, a, MaxObjectBytes, []byte("x")) }, ErrTooLarge},
		"truncate beyond them":     {func(x *Txn) { x.Truncate(mainColl, a, MaxObjectBytes+1) }, ErrTooLarge},
		"attribute without a name": {func(x *Txn) { x.SetAttr(mainColl, a, "", nil) }, ErrInvalid},
		"long attribute name":      {func(x *Txn) { x.RmAttr(mainColl, a, strings.Repeat("n", MaxAttrName+1)) }, ErrInvalid},
		"long attribute":           {func(x *Txn) { x.SetAttr(mainColl, a, "n", make([]byte, MaxAttrBytes+1)) }, ErrTooLarge},
		"long omap header":         {func(x *Txn) { x.OmapSetHeader(mainColl, a, make([]byte, layout.MaxOmapHeader+1)) }, ErrTooLarge},
		"long omap key":            {func(x *Txn) { x.OmapRm(mainColl, a, []string{strings.Repeat("k", MaxOmapKey+1)}) }, ErrTooLarge},
		"collection of no range":   {func(x *Txn) { x.MkColl("c2", CollSpec{Bits: 2, Seed: 9}) }, ErrInvalid},
		"collection that is there": {func(x *Txn) { x.MkColl("p2", half) }, ErrExists},
		"collection that overlaps": {func(x *Txn) { x.MkColl("c2", mainSpec) }, ErrInvalid},
		"remove no collection":     {func(x *Txn) { x.RmColl("none") }, ErrNotFound},
		"remove one with objects":  {func(x *Txn) { x.RmColl(mainColl) }, ErrNotEmpty},
		"split into itself":        {func(x *Txn) { x.SplitColl(mainColl, 1, 1, mainColl) }, ErrInvalid},
		"split without a bit":      {func(x *Txn) { x.SplitColl(mainColl, 0, 0, "half") }, ErrInvalid},
		"split of a wrong seed":    {func(x *Txn) { x.SplitColl(mainColl, 1, 2, "half") }, ErrInvalid},
		"split of what stays":      {func(x *Txn) { x.SplitColl(mainColl, 1, 0, "half") }, ErrInvalid},
		"split into another pool":  {func(x *Txn) { x.SplitColl(mainColl, 1, 1, "p2") }, ErrExists},
		"merge into none":          {func(x *Txn) { x.MergeColl("p2", "none", 0) }, ErrNotFound},
		"merge into fewer hashes":  {func(x *Txn) { x.MergeColl("p2", mainColl, 1) }, ErrInvalid},
		"merge of two pools":       {func(x *Txn) { x.MergeColl("p2", mainColl, 0) }, ErrInvalid},
		"rename onto another":      {func(x *Txn) { x.RenameColl("p2", mainColl) }, ErrExists},
	} {
		x := NewTxn()
		x.Write(mainColl, a, 0, []byte("trace"))
		c.make(x)
		if err := s.Apply(bg, x); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if now, err := pictureOf(s); err != nil || now != before {
			t.Errorf("%s left a trace: %v\n%s", what, err, now)
		}
	}
	checkSpace(t, s)
	_, _, listed := s.List(bg, mainColl, nil, nil, 0)
	for what, err := range map[string]error{
		"list of none":        listed,
		"attribute name":      second(s.GetAttr(bg, mainColl, a, "")),
		"read of a bad name":  second(s.Read(bg, mainColl, bad, 0, nil)),
		"4097 kept epochs":    s.SetKeepEpochs(bg, 4097),
		"memory of one byte":  second(Open(bg, mem, Options{MemoryBytes: 1})),
		"negative interval":   second(Open(bg, mem, Options{CheckpointInterval: -time.Second})),
		"writing to an epoch": second(Open(bg, mem, Options{AtEpoch: 1})),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	closeStore(t, s)
	for what, err := range map[string]error{
		"write":  s.Err(),
		"exists": second(s.Exists(bg, mainColl, a)),
		"list":   s.ListSound(bg, mainColl, nil, nil),
		"keep":   s.SetKeepEpochs(bg, 1),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed store: %v", what, err)
		}
	}
	fsck(t, mem)
	s = open(t, mem, Options{ReadOnly: true})
	defer closeStore(t, s)
	if err := s.SetKeepEpochs(bg, 1); !errors.Is(err, ErrReadOnly) {
		t.Errorf("kept epochs of a read-only store: %v", err)
	}
}
