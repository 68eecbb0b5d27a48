package lock

import (
	"cmp"
	"errors"
	"maps"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// Type is how a lock is held.
type Type uint8

// Types of locks, as they travel.
const (
	None      Type = 0
	Exclusive Type = 1
	Shared    Type = 2
	Ephemeral Type = 3 // exclusive; unlocking removes the object
)

func (t Type) valid() bool     { return t >= Exclusive && t <= Ephemeral }
func (t Type) exclusive() bool { return t == Exclusive || t == Ephemeral }

// Locker is who holds a lock. (locker_id_t)
type Locker struct {
	Client ceph.EntityID
	Cookie string
}

func (l Locker) compare(o Locker) int {
	return cmp.Or(l.Client.Compare(o.Client), strings.Compare(l.Cookie, o.Cookie))
}

// Holding is what is known of a locker. (locker_info_t)
type Holding struct {
	Until       ceph.Time // zero: for ever
	Addr        ceph.Addr
	Description string
}

// Info is a lock: the value of its attr and the answer of get_info. (lock_info_t,
// cls_lock_get_info_reply)
type Info struct {
	Lockers map[Locker]Holding
	Type    Type
	Tag     string
}

// Encode appends struct v1.
func (l *Info) Encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	denc.PutMapFunc(e, l.Lockers, Locker.compare, func(e *denc.Encoder, k Locker) {
		m := e.Begin(1, 1)
		k.Client.Encode(e)
		e.Str(k.Cookie)
		e.End(m)
	}, func(e *denc.Encoder, h Holding) {
		m := e.Begin(1, 1)
		h.Until.Encode(e)
		h.Addr.Encode(e)
		e.Str(h.Description)
		e.End(m)
	})
	e.U8(uint8(l.Type))
	e.Str(l.Tag)
	e.End(m)
}

// DecodeInfo reads an Info.
func DecodeInfo(d *denc.Decoder) (l Info) {
	s := d.Begin(1)
	l.Lockers = denc.Map(d, 40, func(d *denc.Decoder) Locker {
		s := d.Begin(1)
		k := Locker{ceph.DecodeEntityID(d), d.Str()}
		d.End(s)
		return k
	}, func(d *denc.Decoder) Holding {
		s := d.Begin(1)
		h := Holding{ceph.DecodeTime(d), ceph.DecodeAddr(d), d.Str()}
		d.End(s)
		return h
	})
	l.Type = Type(d.U8())
	l.Tag = d.Str()
	d.End(s)
	return l
}

// attrPrefix stands in front of the names of locks.
const attrPrefix = "lock."

// load reads a lock without its lapsed lockers; an unknown one is free.
func load(c cls.Context, name string) (*Info, error) {
	p, err := c.Attr(attrPrefix + name)
	switch {
	case errors.Is(err, ceph.ENODATA), errors.Is(err, ceph.ENOENT):
		return &Info{}, nil
	case err != nil:
		return nil, err
	}
	d := denc.NewDecoder(p)
	l := DecodeInfo(d)
	if d.Err() != nil {
		return nil, ceph.EIO
	}
	now := c.Now()
	maps.DeleteFunc(l.Lockers, func(_ Locker, h Holding) bool {
		return !h.Until.IsZero() && h.Until.Std().Before(now.Std())
	})
	return &l, nil
}

func (l *Info) store(c cls.Context, name string) error {
	var e denc.Encoder
	l.Encode(&e)
	return c.SetAttr(attrPrefix+name, e.Bytes())
}
