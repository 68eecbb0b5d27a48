// Package check looks a store over and says what is wrong with it. It never
// writes, and shares no code with the store beyond formats, pages and log scan, so
// that what it finds does not rest on the code that wrote it.
//
//	quick   labels, superblocks, log, root record, zone tables, totals
//	full    + every tree node, onode and extent; every block has one owner;
//	        free space and counters against a recount
//	deep    + the checksum of every data block and overflow value
//
// and the same of every kept epoch, one after the other.
//
// Nouns: a Problem is one finding, a Report the result, a Code the name of a kind
// of problem, explained by its Page. A claim is "this object, tree or structure
// uses these blocks".
//
// What is checked is the newest checkpoint. An unclean store has a log behind it;
// its records are counted and its damage is reported, but they are not applied.
// Options.Super names an older checkpoint, which somebody has to keep. Options.Online
// says that it is that of a store in use: see Position for how such a check goes on
// after it was cut short.
//
// Invariants:
//
//	C1  Nothing is written to any device.
//	C2  Run returns, whatever the devices hold: each node is read once a pass, and
//	    a pass ends.
//	C3  Memory is Options.MemoryBytes for maps of blocks and ids, plus some MiB for
//	    each worker. A store too big for one map is walked in several passes.
//	C4  What is read comes from the device and passes its own checks before any
//	    field of it is used; a read that fails is tried three times.
//	C5  A block is reported as leaked only if all trees could be walked: it might
//	    belong to the part that could not.
//	C6  Of a store in use nothing is reported but what was found while the checkpoint
//	    was pinned, and of its log only what is bad twice.
//
// Run starts goroutines and ends them before it returns. What it looks at must not
// be written meanwhile: check a stopped store, a copy, or a pinned checkpoint.
//
// Formats are specified in docs/format.
package check
