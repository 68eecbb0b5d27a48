// Package sweep fails every I/O and every allocation of a workload, one run for
// each, and looks what is left of the promises of the store.
//
// Nouns:
//
//	workload  a base store and a short list of operations; without faults it does
//	          the same I/O every time
//	fault     the nth read, write, flush or allocation of a workload fails: once,
//	          twice in a row (reads), or from there on
//	site      where an I/O or an allocation comes from: the line that calls the
//	          device and the functions of the engine above it
//	registry  which sites were seen and which of them have failed
//
// Invariants, the tests':
//
//	I1  Nothing panics and nothing hangs.
//	I2  A failed write or flush is reported by the operation that needed it; the
//	    store then refuses changes, naming the cause. A read that fails once or
//	    twice fails nobody. A transaction refused for want of space leaves
//	    nothing behind, and the store goes on.
//	I3  Mounted again on a device that works, everything acknowledged is there,
//	    each transaction as a whole or not at all; deep fsck finds nothing, and
//	    no promise of space is left over.
//	I4  Every line of the engine that calls a device has failed, and every site
//	    seen has.
//
// Locks: a run belongs to one goroutine; runs share the registry, which has a
// mutex.
package sweep
