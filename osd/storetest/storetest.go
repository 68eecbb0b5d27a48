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
	// Clone says that the store has Clone and CloneRange.
	Clone bool
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
		name string
		run  func(*testing.T, Factory)
	}{
		{"Collections", testCollections},
		{"SplitMerge", testSplitMerge},
		{"Missing", testMissing},
		{"Write", testWrite},
		{"Overwrite", testOverwrite},
		{"Zero", testZero},
		{"Truncate", testTruncate},
		{"Patterns", testPatterns},
		{"Inline", testInline},
		{"Far", testFar},
		{"Reads", testReads},
		{"Attrs", testAttrs},
		{"Omap", testOmap},
		{"OmapMany", testOmapMany},
		{"OmapIterWhileWriting", testOmapIterWhileWriting},
		{"List", testList},
		{"ListWhileWriting", testListWhileWriting},
		{"Rename", testRename},
		{"Clone", testClone},
		{"Atomic", testAtomic},
		{"Transactions", testTransactions},
		{"Order", testOrder},
		{"Chain", testChain},
		{"Concurrent", testConcurrent},
		{"ReadersAndWriter", testReadersAndWriter},
		{"Reopen", testReopen},
		{"Closed", testClosed},
		{"Full", testFull},
		{"FullMetadata", testFullMetadata},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, f) })
	}
}
