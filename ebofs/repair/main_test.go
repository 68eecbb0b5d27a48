package repair

import (
	"os"
	"runtime/debug"
	"testing"

	"ebofs/devices"
)

// TestMain lets the heap grow and has arenas kept: every state of a repair cut short
// is mounted, repaired and read, each on a store of its own.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	devices.KeepArenas(4)
	os.Exit(m.Run())
}
