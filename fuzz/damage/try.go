package damage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"ebofs/devices"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// reach is how far the damage of an image reaches.
type reach int

// From nothing to everything; believed is beyond the scale.
const (
	nothing  reach = iota
	oneObj         // one object cannot be read as a whole
	someObjs       // several cannot, or a listing ends early
	tail           // the last transactions of the log are gone
	readOnly       // everything can be read, but the store is not mounted for writing
	partly         // likewise, and something is missing
	whole          // the store cannot be opened
	believed       // the damage is taken for the truth
)

var reaches = [...]string{"nothing", "one object", "some objects", "end of the log", "writing", "writing, and part of what is read", "the store", "believed"}

func (r reach) String() string { return reaches[r] }

// verdict is what became of an image.
type verdict struct {
	found bool // by fsck
	reach reach
}

// badDevice cannot read some of its blocks.
type badDevice struct {
	devices.Device
	at run
}

// Read fails where it touches the run.
func (d badDevice) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	n := uint64(devices.VecBytes(v) / devices.BlockSize)
	if uint64(b) < d.at.start+d.at.blocks && d.at.start < uint64(b)+n {
		return fmt.Errorf("read blocks %d~%d: %w", b, n, syscall.EIO)
	}
	return d.Device.Read(ctx, b, v)
}

// Close leaves the device open.
func (badDevice) Close() error { return nil }

// hangAfter is the time in which an image that takes milliseconds has surely been
// tried.
const hangAfter = 60 * time.Second

// trial is one goroutine's way of trying images.
type trial struct {
	z    *zoo
	pool *devices.Pool
	buf  []byte
}

// device returns the damaged zoo.
func (t *trial) device(ctx context.Context, m image) (devices.Device, error) {
	mem := t.z.mem.Snapshot()
	if m.eio {
		return badDevice{mem, m.at}, nil
	}
	f := t.pool.Get(len(m.data))
	defer f.Release()
	p := f.Bytes()[:copy(f.Bytes(), m.data)]
	return open{mem}, mem.Write(ctx, devices.Block(m.at.start), devices.Vec{p})
}

// damaged reports whether err is an answer that damage may get.
func damaged(err error) bool {
	return errors.Is(err, osd.ErrCorrupt) || errors.Is(err, syscall.EIO)
}

// try judges one image; thorough also writes to it.
func (t *trial) try(ctx context.Context, m image, thorough bool) (v verdict, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v\n%s", x, debug.Stack())
		}
	}()
	watch := time.AfterFunc(hangAfter, func() { panic(fmt.Sprintf("%s, %s %d hangs", m.class, m.way, m.number)) })
	defer watch.Stop()
	dev, err := t.device(ctx, m)
	if err != nil {
		return v, err
	}
	if v.found, err = t.fsck(ctx, dev, m); err != nil {
		return v, err
	}
	o := options
	o.ReadOnly = true
	s, err := engine.Open(ctx, dev, o)
	if err != nil {
		v.reach = whole
		if !v.found && !m.forged {
			return v, fmt.Errorf("fsck finds nothing, and the store cannot be opened: %w", err)
		}
		return v, nil
	}
	if v.reach, err = t.read(ctx, s, m); err != nil && m.forged {
		v.reach, err = someObjs, nil // an answer of another kind: an unknown version, say
	}
	if e := s.Close(ctx); e != nil && err == nil {
		err = fmt.Errorf("close after reading: %w", e)
	}
	switch {
	case err != nil:
		return v, err
	case v.reach > nothing && v.reach < believed && v.reach != tail && !v.found && !m.forged:
		return v, fmt.Errorf("fsck finds nothing, and it costs %v", v.reach)
	}
	if thorough {
		err = t.write(ctx, dev, m, &v)
	}
	return v, err
}

// fsck reports whether fsck finds something.
func (t *trial) fsck(ctx context.Context, dev devices.Device, m image) (bool, error) {
	r, err := engine.Report(ctx, dev, true)
	if err != nil {
		return true, nil
	}
	for i := range r.Problems {
		if q := &r.Problems[i]; q.Code == "" || q.Where == "" {
			return true, fmt.Errorf("fsck names neither what nor where: %+v", q)
		}
	}
	return len(r.Problems) > 0 || !r.Complete, nil
}

// read reads everything.
func (t *trial) read(ctx context.Context, s *engine.Store, m image) (reach, error) {
	if t.z.unclean {
		found, err := history.Draw(ctx, s, history.Options{Buffer: t.buf})
		if err != nil {
			if damaged(err) {
				return someObjs, nil
			}
			return 0, err
		}
		h := t.z.hist
		if h.Check(found, h.Submitted(), func(i int) bool { return i == h.Submitted() }) == nil {
			return nothing, nil
		}
		if err = h.Check(found, h.Submitted(), nil); err != nil && m.forged {
			return believed, nil
		}
		return tail, err
	}
	return t.compare(ctx, s, m, func(osd.ObjectID, history.Object) bool { return false })
}

// compare wants every object as the zoo has it, or as also allows.
func (t *trial) compare(ctx context.Context, s *engine.Store, m image, also func(osd.ObjectID, history.Object) bool) (reach, error) {
	wrong := func(err error) (reach, error) {
		if m.forged {
			return believed, nil
		}
		return believed, err
	}
	want := t.z.hist.Last()
	colls, err := s.Collections(ctx)
	if err != nil {
		if damaged(err) {
			return someObjs, nil
		}
		return 0, err
	}
	if !slices.Equal(colls, slices.Sorted(maps.Keys(want))) {
		return wrong(fmt.Errorf("collections %q", colls))
	}
	failed := 0
	var listed []osd.ObjectID
	for start := (*osd.ObjectID)(nil); ; {
		page, next, err := s.List(ctx, coll, start, nil, 16)
		if err != nil {
			if !damaged(err) {
				return 0, fmt.Errorf("list: %w", err)
			}
			failed += 2
			listed = nil
			break
		}
		listed = append(listed, page...)
		if next == nil {
			break
		}
		start = next
	}
	ids := slices.SortedFunc(maps.Keys(want[coll].Objects), osd.ObjectID.Compare)
	if listed != nil && !slices.Equal(listed, ids) {
		return wrong(fmt.Errorf("%d objects are listed, want %d", len(listed), len(ids)))
	}
	for _, id := range ids {
		got, err := history.DrawObject(ctx, s, coll, id, history.Options{Buffer: t.buf})
		switch {
		case err != nil && damaged(err):
			failed++
		case err != nil:
			if m.forged && errors.Is(err, osd.ErrNotFound) {
				return believed, nil
			}
			return 0, fmt.Errorf("object %v: %w", id, err)
		case got != want[coll].Objects[id] && !also(id, got):
			return wrong(fmt.Errorf("object %v is %+v, want %+v", id, got, want[coll].Objects[id]))
		}
	}
	return min(reach(failed), someObjs), nil
}

// write mounts the image for writing, changes every object, and reads all of it
// again.
func (t *trial) write(ctx context.Context, dev devices.Device, m image, v *verdict) error {
	s, err := engine.Open(ctx, dev, t.z.options)
	if err != nil {
		if !v.found && !m.forged {
			return fmt.Errorf("fsck finds nothing, and the store cannot be mounted: %w", err)
		}
		if v.reach < believed {
			v.reach = map[bool]reach{true: readOnly, false: partly}[v.reach == nothing]
		}
		return nil
	}
	if t.z.unclean && v.reach == tail && m.class != "log, tail" && !m.forged {
		return errors.New("committed transactions are gone, and the store can be mounted as if nothing were")
	}
	taken := map[osd.ObjectID]bool{}
	sound := true
	for _, x := range touches() {
		err := osd.Apply(ctx, s, x)
		switch {
		case err == nil:
			taken[x.Ops()[0].Obj] = true
		case damaged(err), errors.Is(err, osd.ErrReadOnly):
			sound = sound && !errors.Is(err, osd.ErrReadOnly)
		case m.forged:
		default:
			return fmt.Errorf("writing on: %w", err)
		}
	}
	for _, end := range []func(context.Context) error{s.Checkpoint, s.Close} {
		if err := end(ctx); err != nil {
			if !damaged(err) && !errors.Is(err, osd.ErrReadOnly) && !m.forged {
				return fmt.Errorf("after writing on: %w", err)
			}
			sound = false
		}
	}
	if _, err := t.fsck(ctx, dev, m); err != nil {
		return err
	}
	o := options
	o.ReadOnly = true
	if s, err = engine.Open(ctx, dev, o); err != nil {
		if damaged(err) || m.forged {
			return nil
		}
		return fmt.Errorf("open after writing on: %w", err)
	}
	if v.reach < believed && !t.z.unclean {
		_, err = t.compare(ctx, s, m, func(id osd.ObjectID, got history.Object) bool {
			return got == t.z.next[coll].Objects[id] && (taken[id] || !sound)
		})
		if err == nil && sound {
			err = t.kept(ctx, s, taken)
		}
		if err != nil && !m.forged {
			err = fmt.Errorf("after writing on: %w", err)
		} else {
			err = nil
		}
	}
	return errors.Join(err, s.Close(ctx))
}

// kept wants what was taken: an object that still is as before lost a change that
// was acknowledged, without a word.
func (t *trial) kept(ctx context.Context, s *engine.Store, taken map[osd.ObjectID]bool) error {
	for id := range taken {
		got, err := history.DrawObject(ctx, s, coll, id, history.Options{Buffer: t.buf})
		if err == nil && got != t.z.next[coll].Objects[id] {
			return fmt.Errorf("object %v is as if it had not been changed", id)
		}
	}
	return nil
}
