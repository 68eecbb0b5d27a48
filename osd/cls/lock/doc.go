// Package lock is the object class "lock": advisory locks on objects, shared by
// clients that ask for them. Nothing is enforced but by clients that put
// assert_locked in front of what else a request does.
//
// Nouns. An object has locks by name. A lock has a type, a tag that all its
// holders give, and lockers. A locker is a client and a cookie, with an address,
// a description and perhaps a time at which it lapses.
//
//	lock ──▶ attr "lock.NAME": { locker → info, type, tag } ◀── assert_locked
//
// Invariants:
//
//	I1  An exclusive lock has at most one locker; all lockers of a lock hold it
//	    with one type and one tag.
//	I2  A lapsed locker is as good as none, and goes with the next change.
//	I3  The attr of an exclusive-ephemeral lock goes with its object: when its
//	    locker unlocks it.
//
// The format is Ceph's (cls_lock: lock_info_t, locker_id_t, locker_info_t), read
// off bytes captured from Ceph 16.2; requests are in cluster/testdata/ops.
package lock
