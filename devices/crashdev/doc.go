// Package crashdev is a device in memory that remembers what its durability
// contract allows it to forget, and yields every state a power cut can leave.
// It makes no judgement: opening the states and checking them is the caller's.
//
// # Nouns
//
//	point    an instant at which the power may fail: after a write was issued,
//	         after a Flush returned, or at a Mark of the caller
//	pending  a write not covered by a Flush at that point; a Flush covers the
//	         writes that returned before it began, once it has returned
//	state    the durable content plus a choice for each pending write: lost,
//	         kept, or torn; a devices.Mem of its own, crashable again
//
//	issue order   W0   W1   W2   Flush   W3   W4
//	                             └ covers those that had returned
//	points           0    1    2        3    4    5
//
// A typical explorer:
//
//	d := crashdev.New(base)
//	run the workload on d, calling d.Mark(n) once n operations are acknowledged
//	seen := new(crashdev.Seen)
//	for _, p := range d.Points() {
//		for s := range d.States(p, crashdev.Policy{Seen: seen}) {
//			open s, check it against at least p.Tag operations
//			maybe: crashdev.New(s.Mem), to crash while s is being recovered
//		}
//	}
//
// # Invariants
//
//	I1  A state differs from the durable content only in blocks that a pending
//	    write names.
//	I2  Of two overlapping writes both kept, the later issued is on top.
//	I3  With Policy.Seen, an image is visited once per Tag: the same image may
//	    have to satisfy more after more was acknowledged.
//
// # Locks and goroutines
//
// Device.mu guards everything; no goroutine is started. States may be taken
// while the device is in use and keep nothing locked while they are visited.
//
// # Durability
//
// See States and Policy. Zeroing behaves like a write; a discard leaves zeros
// with noise in its first block, or the old content if it was lost.
package crashdev
