package storetest

import (
	"context"
	"testing"

	"ebofs/osd"
)

// Factory makes the stores of one implementation, or of one set of its options.
type Factory struct {
	// New makes an empty store with room for at least 512 MiB of data. The test
	// calls Handle.Store.Close, perhaps after Reopen; New may leave the rest to
	// t.Cleanup.
	New func(t testing.TB) *Handle
	// NewSmall makes one that can be filled in about a second: 16 to 256 MiB. Nil
	// leaves those tests out.
	NewSmall func(t testing.TB) *Handle
	// Serial says that one goroutine at a time may use the store.
	Serial bool
}

// Handle is a store under test.
type Handle struct {
	Store osd.ObjectStore
	// Reopen closes the store and opens what it kept. Nil: it keeps nothing.
	Reopen func(ctx context.Context) (osd.ObjectStore, error)
	// Checkpoint makes the store bring its durable form up to date, if it knows
	// such a thing. Nil: it does not.
	Checkpoint func(ctx context.Context) error
	// Check looks for damage in what a closed store left behind. Nil: it cannot.
	Check func(ctx context.Context) error
}

// Run is the suite. It opens a store for each part.
func Run(t *testing.T, f Factory) {
	for _, part := range []struct {
		name     string
		run      func(*testing.T, Factory)
		parallel bool // uses goroutines
	}{
		{"Collections", testCollections, false},
		{"SplitMerge", testSplitMerge, false},
		{"Missing", testMissing, false},
		{"Write", testWrite, false},
		{"Overwrite", testOverwrite, false},
		{"Zero", testZero, false},
		{"Truncate", testTruncate, false},
		{"Patterns", testPatterns, false},
		{"Inline", testInline, false},
		{"Far", testFar, false},
		{"Reads", testReads, false},
		{"Attrs", testAttrs, false},
		{"Omap", testOmap, false},
		{"OmapMany", testOmapMany, false},
		{"OmapIterWhileWriting", testOmapIterWhileWriting, true},
		{"List", testList, false},
		{"ListWhileWriting", testListWhileWriting, true},
		{"Rename", testRename, false},
		{"Clone", testClone, false},
		{"Atomic", testAtomic, false},
		{"Transactions", testTransactions, false},
		{"Order", testOrder, false},
		{"Chain", testChain, false},
		{"Concurrent", testConcurrent, true},
		{"ReadersAndWriter", testReadersAndWriter, true},
		{"Apart", testApart, true},
		{"Reopen", testReopen, false},
		{"Closed", testClosed, false},
		{"Full", testFull, false},
		{"FullMetadata", testFullMetadata, false},
	} {
		t.Run(part.name, func(t *testing.T) {
			if part.parallel && f.Serial {
				t.Skip("the store is for one goroutine at a time")
			}
			part.run(t, f)
		})
	}
}
