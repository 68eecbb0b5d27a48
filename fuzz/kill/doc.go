// Package kill ends a process that writes to a store by SIGKILL at a random moment
// and looks whether everything it had reported as committed is there.
//
// Nouns: the child is this test binary run again; it writes to an image with
// several workers, each in a collection of its own, and prints a line before it
// queues a transaction and when that is committed. The parent reads the lines,
// kills the child, mounts the image and compares.
//
// A second test does the same to the program: `ebofs object import` is killed, its
// journal of acknowledged objects is verified, the import is resumed.
//
//	child   q 0 17 ── Queue ── commit ── a 0 17      worker 0, transaction 17
//	parent  reads … reads … SIGKILL, reads what is left in the pipe, mounts
//
// Invariants, the tests':
//
//	I1  Of each worker's transactions a prefix is there, no shorter than to the
//	    last one reported as committed.
//	I2  What earlier runs left is unchanged.
//	I3  fsck finds nothing, before and after the mount.
//	I4  Every third run is killed again while it mounts.
//
// Locks: the child's printing is under a mutex; the parent is one goroutine and a
// timer. The package is tests only.
package kill
