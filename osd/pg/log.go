package pg

import (
	"context"
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

const (
	// remembered is how many requests of clients are known in any case, unless
	// Config.Known says fewer: a client repeats a request at most some seconds later, at
	// ten thousand a second for a whole OSD. Ceph's number, too.
	remembered = 3000
	// logLength is of how many of them the log has the entry, unless Config.LogLength
	// says fewer; of the older ones there are dups.
	logLength = remembered
	// logSlack is how many more there may be before they are trimmed, so that
	// trimming is one range in many requests.
	logSlack = 256

	infoKey = "_info"
)

// Info is what a PG knows of itself, beside its log.
type Info struct {
	Created ceph.Epoch
	Purged  []msg.Interval // deleted snapshots of which nothing is left; ascending
	Scrubs  Scrubs
}

// log is the newest entries, oldest first, who asked for them, and what is left of
// older ones.
type log struct {
	entries []*logged
	byID    map[ceph.ReqID]*logged
	dups    dups
}

// logged is an entry and whether it can be replied to.
type logged struct {
	Entry
	durable bool
	waiters []func() // called when it is; guarded by PG.mu
}

func (l *log) find(id ceph.ReqID) *logged {
	if n := l.byID[id]; n != nil {
		return n
	}
	if n := l.dups.find(id); n != nil {
		return &logged{Entry: *n, durable: true}
	}
	return nil
}

func (l *log) add(n *logged) {
	l.entries = append(l.entries, n)
	if n.ReqID.Tid != 0 {
		l.byID[n.ReqID] = n
	}
}

// drop takes back the newest entry.
func (l *log) drop(n *logged) {
	if k := len(l.entries) - 1; k >= 0 && l.entries[k] == n {
		l.entries = l.entries[:k]
	}
	if l.byID[n.ReqID] == n {
		delete(l.byID, n.ReqID)
	}
}

func (p *PG) logLength() int {
	if p.cfg.LogLength == nil {
		return logLength
	}
	return min(p.cfg.LogLength(), logLength)
}

func (p *PG) known() int {
	if p.cfg.Known == nil {
		return remembered
	}
	return min(p.cfg.Known(), remembered)
}

// metaObject is where a PG keeps its log: an object without a name, which sorts
// before every other of the PG.
func metaObject(pg ceph.PG) osd.ObjectID {
	return osd.ObjectID{Shard: -1, Pool: int64(pg.Pool), Hash: pg.Seed, Snap: uint64(ceph.NoSnap), Generation: 1<<64 - 1}
}

// Create appends to t what makes a PG of pgNum: its collection and meta object.
func Create(t *osd.Transaction, pg ceph.PG, pgNum uint32, info Info) {
	c := Collection(pg)
	t.MkColl(c, osd.CollectionSpec{Shard: -1, Pool: int64(pg.Pool), Bits: uint8(pg.Bits(pgNum)), Seed: pg.Seed})
	t.OmapSet(c, metaObject(pg), map[string][]byte{infoKey: info.encode()})
}

// Collection returns the id of a PG's collection.
func Collection(pg ceph.PG) osd.CollectionID { return CollectionIn(pg, Whole) }

func (i Info) encode() []byte {
	var e denc.Encoder
	m := e.Begin(3, 1)
	e.U32(uint32(i.Created))
	denc.PutSlice(&e, i.Purged, func(e *denc.Encoder, x msg.Interval) { e.U64(x.Start); e.U64(x.Length) })
	i.Scrubs.encode(&e)
	e.End(m)
	return e.Bytes()
}

func decodeInfo(p []byte) (i Info, err error) {
	d := denc.NewDecoder(p)
	s := d.Begin(3)
	i.Created = ceph.Epoch(d.U32())
	if s.Version >= 2 {
		i.Purged = denc.Slice(d, 16, func(d *denc.Decoder) msg.Interval { return msg.Interval{Start: d.U64(), Length: d.U64()} })
	}
	if s.Version >= 3 {
		i.Scrubs = decodeScrubs(d)
	}
	d.End(s)
	return i, d.Finish()
}

// load reads the meta object of the PG in collection c.
func load(ctx context.Context, s osd.ObjectStore, c osd.CollectionID, pg ceph.PG) (Info, log, error) {
	l := log{byID: map[ceph.ReqID]*logged{}, dups: newDups()}
	meta := metaObject(pg)
	kv, err := s.OmapGet(ctx, c, meta, []string{infoKey})
	if err != nil {
		return Info{}, l, fmt.Errorf("pg %v: %w", pg, err)
	}
	info, err := decodeInfo(kv[infoKey])
	if err != nil {
		return info, l, fmt.Errorf("pg %v: info: %w", pg, err)
	}
	var bad error
	err = s.OmapIter(ctx, c, meta, firstLogKey, lastLogKey, func(k string, p []byte) bool {
		n, err := DecodeEntry(append([]byte(nil), p...))
		if err == nil && n.key() != k {
			err = fmt.Errorf("entry says %s: %w", n.key(), denc.ErrMalformed)
		}
		if err != nil {
			bad = fmt.Errorf("pg %v: log entry %s: %w", pg, k, err)
			return false
		}
		l.add(&logged{Entry: *n, durable: true})
		return true
	})
	if err == nil {
		err = bad
	}
	if err == nil {
		err = l.dups.load(ctx, s, c, pg)
	}
	return info, l, err
}
