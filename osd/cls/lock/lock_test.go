package lock

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls/clstest"
)

// object is an object that clients lock.
type object struct{ *clstest.Object }

func newObject(t *testing.T) object { return object{clstest.New(t, "o")} }

// as makes a client the caller.
func (o object) as(num int64) object {
	o.Client.Num = num
	o.Addr = ceph.MsgrAddr(netip.MustParseAddrPort("10.0.0.1:0"), uint32(num))
	return o
}

func (o object) lock(want error, kind Type, cookie, tag string, flags uint8) {
	o.Want(want, "lock", "lock", clstest.Struct(1, "l", uint8(kind), cookie, tag, "why", ceph.Time{}, flags))
}

func (o object) unlock(want error, cookie string) {
	o.Want(want, "lock", "unlock", clstest.Struct(1, "l", cookie))
}

func (o object) held(want error, kind Type, cookie, tag string) {
	o.Want(want, "lock", "assert_locked", clstest.Struct(1, "l", uint8(kind), cookie, tag))
}

func (o object) info(t *testing.T, name string) Info {
	t.Helper()
	d := denc.NewDecoder(o.Want(nil, "lock", "get_info", clstest.Struct(1, name)))
	l := DecodeInfo(d)
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestExclusive(t *testing.T) {
	o := newObject(t)
	o.Want(ceph.ENOENT, "lock", "get_info", clstest.Struct(1, "l"))
	o.as(1).lock(nil, Exclusive, "a", "tag", 0)
	o.held(nil, Exclusive, "a", "tag")
	o.held(ceph.EBUSY, Exclusive, "a", "other")
	o.held(ceph.EBUSY, Shared, "a", "tag")
	o.held(ceph.EBUSY, Exclusive, "b", "tag")
	o.lock(ceph.EEXIST, Exclusive, "a", "tag", 0)
	o.lock(nil, Exclusive, "a", "tag", mayRenew)
	o.lock(nil, Exclusive, "a", "tag", mustRenew)
	o.lock(ceph.EBUSY, Exclusive, "a", "other", mayRenew)
	o.lock(ceph.EBUSY, Exclusive, "b", "tag", 0) // the same client is another locker
	o.as(2).lock(ceph.EBUSY, Exclusive, "a", "tag", 0)
	o.lock(ceph.EBUSY, Shared, "a", "tag", 0)
	o.lock(ceph.ENOENT, Exclusive, "a", "tag", mustRenew)
	o.held(ceph.EBUSY, Exclusive, "a", "tag")
	o.unlock(ceph.ENOENT, "a")

	l := o.info(t, "l")
	h, ok := l.Lockers[Locker{ceph.EntityID{Type: ceph.TypeClient, Num: 1}, "a"}]
	if len(l.Lockers) != 1 || !ok || h.Description != "why" || h.Addr.Type != ceph.AddrLegacy || h.Addr.Nonce != 1 || l.Tag != "tag" {
		t.Fatalf("%+v", l)
	}
	o.as(1).unlock(nil, "a")
	o.unlock(ceph.ENOENT, "a")
	if l := o.info(t, "l"); len(l.Lockers) != 0 || l.Type != Exclusive || l.Tag != "tag" {
		t.Fatalf("after unlock: %+v", l)
	}
	o.as(2).lock(nil, Shared, "a", "new", 0) // nobody has it: any tag and type will do
}

func TestShared(t *testing.T) {
	o := newObject(t)
	o.as(1).lock(nil, Shared, "a", "tag", 0)
	o.as(2).lock(nil, Shared, "a", "tag", 0)
	o.lock(ceph.EBUSY, Exclusive, "b", "tag", 0)
	o.as(1).lock(ceph.EBUSY, Exclusive, "a", "tag", mayRenew) // the other still shares it
	o.lock(ceph.EBUSY, Shared, "b", "other", 0)
	o.as(2).unlock(nil, "a")
	o.as(1).lock(nil, Exclusive, "a", "tag", mayRenew)
}

func TestBreak(t *testing.T) {
	o := newObject(t)
	o.as(1).lock(nil, Exclusive, "a", "", 0)
	o.as(2)
	whose := func(num int64) ceph.EntityID { return ceph.EntityID{Type: ceph.TypeClient, Num: num} }
	o.Want(ceph.ENOENT, "lock", "break_lock", clstest.Struct(1, "l", whose(2), "a"))
	o.Want(ceph.ENOENT, "lock", "break_lock", clstest.Struct(1, "other", whose(1), "a"))
	o.Want(nil, "lock", "break_lock", clstest.Struct(1, "l", whose(1), "a"))
	o.as(1).held(ceph.EBUSY, Exclusive, "a", "")
}

// TestExpiry lets a lock lapse while nothing happens.
func TestExpiry(t *testing.T) {
	o := newObject(t)
	o.as(1).Want(nil, "lock", "lock", clstest.Struct(1, "l", uint8(Exclusive), "a", "", "", ceph.Time{Sec: 10, Nsec: 999_999_999}, uint8(0)))
	o.Now = o.Now.Add(10 * time.Second)
	o.held(nil, Exclusive, "a", "")
	o.as(2).lock(ceph.EBUSY, Exclusive, "a", "", 0)
	o.Now = o.Now.Add(time.Second)
	if l := o.info(t, "l"); len(l.Lockers) != 0 {
		t.Fatalf("lapsed and listed: %+v", l)
	}
	o.as(1).held(ceph.EBUSY, Exclusive, "a", "")
	o.unlock(ceph.ENOENT, "a")
	o.as(2).lock(nil, Exclusive, "a", "", 0)
}

// TestLongExpiry asks for a lock for more seconds than there will be.
func TestLongExpiry(t *testing.T) {
	o := newObject(t)
	o.Want(nil, "lock", "lock", clstest.Struct(1, "l", uint8(Exclusive), "a", "", "", ceph.Time{Sec: math.MaxUint32}, uint8(0)))
	o.held(nil, Exclusive, "a", "")
}

func TestEphemeral(t *testing.T) {
	o := newObject(t)
	o.lock(nil, Ephemeral, "a", "", 0)
	o.as(2).lock(ceph.EBUSY, Ephemeral, "a", "", 0)
	o.as(1).unlock(nil, "a")
	if _, err := o.Read(); err != ceph.ENOENT {
		t.Fatalf("unlocked, and the object: %v", err)
	}
}

func TestSetCookie(t *testing.T) {
	o := newObject(t)
	set := func(want error, from, to string) {
		t.Helper()
		o.Want(want, "lock", "set_cookie", clstest.Struct(1, "l", uint8(Shared), from, "", to))
	}
	set(ceph.EBUSY, "a", "b")
	o.lock(nil, Shared, "a", "", 0)
	o.lock(nil, Shared, "b", "", 0)
	set(ceph.EBUSY, "a", "b")
	set(ceph.EBUSY, "x", "c")
	set(nil, "a", "c")
	o.held(nil, Shared, "c", "")
	o.held(ceph.EBUSY, Shared, "a", "")
}

func TestList(t *testing.T) {
	o := newObject(t)
	for _, name := range []string{"b", "a"} {
		o.Want(nil, "lock", "lock", clstest.Struct(1, name, uint8(Exclusive), "", "", "", ceph.Time{}, uint8(0)))
	}
	o.Attr("else", nil)
	if got, want := string(o.Want(nil, "lock", "list_locks")), string(clstest.Struct(1, uint32(2), "a", "b")); got != want {
		t.Fatalf("%x, want %x", got, want)
	}
}

func TestInvalid(t *testing.T) {
	o := newObject(t)
	o.lock(ceph.EINVAL, None, "a", "", 0)
	o.lock(ceph.EINVAL, 4, "a", "", 0)
	o.lock(ceph.EINVAL, Exclusive, "a", "", mayRenew|mustRenew)
	o.Want(ceph.EINVAL, "lock", "lock", clstest.Struct(1, "", uint8(Exclusive), "", "", "", ceph.Time{}, uint8(0)))
	o.Attr(attrPrefix+"l", []byte("no lock"))
	o.held(ceph.EIO, Exclusive, "a", "")
	o.lock(ceph.EIO, Exclusive, "a", "", 0)
	o.held(ceph.EINVAL, None, "a", "")
}
