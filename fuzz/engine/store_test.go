package engine

import (
	"context"
	"errors"
	"testing"

	"ebofs/devices"
	"ebofs/osd"
)

// TestErrorsSpeakOSD: the refusals of the engine are recognised as those of osd,
// which is what histories compare.
func TestErrorsSpeakOSD(t *testing.T) {
	ctx := context.Background()
	dev := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / devices.BlockSize})
	o := Options{LogBytes: 4 << 20}
	if err := Format(ctx, dev, o); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	const c = osd.CollectionID("c")
	id := osd.ObjectID{Shard: -1, Pool: 1, Name: "x"}
	for _, step := range []struct {
		build func(*osd.Transaction)
		want  error
	}{
		{func(x *osd.Transaction) { x.Touch(c, id) }, osd.ErrNotFound},
		{func(x *osd.Transaction) { x.MkColl(c, osd.CollectionSpec{Shard: -1, Pool: 1}) }, nil},
		{func(x *osd.Transaction) { x.MkColl(c, osd.CollectionSpec{Shard: -1, Pool: 2}) }, osd.ErrExists},
		{func(x *osd.Transaction) { x.Remove(c, id) }, osd.ErrNotFound},
		{func(x *osd.Transaction) { x.Touch(c, osd.ObjectID{Shard: -1, Pool: 7}) }, osd.ErrInvalid},
		{func(x *osd.Transaction) { x.Touch(c, id) }, nil},
		{func(x *osd.Transaction) { x.RmColl(c) }, osd.ErrNotEmpty},
	} {
		x := new(osd.Transaction)
		step.build(x)
		if err := osd.Apply(ctx, s, x); !errors.Is(err, step.want) {
			t.Errorf("%+v: %v, want %v", x.Ops()[0], err, step.want)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := osd.Apply(ctx, s, new(osd.Transaction)); !errors.Is(err, osd.ErrClosed) {
		t.Errorf("closed store: %v", err)
	}
}
