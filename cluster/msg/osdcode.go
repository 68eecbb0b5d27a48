package msg

import "fmt"

// OpCode is one operation on an object. Its bits say what it does: mode, kind,
// number.
type OpCode uint16

// Bits of an OpCode.
const (
	ModeRead  OpCode = 0x1000
	ModeWrite OpCode = 0x2000
	ModeCache OpCode = 0x8000

	kindMask OpCode = 0x0f00
	KindData OpCode = 0x0200
	KindAttr OpCode = 0x0300
	KindExec OpCode = 0x0400
	KindPG   OpCode = 0x0500
)

// Operations, as they travel.
const (
	OpRead           OpCode = 0x1201
	OpStat           OpCode = 0x1202
	OpMapExt         OpCode = 0x1203
	OpSparseRead     OpCode = 0x1205
	OpNotify         OpCode = 0x1206
	OpNotifyAck      OpCode = 0x1207
	OpAssertVersion  OpCode = 0x1208
	OpListWatchers   OpCode = 0x1209
	OpListSnaps      OpCode = 0x120a
	OpSyncRead       OpCode = 0x120b
	OpTmapGet        OpCode = 0x120c
	OpOmapGetKeys    OpCode = 0x1211
	OpOmapGetVals    OpCode = 0x1212
	OpOmapGetHeader  OpCode = 0x1213
	OpOmapGetByKeys  OpCode = 0x1214
	OpOmapCmp        OpCode = 0x1219
	OpIsDirty        OpCode = 0x121d
	OpCopyGet        OpCode = 0x121e
	OpChecksum       OpCode = 0x121f
	OpCmpExt         OpCode = 0x1220
	OpWrite          OpCode = 0x2201
	OpWriteFull      OpCode = 0x2202
	OpTruncate       OpCode = 0x2203
	OpZero           OpCode = 0x2204
	OpDelete         OpCode = 0x2205
	OpAppend         OpCode = 0x2206
	OpStartSync      OpCode = 0x2207
	OpTmapPut        OpCode = 0x220b
	OpCreate         OpCode = 0x220d
	OpRollback       OpCode = 0x220e
	OpWatch          OpCode = 0x220f
	OpOmapSetVals    OpCode = 0x2215
	OpOmapSetHeader  OpCode = 0x2216
	OpOmapClear      OpCode = 0x2217
	OpOmapRmKeys     OpCode = 0x2218
	OpCopyFrom       OpCode = 0x221a
	OpUndirty        OpCode = 0x221c
	OpTmapToOmap     OpCode = 0x3222
	OpSetAllocHint   OpCode = 0x2223
	OpCachePin       OpCode = 0x2224
	OpCacheUnpin     OpCode = 0x2225
	OpWriteSame      OpCode = 0x2226
	OpSetRedirect    OpCode = 0x2227
	OpSetChunk       OpCode = 0x2228
	OpTierPromote    OpCode = 0x2229
	OpUnsetManifest  OpCode = 0x222a
	OpTierFlush      OpCode = 0x222b
	OpOmapRmKeyRange OpCode = 0x222c
	OpCopyFrom2      OpCode = 0x222d
	OpTierEvict      OpCode = 0x222e
	OpTmapUp         OpCode = 0x320a
	OpGetXattr       OpCode = 0x1301
	OpGetXattrs      OpCode = 0x1302
	OpCmpXattr       OpCode = 0x1303
	OpSetXattr       OpCode = 0x2301
	OpSetXattrs      OpCode = 0x2302
	OpResetXattrs    OpCode = 0x2303
	OpRmXattr        OpCode = 0x2304
	OpCall           OpCode = 0x1401
	OpPGList         OpCode = 0x1501
	OpPGListFilter   OpCode = 0x1502
	OpPGHitSetList   OpCode = 0x1503
	OpPGHitSetGet    OpCode = 0x1504
	OpPGNList        OpCode = 0x1505
	OpPGNListFilter  OpCode = 0x1506
	OpScrubList      OpCode = 0x1507
	OpCacheFlush     OpCode = 0x821f
	OpCacheEvict     OpCode = 0x8220
	OpCacheTryFlush  OpCode = 0x8221
)

// Names of the operations as Ceph's logs print them.
var opNames = map[OpCode]string{
	OpRead: "read", OpStat: "stat", OpMapExt: "mapext", OpSparseRead: "sparse-read", OpNotify: "notify", OpNotifyAck: "notify-ack",
	OpAssertVersion: "assert-version", OpListWatchers: "list-watchers", OpListSnaps: "list-snaps", OpSyncRead: "sync_read", OpTmapGet: "tmapget",
	OpOmapGetKeys: "omap-get-keys", OpOmapGetVals: "omap-get-vals", OpOmapGetHeader: "omap-get-header", OpOmapGetByKeys: "omap-get-vals-by-keys",
	OpOmapCmp: "omap-cmp", OpIsDirty: "isdirty", OpCopyGet: "copy-get", OpChecksum: "checksum", OpCmpExt: "cmpext", OpWrite: "write",
	OpWriteFull: "writefull", OpTruncate: "truncate", OpZero: "zero", OpDelete: "delete", OpAppend: "append", OpStartSync: "startsync",
	OpTmapPut: "tmapput", OpCreate: "create", OpRollback: "rollback", OpWatch: "watch", OpOmapSetVals: "omap-set-vals",
	OpOmapSetHeader: "omap-set-header", OpOmapClear: "omap-clear", OpOmapRmKeys: "omap-rm-keys", OpCopyFrom: "copy-from", OpUndirty: "undirty",
	OpTmapToOmap: "tmap2omap", OpSetAllocHint: "set-alloc-hint", OpCachePin: "cache-pin", OpCacheUnpin: "cache-unpin", OpWriteSame: "writesame",
	OpSetRedirect: "set-redirect", OpSetChunk: "set-chunk", OpTierPromote: "tier-promote", OpUnsetManifest: "unset-manifest",
	OpTierFlush: "tier-flush", OpOmapRmKeyRange: "omap-rm-key-range", OpCopyFrom2: "copy-from2", OpTierEvict: "tier-evict", OpTmapUp: "tmapup",
	OpGetXattr: "getxattr", OpGetXattrs: "getxattrs", OpCmpXattr: "cmpxattr", OpSetXattr: "setxattr", OpSetXattrs: "setxattrs",
	OpResetXattrs: "resetxattrs", OpRmXattr: "rmxattr", OpCall: "call", OpPGList: "pgls", OpPGListFilter: "pgls-filter",
	OpPGHitSetList: "pg-hitset-ls", OpPGHitSetGet: "pg-hitset-get", OpPGNList: "pgnls", OpPGNListFilter: "pgnls-filter", OpScrubList: "scrubls",
	OpCacheFlush: "cache-flush", OpCacheEvict: "cache-evict", OpCacheTryFlush: "cache-try-flush",
}

// String returns the name Ceph's logs give the operation.
func (c OpCode) String() string {
	if s, ok := opNames[c]; ok {
		return s
	}
	return fmt.Sprintf("op %#04x", uint16(c))
}

// Kind returns the kind bits.
func (c OpCode) Kind() OpCode { return c & kindMask }

// Reads and Writes report what the mode bits say. A call does what its method
// is registered for.
func (c OpCode) Reads() bool { return c&ModeRead != 0 }

// Writes reports whether the mode bits say that the object is changed.
func (c OpCode) Writes() bool { return c&ModeWrite != 0 }

// Flags of one operation in a request.
const (
	OpFlagExcl          uint32 = 0x1 // create: the object must not exist
	OpFlagFailOK        uint32 = 0x2 // go on if this one fails
	OpFlagRandom        uint32 = 0x4 // hints about caching, from here on
	OpFlagSequential    uint32 = 0x8
	OpFlagWillNeed      uint32 = 0x10
	OpFlagDontNeed      uint32 = 0x20
	OpFlagNoCache       uint32 = 0x40
	OpFlagWithReference uint32 = 0x80
)

// Flags of a request or reply.
const (
	FlagAck           uint32 = 0x1
	FlagOnNVRAM       uint32 = 0x2
	FlagOnDisk        uint32 = 0x4
	FlagRetry         uint32 = 0x8
	FlagRead          uint32 = 0x10 // not to be trusted: see OpCode.Reads
	FlagWrite         uint32 = 0x20 // likewise
	FlagOrderSnap     uint32 = 0x40
	FlagBalanceReads  uint32 = 0x100
	FlagParallelExec  uint32 = 0x200
	FlagPGOp          uint32 = 0x400
	FlagExec          uint32 = 0x800
	FlagLocalizeReads uint32 = 0x2000
	FlagRWOrdered     uint32 = 0x4000
	FlagIgnoreCache   uint32 = 0x8000
	FlagSkipRWLocks   uint32 = 0x10000
	FlagIgnoreOverlay uint32 = 0x20000
	FlagFlush         uint32 = 0x40000
	FlagMapSnapClone  uint32 = 0x80000
	FlagEnforceSnapC  uint32 = 0x100000
	FlagRedirected    uint32 = 0x200000
	FlagKnownRedir    uint32 = 0x400000
	FlagFullTry       uint32 = 0x800000
	FlagFullForce     uint32 = 0x1000000
	FlagIgnoreRedir   uint32 = 0x2000000
	FlagReturnVec     uint32 = 0x4000000
)
