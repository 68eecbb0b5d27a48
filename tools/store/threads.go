package store

import (
	"os"
	"runtime"
)

// fewProcs is from how many threads of Go on one that waits is a small part of them.
const fewProcs = 8

// TuneThreads gives the process one thread of Go (GOMAXPROCS) more than it has
// processors, if these are few. A thread in a blocking call of a device keeps its place
// until the runtime looks for such, and somebody is in the log's call most of the time.
// With more of them threads are in each other's way (docs/decisions/threads.md).
// GOMAXPROCS in the environment wins.
func TuneThreads() {
	if n := runtime.GOMAXPROCS(0); n < fewProcs && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n + 1)
	}
}
