package pg

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/ops"
)

// Scrubs is when and with what result a PG was scrubbed, over restarts. Shallow
// ones look at what an OSD knows of its objects, deep ones read all of them.
type Scrubs struct {
	Last, LastDeep            ceph.EVersion
	At, DeepAt                ceph.Time
	CleanAt                   ceph.Time // the last without an error
	ShallowErrors, DeepErrors uint32
}

// ScrubOptions say how a PG is scrubbed.
type ScrubOptions struct {
	Deep, Repair bool
	OSD          int32
	// Pace is told before bytes are read, and waits if that is too fast; nil: never.
	Pace func(ctx context.Context, bytes int) error
	Now  ceph.Time // when it is over, more or less
}

// ScrubResult is what a scrub has found.
type ScrubResult struct {
	Damaged         []ops.Damage
	Text            []string // a line for everything that is wrong
	Fixed           int
	Objects         int
	Shallow, Deeply int // errors
}

// Scrub checks all objects of the PG: each with its clones in its own turn, between
// the requests of clients. Of one copy only the PG's statistics can be repaired.
func (p *PG) Scrub(ctx context.Context, o ScrubOptions) (*ScrubResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	began := p.Status()
	check := &ops.Check{Env: &p.env, Deep: o.Deep, Pace: o.Pace}
	res := &ScrubResult{}
	begin := ops.Key(p.env.Begin)
	begin.Generation = 0
	var last ceph.HObject
	for start := &begin; start != nil; {
		ids, next, err := p.cfg.Store.List(ctx, p.env.Coll, start, nil, trimStep)
		if err != nil {
			return nil, fmt.Errorf("pg %v: %w", p.cfg.PG, err)
		}
		for _, id := range ids {
			head := ops.HObject(id)
			if head.Snap = ceph.NoSnap; head == last || head.Name == "" || head.Pool < 0 {
				continue
			}
			last = head
			if err := p.checkOne(ctx, check, head); err != nil {
				return nil, err
			}
			res.Objects++
		}
		start = next
	}
	res.Damaged = check.Damaged
	for i := range res.Damaged {
		d := &res.Damaged[i]
		if d.Deep() {
			res.Deeply++
		} else {
			res.Shallow++
		}
		for _, t := range d.Text {
			res.Text = append(res.Text, fmt.Sprintf("%v : %s", d.Object, t))
		}
	}
	if text := p.sums(began, check, o.Repair); text != "" {
		res.Text = append(res.Text, text)
		if res.Shallow++; o.Repair {
			res.Fixed++
		}
	}
	return res, p.scrubbed(ctx, o, res)
}

// checkOne has one object checked in its turn, and waits for it.
func (p *PG) checkOne(ctx context.Context, c *ops.Check, head ceph.HObject) error {
	done := make(chan error, 1)
	w := &work{req: p.own(head), writes: true, waits: true, unread: true}
	w.run = func(context.Context, *ops.Env, *ops.State) *ops.Outcome {
		done <- c.Object(ctx, head)
		return nil
	}
	p.enqueue(w)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// It may still be running with c: nobody looks at that again.
		return ctx.Err()
	}
}

// sums compares what the heads say with the PG's statistics, if nothing has changed
// meanwhile, and returns what differs. With repair the statistics are made right.
func (p *PG) sums(began Status, c *ops.Check, repair bool) string {
	if c.Unknown || slices.ContainsFunc(c.Damaged, func(d ops.Damage) bool { return d.Snaps&ops.CloneHeadless != 0 }) {
		return ""
	}
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	s, got := &p.mu.stats, c.Sum
	if p.mu.last != began.Last || s.Objects == got.Objects && s.Clones == got.Clones && s.Bytes == got.Bytes && s.Whiteouts == got.Whiteouts && s.OmapObjects == got.OmapObjects {
		return ""
	}
	text := fmt.Sprintf("stat mismatch, got %d/%d objects, %d/%d clones, %d/%d omap, %d/%d whiteouts, %d/%d bytes.",
		got.Objects, s.Objects, got.Clones, s.Clones, got.OmapObjects, s.OmapObjects, got.Whiteouts, s.Whiteouts, got.Bytes, s.Bytes)
	if repair { // the next entry of the log has them
		s.Objects, s.Clones, s.Bytes, s.Whiteouts, s.OmapObjects = got.Objects, got.Clones, got.Bytes, got.Whiteouts, got.OmapObjects
	}
	return text
}

// scrubbed notes the result, in the store and for those who ask.
func (p *PG) scrubbed(ctx context.Context, o ScrubOptions, res *ScrubResult) error {
	p.mu.Lock()
	at := p.mu.last
	p.mu.scrub = &ops.ScrubLog{OSD: o.OSD, Interval: p.info.Created, Damaged: res.Damaged}
	p.mu.Unlock()
	err := p.changeInfo(ctx, func(i *Info) {
		s := &i.Scrubs
		s.Last, s.At = at, o.Now
		s.ShallowErrors = uint32(res.Shallow - min(res.Shallow, res.Fixed))
		if o.Deep {
			s.LastDeep, s.DeepAt, s.DeepErrors = at, o.Now, uint32(res.Deeply)
		}
		if s.ShallowErrors+s.DeepErrors == 0 {
			s.CleanAt = o.Now
		}
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// scrubLog returns what the last scrub has found since the PG was opened.
func (p *PG) scrubLog() *ops.ScrubLog {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.scrub
}

func (s *Scrubs) encode(e *denc.Encoder) {
	s.Last.Encode(e)
	s.LastDeep.Encode(e)
	s.At.Encode(e)
	s.DeepAt.Encode(e)
	s.CleanAt.Encode(e)
	e.U32(s.ShallowErrors)
	e.U32(s.DeepErrors)
}

func decodeScrubs(d *denc.Decoder) Scrubs {
	return Scrubs{ceph.DecodeEVersion(d), ceph.DecodeEVersion(d), ceph.DecodeTime(d), ceph.DecodeTime(d), ceph.DecodeTime(d), d.U32(), d.U32()}
}
