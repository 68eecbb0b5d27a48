// Package ops carries out a client's request on one object: a list of operations
// done in order, each seeing what the ones before it did but for comparisons of
// attrs and keys, which see the object as it was before the request; all or none of
// it becoming true. It reads the store, builds one transaction and queues nothing;
// order between requests, versions and replies are its caller's.
//
// Nouns. A Request is the operations with their client and snapshot context. The
// State is an object's metadata, one attr in the store: Info (versions, times,
// watchers) and, of a head, the SnapSet (its clones). A view is the state and the
// content as the request has made it so far: the store below, pending changes
// above. A clone is what a head was when a snapshot was taken.
//
//	Request ── Run ──▶ Outcome ── Seal(version) ──▶ osd.Transaction
//	              │ reads                │ State, content, clone
//	              ▼                      ▼
//	           ObjectStore            ObjectStore.Queue
//
// Invariants:
//
//	I1  The first operation that fails ends the request, and nothing of it
//	    happens; results of earlier reads are still returned.
//	I2  A head with clones is never removed: it becomes a whiteout, which reads
//	    as missing, until its last clone is trimmed.
//	I3  A clone's overlap names only ranges that are the same in the clone and in
//	    what follows it.
//	I4  The State in the store is that of the last sealed request.
//
// Nothing is locked or started. The caller runs at most one request that writes an
// object at a time and none that reads it meanwhile.
//
// Behaviour is that of Ceph 16.2's OSD as far as its clients can see it; captured
// requests and replies in cluster/testdata/ops are replayed in the tests.
package ops
