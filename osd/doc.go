// Package osd is the object storage daemon's side of the project. At present
// it declares what the daemon needs from a store below it; it is neither a
// store itself nor does it know one.
//
// Nouns:
//
//	ObjectStore            a mounted store of collections
//	  collection           a range of objects: one PG (CollectionID, CollectionSpec)
//	    object             data, attrs, omap with header (ObjectID, ObjectStat)
//	Transaction            a list of Ops over any objects of any collections,
//	                       applied and committed as one
//
// Invariants every ObjectStore keeps, and osd/storetest checks:
//
//   - I1: the specs of two collections never overlap, and an object lies in the
//     range of its collection: an object is in at most one collection.
//   - I2: a transaction is there entirely or not at all.
//   - I3: within a collection transactions apply, and commit, in queue order.
//   - I4: what is applied is what every later read sees; what is committed is
//     there after any crash, together with all that was queued before it in the
//     collections it names.
//   - I5: bytes never written read as zeros; bytes written read as written, or
//     the read fails.
//
// Locks: none here. Concurrency, durability and the life of buffers are the
// contract on ObjectStore. The package stores nothing, so it has no format.
package osd
