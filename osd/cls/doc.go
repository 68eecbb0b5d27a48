// Package cls holds object classes: named sets of methods that run where the
// object is, as part of a client's request, on the state its earlier operations
// made. It has the interface and the table; the classes themselves are packages
// below it that register at init.
//
// Nouns. A Class has Methods; a Method reads, writes, or both, and says so, for a
// client's flags are not to be trusted. A Context is the object a method works on.
//
//	osd_op [call lock.lock, write …] ── osd/ops ──▶ Method(Context, input) → output
//
// Invariants:
//
//	I1  A method that is not registered as writing cannot change the object.
//	I2  What a method changes happens with the rest of the request or not at all.
//	I3  Errors are ceph.Errno values; any other becomes EIO.
//
// Methods run one at a time for an object and start nothing. Inputs and outputs
// are Ceph's encodings (cluster/denc).
package cls
