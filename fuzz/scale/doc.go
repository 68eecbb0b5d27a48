// Package scale measures what must not depend on the number of objects: the time
// a store takes to mount after a clean stop and after SIGKILL at full load, and its
// resident memory.
//
// Nouns: a child is this test binary run again, so that its memory is its own and
// it can be killed. One fills the image, one loads it until it is killed, one mounts
// it. The parent starts them one after the other and prints a table.
//
//	fill n ── close │ load 64 writers ── SIGKILL │ mount (replay), close │ mount (clean), close
//
// The load makes, changes and removes objects all over the store. It is killed at
// the worst moment there is: when what no checkpoint has is as much as it was at the
// worst before, so that replay is as long as it gets.
//
//	make scale                                     # the table of docs/performance.md
//	go test -run xxx -bench . -benchtime 1x -timeout 3h ./fuzz/scale -objects 1e4,1e7 -budgets 256,2048 -image /path
//
// The package is tests only.
package scale
