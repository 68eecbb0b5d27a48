// Package planted holds the bugs we put in on purpose: switches that break one
// rule of the engine each, so that CI can show that the rule is tested. It is no
// configuration and nothing a program may use.
//
// A build without the tag "planted" has no switches: On is a constant there, and
// what it guards is not compiled. With the tag the environment variable
// EBOFS_PLANTED names the one that is on. docs/planted.md says which rule each
// breaks and which stage goes red.
package planted

// Bug names a switch.
type Bug string

// The switches, by package.
const (
	DeviceFlushForgotten Bug = "device-flush-forgotten" // devices: a failed flush does not stick

	AllocTwice   Bug = "alloc-twice"   // allocator: a run is handed out and stays free
	AllocLimbo   Bug = "alloc-limbo"   // allocator: freed blocks are free at once
	AllocStripes Bug = "alloc-stripes" // allocator: a broken stripe counts as free

	NodeCRC      Bug = "node-crc"      // btree: the checksum of a node is not looked at
	ValueCRC     Bug = "value-crc"     // btree: nor that of a long value
	WrongFence   Bug = "wrong-fence"   // btree: a key equal to a fence goes to the left
	StalePublish Bug = "stale-publish" // btree: readers keep the old root
	RangeShort   Bug = "range-short"   // btree: a range delete leaves its first key

	LogNoFlush   Bug = "log-no-flush"   // wal: acknowledged before the flush
	LogDataFlush Bug = "log-data-flush" // wal: and before the flush of direct data
	LogBeside    Bug = "log-beside"     // wal: and before what lies beside it is written
	LogHorizon   Bug = "log-horizon"    // wal: what was committed behind damage is ignored
	LogLength    Bug = "log-length"     // wal: the length of a record is trusted
	LogChain     Bug = "log-chain"      // wal: the checksum of a batch is not looked at
	SuperOldest  Bug = "super-oldest"   // layout: the oldest superblock is taken

	SuperNoFlush    Bug = "super-no-flush"   // ebofs: superblock before what it names is durable
	SuperUnflushed  Bug = "super-unflushed"  // ebofs: the superblock itself is not flushed
	LimboReuse      Bug = "limbo-reuse"      // ebofs: freed blocks reused before the checkpoint is durable
	KeptReleased    Bug = "kept-released"    // ebofs: blocks of kept epochs are reused
	KeptForgotten   Bug = "kept-forgotten"   // ebofs: a mount does not take them out of the free space
	FreeForgotten   Bug = "free-forgotten"   // ebofs: replaced blocks are not given back
	BookForgotten   Bug = "book-forgotten"   // ebofs: a changed bitmap is not written
	DataCRC         Bug = "data-crc"         // ebofs: the checksum of data is not looked at
	ReadOnce        Bug = "read-once"        // ebofs: a read that failed is not tried again
	WriteSwallowed  Bug = "write-swallowed"  // ebofs: a failed write of a checkpoint is not reported
	StubDropped     Bug = "stub-dropped"     // ebofs: a change waiting for its object is dropped
	ReplaySkips     Bug = "replay-skips"     // ebofs: attrs are not replayed
	TornBelieved    Bug = "torn-believed"    // ebofs: direct data is not compared at replay
	OutageIgnored   Bug = "outage-ignored"   // ebofs: a dead device looks like damaged blocks
	DamageLaundered Bug = "damage-laundered" // ebofs: bytes merged over a damaged block make it sound
	PromiseKept     Bug = "promise-kept"     // ebofs: a refused transaction keeps its promise of space
	RefuseKeeps     Bug = "refuse-keeps"     // ebofs: a refused transaction keeps its blocks
	TruncateShows   Bug = "truncate-shows"   // ebofs: bytes cut off come back
	ReadMixed       Bug = "read-mixed"       // ebofs: attrs are read without looking for changes meanwhile
	ReadLeftover    Bug = "read-leftover"    // ebofs: a second look at attrs keeps what the first found
	FrozenUnseen    Bug = "frozen-unseen"    // ebofs: bytes a checkpoint is folding are not read
	StripUnseen     Bug = "strip-unseen"     // ebofs: data on its way to its place is read from the device
	HoleFilled      Bug = "hole-filled"      // ebofs: zeros over a hole take a block
	TrimLimbo       Bug = "trim-limbo"       // allocator, ebofs: limbo is discarded like what is free
	RenameStays     Bug = "rename-stays"     // ebofs: the old name is still listed

	CountKept     Bug = "count-kept"     // ebofs: a reference to a shared block that is dropped stays counted
	CloneUnmarked Bug = "clone-unmarked" // ebofs: the source of a clone is not marked as shared
	TrashOwned    Bug = "trash-owned"    // ebofs: what a removed object shared is freed

	CheckLeak Bug = "check-leak" // check: leaked blocks are not reported
	CheckData Bug = "check-data" // check: damaged data is not reported
	CheckRefs Bug = "check-refs" // check: wrong counts of shared blocks are not reported

	RefsStale     Bug = "refs-stale"      // repair: the counts stay as they were
	SharedTwice   Bug = "shared-twice"    // repair: what one record shares any other may use
	UndoForgot    Bug = "undo-forgot"     // repair: a block is overwritten that the undo file does not have
	UndoBlind     Bug = "undo-blind"      // repair: an undo file is applied to a store that was written to since
	RepairNoFlush Bug = "repair-no-flush" // repair: superblock before what it names is durable
)
