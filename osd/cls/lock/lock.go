package lock

import (
	"math"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

func init() {
	cls.Register("lock", cls.Class{
		"lock":          cls.Writing(decodeRequest, lock),
		"unlock":        cls.Writing(decodeUnlock, unlock),
		"break_lock":    cls.Writing(decodeBreak, remove),
		"get_info":      cls.Reading(decodeName, getInfo),
		"list_locks":    cls.Reading(cls.NoInput, listLocks),
		"assert_locked": cls.Reading(decodeClaim, assertLocked),
		"set_cookie":    cls.Writing(decodeSetCookie, setCookie),
	})
}

// Flags of a request for a lock.
const (
	mayRenew  = 1
	mustRenew = 2
)

// request is what lock takes. (cls_lock_lock_op)
type request struct {
	name        string
	kind        Type
	cookie, tag string
	description string
	duration    ceph.Time // zero: for ever
	flags       uint8
}

func decodeRequest(d *denc.Decoder) request {
	s := d.Begin(1)
	r := request{d.Str(), Type(d.U8()), d.Str(), d.Str(), d.Str(), ceph.DecodeTime(d), d.U8()}
	d.End(s)
	return r
}

// lock takes a lock, or renews it.
func lock(c cls.Context, r request) error {
	if r.name == "" || !r.kind.valid() || r.flags&(mayRenew|mustRenew) == mayRenew|mustRenew {
		return ceph.EINVAL
	}
	l, err := load(c, r.name)
	if err != nil {
		return err
	}
	if len(l.Lockers) > 0 && l.Tag != r.tag {
		return ceph.EBUSY
	}
	client, addr := c.Caller()
	me := Locker{client, r.cookie}
	_, mine := l.Lockers[me]
	switch {
	case mine && r.flags == 0:
		return ceph.EEXIST
	case !mine && r.flags&mustRenew != 0:
		return ceph.ENOENT
	}
	delete(l.Lockers, me)
	if len(l.Lockers) > 0 && (r.kind.exclusive() || l.Type != r.kind) {
		return ceph.EBUSY
	}
	h := Holding{Addr: addr, Description: r.description}
	h.Addr.Type = ceph.AddrLegacy // a client is one, whichever protocol it speaks
	if !r.duration.IsZero() {
		h.Until = after(c.Now(), r.duration)
	}
	if l.Lockers == nil {
		l.Lockers = map[Locker]Holding{}
	}
	l.Lockers[me], l.Type, l.Tag = h, r.kind, r.tag
	return l.store(c, r.name)
}

// after is t and a duration, both as they travel; at most the last second there
// is.
func after(t, d ceph.Time) ceph.Time {
	const second = 1_000_000_000
	nsec := uint64(t.Nsec) + uint64(d.Nsec)
	sec := uint64(t.Sec) + uint64(d.Sec) + nsec/second
	return ceph.Time{Sec: uint32(min(sec, math.MaxUint32)), Nsec: uint32(nsec % second)}
}

// held is a locker of a lock.
type held struct {
	name   string
	locker Locker
}

// decodeUnlock reads a cls_lock_unlock_op; the client is the caller.
func decodeUnlock(d *denc.Decoder) held {
	s := d.Begin(1)
	h := held{d.Str(), Locker{Cookie: d.Str()}}
	d.End(s)
	return h
}

// decodeBreak reads a cls_lock_break_op.
func decodeBreak(d *denc.Decoder) held {
	s := d.Begin(1)
	h := held{d.Str(), Locker{ceph.DecodeEntityID(d), d.Str()}}
	d.End(s)
	return h
}

func unlock(c cls.Context, h held) error {
	h.locker.Client, _ = c.Caller()
	return remove(c, h)
}

// remove takes a lock from its locker. Type and tag of the lock stay.
func remove(c cls.Context, h held) error {
	l, err := load(c, h.name)
	if err != nil {
		return err
	}
	if _, ok := l.Lockers[h.locker]; !ok {
		return ceph.ENOENT
	}
	if l.Type == Ephemeral {
		return c.Remove()
	}
	delete(l.Lockers, h.locker)
	return l.store(c, h.name)
}

// decodeName reads a cls_lock_get_info_op.
func decodeName(d *denc.Decoder) string {
	s := d.Begin(1)
	name := d.Str()
	d.End(s)
	return name
}

func getInfo(c cls.Context, name string, out *denc.Encoder) error {
	l, err := load(c, name)
	if err != nil {
		return err
	}
	l.Encode(out)
	return nil
}

func listLocks(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	attrs, err := c.Attrs()
	if err != nil {
		return err
	}
	var names []string
	for a := range attrs {
		if name, ok := strings.CutPrefix(a, attrPrefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	m := out.Begin(1, 1)
	denc.PutSlice(out, names, (*denc.Encoder).Str)
	out.End(m)
	return nil
}

// claim is a lock as its locker believes to hold it. (cls_lock_assert_op)
type claim struct {
	name        string
	kind        Type
	cookie, tag string
}

func decodeClaim(d *denc.Decoder) claim {
	s := d.Begin(1)
	r := claim{d.Str(), Type(d.U8()), d.Str(), d.Str()}
	d.End(s)
	return r
}

// check returns the lock and its locker if the caller holds it as claimed, EBUSY
// if it does not.
func (r claim) check(c cls.Context) (*Info, Locker, error) {
	client, _ := c.Caller()
	me := Locker{client, r.cookie}
	if r.name == "" || !r.kind.valid() {
		return nil, me, ceph.EINVAL
	}
	l, err := load(c, r.name)
	if err != nil {
		return nil, me, err
	}
	if _, ok := l.Lockers[me]; !ok || l.Type != r.kind || l.Tag != r.tag {
		return nil, me, ceph.EBUSY
	}
	return l, me, nil
}

func assertLocked(c cls.Context, r claim, _ *denc.Encoder) error {
	_, _, err := r.check(c)
	return err
}

// renamed is a claim and the cookie to have instead. (cls_lock_set_cookie_op)
type renamed struct {
	claim
	to string
}

func decodeSetCookie(d *denc.Decoder) renamed {
	s := d.Begin(1)
	r := renamed{claim{d.Str(), Type(d.U8()), d.Str(), d.Str()}, d.Str()}
	d.End(s)
	return r
}

func setCookie(c cls.Context, r renamed) error {
	l, me, err := r.check(c)
	if err != nil {
		return err
	}
	to := Locker{me.Client, r.to}
	if _, taken := l.Lockers[to]; taken {
		return ceph.EBUSY
	}
	l.Lockers[to] = l.Lockers[me]
	delete(l.Lockers, me)
	return l.store(c, r.name)
}
