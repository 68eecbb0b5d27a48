// Package thread tells the kernel how to treat the thread of a goroutine that
// computes for long.
//
// # Nouns
//
//	slice    how long a thread may compute before others get their turn: 0.7 to 2.8 ms,
//	         by the number of processors, unless it asks for something else
//	         (sched_setattr(2), sched_runtime, Linux 6.12)
//	patient  a thread that asked for a longer one
//
// From Linux 6.6 on a thread that wakes up waits for the one that computes, until its
// slice is over and the clock has ticked, 4 ms at 250 Hz; unless it has the shorter slice
// of the two. Over time each gets its share all the same. So what computes for long asks
// for a long one, and everybody else is let in at once. It costs no right.
//
// # Locks and goroutines
//
// None. A goroutine that is patient keeps its thread and takes it with it.
package thread
