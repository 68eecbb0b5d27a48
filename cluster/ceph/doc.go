// Package ceph is the vocabulary every part of the cluster shares: names of
// entities, addresses, ids of pools, PGs and objects, versions, time, and the
// errno values that travel in replies. It holds values and their encodings, not
// messages, maps or behaviour.
//
// Nouns. An entity is a daemon or a client, named osd.3 or client.admin. A pool
// is a namespace with a placement policy; a PG is a slice of a pool by object
// hash. A HObject is an object of a pool at a snapshot; their order (Compare) is
// the order of listings and of PG ranges. An EVersion orders the writes of a PG.
//
// Invariants:
//
//	I1  What decodes encodes to the same bytes again.
//	I2  Compare of HObjects is a total order in which each PG is one range.
//
// Values have no locks and start nothing; the package does no I/O.
//
// The encodings were read off bytes captured from Ceph 16.2 and are checked
// against cluster/testdata.
package ceph
