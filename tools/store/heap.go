package store

import (
	"os"
	"runtime/debug"
)

// TuneHeap fits the process's collector to a store of that budget in bytes.
// Most of what the heap grows by between two collections are bytes in flight,
// which cost nothing to keep; so it may grow to five times what is live, as long
// as it stays within the half of the budget that is the heap's. GOGC and
// GOMEMLIMIT in the environment win.
func TuneHeap(budget int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(budget / 2)
	}
}
