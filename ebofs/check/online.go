package check

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// Online says that the store is in use and Options.Super a checkpoint that is
// pinned, so that nothing it reaches is written over meanwhile. Labels, superblock
// slots and log are those of the moment.
type Online struct {
	// Valid returns nil while the pin holds. What is found once it does not is not
	// believed, and the check ends with its error.
	Valid func() error
	// From leaves out what an earlier check has done. Trees are walked whole all the
	// same: what they own at this epoch is what space is compared with.
	From Position
	// Again says that the check goes on after its pin ended: labels, slots and log,
	// which take no pin, were looked at.
	Again bool
}

// Position says what of a check is done, for another one to go on there, maybe at
// a later epoch. Its zero value is the start.
//
//	Level quick and full  begin anew, but for zones that were compared
//	Level deep            does not read the data again that was verified
type Position struct {
	Store string `json:"store,omitempty"`
	Level string `json:"level,omitempty"`
	Data  []byte `json:"data,omitempty"`  // key of the object up to which data was verified
	All   bool   `json:"all,omitempty"`   // that of all objects was
	Zones uint32 `json:"zones,omitempty"` // zones [0, Zones) were compared
}

// Further reports whether p is behind q: something got done.
func (p *Position) Further(q Position) bool {
	return p.All && !q.All || p.All == q.All && bytes.Compare(p.Data, q.Data) > 0 || p.Zones > q.Zones
}

// Part is what a check did at one epoch.
type Part struct {
	Epoch     uint64 `json:"epoch"`
	Data      bool   `json:"data"`           // data was verified:
	From      string `json:"from,omitempty"` // of objects behind this one
	To        string `json:"to,omitempty"`   // up to this one, or to the end
	FirstZone uint32 `json:"first_zone"`     // zones [FirstZone, EndZone) were compared
	EndZone   uint32 `json:"end_zone"`
}

// position follows a check from one Position to the next. Batches of objects end in
// any order: what counts is the last one that has none unfinished before it.
type position struct {
	mu    sync.Mutex
	on    bool
	deep  bool
	from  Position
	to    Position
	next  int            // first batch that is not looked at
	ended map[int][]byte // later ones that are: their last keys
}

// goOnline turns c to the pinned checkpoint.
func (c *checker) goOnline(stop func(error)) {
	o := c.o.Online
	c.rep.Mode = "online"
	c.out.valid, c.out.stop = o.Valid, stop
	c.at.on, c.at.deep, c.at.ended = true, c.o.Level == Deep, make(map[int][]byte)
	id, level := c.o.Super.FSID.String(), c.o.Level.String()
	if o.From.Store == id && o.From.Level == level {
		c.at.from = o.From
	}
	c.at.to = c.at.from
	c.at.to.Store, c.at.to.Level = id, level
}

// begin returns the first zone to compare, of so many.
func (p *position) begin(zones uint32) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.from.Zones >= zones { // all were: what was left is what needs them all
		p.from.Zones, p.to.Zones = 0, 0
	}
	return p.from.Zones
}

// known reports whether the data of the object with that key was verified before.
func (p *position) known(key []byte) bool {
	return p.from.All || p.from.Data != nil && bytes.Compare(key, p.from.Data) <= 0
}

// looked notes that batch n, which ends with key, is done.
func (p *position) looked(n int, key []byte) {
	if !p.on || !p.deep || p.from.All {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended[n] = bytes.Clone(key)
	for ; p.ended[p.next] != nil; p.next++ {
		if k := p.ended[p.next]; bytes.Compare(k, p.to.Data) > 0 {
			p.to.Data = k
		}
		delete(p.ended, p.next)
	}
}

// verified notes that all objects are done.
func (p *position) verified() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on && p.deep {
		p.to.Data, p.to.All = nil, true
	}
}

// compared notes that zones up to end are done.
func (p *position) compared(end uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on {
		p.to.Zones = end
	}
}

// now returns where the check is.
func (p *position) now() *Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.to
	return &to
}

// soFar is the report of a check that runs and has come to at.
func (c *checker) soFar(at Position) *Report {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	from := &c.rep
	r := &Report{
		Store: from.Store, Label: from.Label, Level: from.Level, Mode: from.Mode, Epoch: from.Epoch, Complete: from.Complete,
		Problems: slices.Clip(from.Problems), Omitted: from.Omitted, Phases: slices.Clone(from.Phases),
		Position: &at, Parts: c.at.parts(from.Epoch, at),
	}
	r.Counts.Errors, r.Counts.Warnings = from.Counts.Errors, from.Counts.Warnings
	if ph := c.out.phase; ph != nil { // its note is not guarded
		r.Phases = append(r.Phases, Phase{Name: ph.Name, Problems: ph.Problems})
	}
	return r
}

// parts says what this check did at its epoch until it came to at.
func (p *position) parts(epoch uint64, at Position) []Part {
	text := func(key []byte) string {
		k, err := layout.DecodeObjectKey(key)
		if err != nil {
			return ""
		}
		return k.String()
	}
	part := Part{Epoch: epoch, FirstZone: p.from.Zones, EndZone: at.Zones}
	if p.deep && !p.from.All && (at.All || !bytes.Equal(p.from.Data, at.Data)) {
		part.Data, part.From, part.To = true, text(p.from.Data), text(at.Data)
	}
	if epoch == 0 || !part.Data && part.FirstZone == part.EndZone {
		return nil
	}
	return []Part{part}
}

// checkLiveLog scans the log of a store in use as far as that can be done: batches
// are written, and their space used again, while it reads. Either may look like
// damage once, so damage counts if a second scan finds the same batch bad and it
// is still needed then. If that one gets further, all that was there at first is
// sound.
func (c *checker) checkLiveLog(ctx context.Context, ph *Phase) error {
	var before *wal.Damage
	for range 5 {
		ring, err := c.liveRing(ctx)
		if err != nil {
			return err
		}
		cfg := wal.Config{Start: ring.Start.Block(), Blocks: ring.Blocks, FSID: c.sb.FSID, Incarnation: ring.Incarnation}
		records := uint64(0)
		res, err := wal.Scan(ctx, c.log.dev, cfg, wal.Pos{Block: ring.TailBlock, Seq: ring.TailSeq}, func(wal.Record) error {
			records++
			return nil
		})
		c.log.bytes.Add(res.Bytes)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.incomplete()
			c.out.add(Problem{Code: LogDamage, Where: "log", Device: ring.Start.Device(), Address: ring.Start.Block(), Expected: "a readable log", Found: err.Error()})
			return nil
		}
		now, err := c.liveRing(ctx)
		if err != nil {
			return err
		}
		switch d := res.Damage; {
		case d == nil && now.TailSeq <= res.End.Seq, d != nil && before != nil && d.Seq > before.Seq:
			c.rep.Counts.LogRecords = records
			ph.Note = fmt.Sprintf("in use, %d records", records)
			return nil
		case d == nil || d.Seq < now.TailSeq: // not needed any more, and its space used again
			before = nil
		case before != nil && before.Seq == d.Seq:
			c.out.add(Problem{Code: LogDamage, Where: "log", Device: ring.Start.Device(), Address: uint64(d.Block), Expected: d.Want, Found: fmt.Sprintf("%s %d: %s", d.Kind, d.Seq, d.Got)})
			return nil
		default:
			before = d
		}
	}
	ph.Note = "in use, not checked: it moves on too fast"
	return nil
}

// liveRing returns where the log is now.
func (c *checker) liveRing(ctx context.Context) (layout.Ring, error) {
	f, err := find(ctx, c.main)
	if err == nil && len(f.sb.Rings) == 0 {
		err = fmt.Errorf("store without a log: %w", layout.ErrMalformed)
	}
	if err != nil {
		return layout.Ring{}, err
	}
	return f.sb.Rings[0], nil
}
