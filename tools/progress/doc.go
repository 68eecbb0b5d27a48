// Package progress shows how far a long command is: on a terminal one line of
// phase, share, rate and time left, redrawn four times a second; elsewhere
// nothing. One line is printed whenever the process gets SIGUSR1. A descriptor
// can be given "phase done total device" lines, as fsck -C wants them.
//
// A Meter starts one goroutine and ends it in Stop. Counting is one atomic
// addition; counters may be changed from any goroutine.
package progress
