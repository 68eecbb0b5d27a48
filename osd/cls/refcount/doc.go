// Package refcount is the object class "refcount": an object that several owners
// share goes when the last of them lets go of it.
//
// Nouns. A reference is a tag. The wildcard is the reference, without a tag, of
// the owner that made the object without saying so; requests with implicit_ref
// take an object without references to have it. A tag that was put is retired: it
// is not put twice.
//
// Invariants:
//
//	I1  An object whose last reference is put, or that is set to have none, is
//	    removed.
//	I2  Putting a tag that is not there, or was put before, changes nothing.
//
// The formats are Ceph's (obj_refcount, cls_refcount_*_op).
package refcount
