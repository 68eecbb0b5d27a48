// Package version is the object class "version": a number and a tag in an attr of
// an object, by which gateways notice that somebody else has changed it.
//
// Invariants:
//
//	I1  A version that comes to be by counting has a tag of its own, so that equal
//	    numbers of two lives of an object are told apart.
//	I2  A condition that does not hold is ECANCELED, and nothing changes.
//
// The formats are Ceph's (obj_version, obj_version_cond, cls_version_*_op).
package version
