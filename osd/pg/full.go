package pg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd/ops"
)

// Full is what stands against a PG's growing.
type Full struct {
	Pool     bool // the map says that the pool is full
	Quota    bool // of the two reasons, its quota
	Failsafe bool // this OSD's store has no more to give, whoever asks
}

// refuseFull returns why a request may not happen for want of space: an errno, or
// EAGAIN if it is to be dropped. What makes the object no larger always may. A
// client that knows that the pool is full waits by itself; one that did not know
// is not answered and asks again when the pool is open. (Ceph's OSD drops below
// the failsafe even deletes; here they are what ends it.)
func (p *PG) refuseFull(req *ops.Request, out *ops.Outcome) ceph.Errno {
	if p.cfg.Full == nil || out.Result < 0 || !out.Grows() {
		return 0
	}
	f := p.cfg.Full()
	switch force := req.Flags&msg.FlagFullForce != 0; {
	case !f.Failsafe && (!f.Pool || force):
		return 0
	case req.Flags&msg.FlagFullTry != 0 && f.Quota:
		return ceph.EDQUOT
	case req.Flags&msg.FlagFullTry != 0:
		return ceph.ENOSPC
	}
	return ceph.EAGAIN
}
