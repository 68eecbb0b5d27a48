package cephx

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// noAUID fills a field that has had no meaning for many releases.
const noAUID = math.MaxUint64

// version reads a leading byte that must be one of these.
func version(d *denc.Decoder, what string, low, high uint8) uint8 {
	v := d.U8()
	if d.Err() == nil && (v < low || v > high) {
		d.Failf("%s of version %d", what, v)
	}
	return v
}

// ticketInfo is what a ticket says about its holder. (AuthTicket and session key;
// CephXServiceTicketInfo.)
type ticketInfo struct {
	Name     ceph.EntityName
	GlobalID uint64
	Created  ceph.Time
	Expires  ceph.Time
	Caps     string
	AllowAll bool
	Flags    uint32
	Session  Key
}

func (t *ticketInfo) encode(e *denc.Encoder) {
	e.U8(1)
	e.U8(2)
	t.Name.Encode(e)
	e.U64(t.GlobalID)
	e.U64(noAUID)
	t.Created.Encode(e)
	t.Expires.Encode(e)
	e.U8(1)
	e.Bool(t.AllowAll)
	m := e.Open()
	if t.Caps != "" {
		e.Str(t.Caps)
	}
	e.End(m)
	e.U32(t.Flags)
	t.Session.Encode(e)
}

func (t *ticketInfo) decode(d *denc.Decoder) {
	version(d, "ticket", 1, 1)
	version(d, "auth ticket", 2, 2)
	t.Name = ceph.DecodeEntityName(d)
	t.GlobalID = d.U64()
	if auid := d.U64(); auid != noAUID && d.Err() == nil {
		d.Failf("auid %#x", auid)
	}
	t.Created, t.Expires = ceph.DecodeTime(d), ceph.DecodeTime(d)
	version(d, "caps", 1, 1)
	t.AllowAll = d.Bool()
	if p := d.Bytes(); len(p) > 0 {
		in := denc.NewDecoder(p)
		t.Caps = in.Str()
		if err := in.Finish(); err != nil {
			d.Failf("caps: %v", err)
		}
		for i := range len(t.Caps) {
			if c := t.Caps[i]; c < ' ' || c > '~' {
				d.Failf("caps have the byte %#x", c)
				break
			}
		}
	}
	t.Flags = d.U32()
	t.Session = DecodeKey(d)
}

// ticketBlob is a ticket as its holder has it: sealed with a secret of the
// service that the holder does not know.
type ticketBlob struct {
	SecretID uint64
	Sealed   []byte
}

func (b ticketBlob) encode(e *denc.Encoder) {
	e.U8(1)
	e.U64(b.SecretID)
	e.Blob(b.Sealed)
}

func decodeTicketBlob(d *denc.Decoder) ticketBlob {
	version(d, "ticket blob", 1, 1)
	return ticketBlob{d.U64(), bytes.Clone(d.Bytes())}
}

func (b ticketBlob) equal(o ticketBlob) bool {
	return b.SecretID == o.SecretID && bytes.Equal(b.Sealed, o.Sealed)
}

// grant is an entry of a ticket reply: a ticket, and its session key for the
// holder.
type grant struct {
	Service  ceph.EntityType
	Session  Key
	Validity time.Duration
	Ticket   ticketBlob
}

// putTickets appends a ticket reply for the holder of key. With old, the session
// key of an earlier ticket, the tickets are sealed under that in addition.
func putTickets(e *denc.Encoder, key Key, old *Key, grants []grant) {
	e.U8(1)
	e.U32(uint32(len(grants)))
	for _, g := range grants {
		e.U32(uint32(g.Service))
		e.U8(1)
		key.putSealed(e, func(e *denc.Encoder) {
			e.U8(1)
			g.Session.Encode(e)
			ceph.Time{Sec: uint32(g.Validity / time.Second), Nsec: uint32(g.Validity % time.Second)}.Encode(e)
		})
		e.Bool(old != nil)
		if old == nil {
			m := e.Open()
			g.Ticket.encode(e)
			e.End(m)
			continue
		}
		old.putSealed(e, func(e *denc.Encoder) {
			m := e.Open()
			g.Ticket.encode(e)
			e.End(m)
		})
	}
}

// takeTickets reads a ticket reply.
func takeTickets(d *denc.Decoder, key Key, old *Key) ([]grant, error) {
	version(d, "ticket reply", 1, 1)
	var out []grant
	for range d.Count(14) {
		g := grant{Service: ceph.EntityType(d.U32())}
		version(d, "ticket", 1, 1)
		err := key.takeSealed(d, func(d *denc.Decoder) {
			version(d, "session key", 1, 1)
			g.Session = DecodeKey(d)
			v := ceph.DecodeTime(d)
			g.Validity = time.Duration(v.Sec)*time.Second + time.Duration(v.Nsec)
		})
		if err != nil {
			return nil, fmt.Errorf("ticket for %v: %w", g.Service, err)
		}
		if !d.Bool() {
			in := denc.NewDecoder(d.Bytes())
			g.Ticket = decodeTicketBlob(in)
			err = in.Finish()
		} else if old == nil {
			err = fmt.Errorf("sealed with the session key of a ticket never held: %w", ErrKey)
		} else {
			err = old.takeSealed(d, func(d *denc.Decoder) {
				in := denc.NewDecoder(d.Bytes())
				g.Ticket = decodeTicketBlob(in)
				if err := in.Finish(); err != nil {
					d.Failf("ticket blob: %v", err)
				}
			})
		}
		if err != nil {
			return nil, fmt.Errorf("ticket for %v: %w", g.Service, err)
		}
		out = append(out, g)
	}
	return out, d.Err()
}
