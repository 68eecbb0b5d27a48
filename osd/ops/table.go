package ops

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// table is how each operation is done. What is not in it answers EOPNOTSUPP.
var table map[msg.OpCode]func(r *run, in, out *msg.Op) (ceph.Errno, error)

func init() {
	table = map[msg.OpCode]func(r *run, in, out *msg.Op) (ceph.Errno, error){
		msg.OpRead: opRead, msg.OpSyncRead: opRead, msg.OpSparseRead: opSparseRead, msg.OpMapExt: opMapExt,
		msg.OpStat: opStat, msg.OpChecksum: opChecksum, msg.OpCmpExt: opCmpExt, msg.OpIsDirty: opIsDirty, msg.OpAssertVersion: opAssertVersion,
		msg.OpListWatchers: opListWatchers, msg.OpListSnaps: opListSnaps, msg.OpNotify: opNotify, msg.OpNotifyAck: opNotifyAck,

		msg.OpWrite: opWrite, msg.OpWriteFull: opWriteFull, msg.OpAppend: opAppend, msg.OpWriteSame: opWriteSame,
		msg.OpTruncate: opTruncate, msg.OpZero: opZero, msg.OpDelete: opDelete, msg.OpCreate: opCreate, msg.OpStartSync: opNothing,
		msg.OpUndirty: opNothing, msg.OpSetAllocHint: opSetAllocHint, msg.OpRollback: opRollback, msg.OpWatch: opWatch,
		msg.OpCopyFrom: opCopyFrom, msg.OpCopyFrom2: opCopyFrom,

		msg.OpGetXattr: opGetXattr, msg.OpGetXattrs: opGetXattrs, msg.OpCmpXattr: opCmpXattr,
		msg.OpSetXattr: opSetXattr, msg.OpRmXattr: opRmXattr,

		msg.OpOmapGetKeys: opOmapGetKeys, msg.OpOmapGetVals: opOmapGetVals, msg.OpOmapGetHeader: opOmapGetHeader,
		msg.OpOmapGetByKeys: opOmapGetByKeys, msg.OpOmapCmp: opOmapCmp, msg.OpOmapSetVals: opOmapSetVals,
		msg.OpOmapSetHeader: opOmapSetHeader, msg.OpOmapClear: opOmapClear, msg.OpOmapRmKeys: opOmapRmKeys,
		msg.OpOmapRmKeyRange: opOmapRmKeyRange,

		msg.OpCall: opCall, msg.OpPGNList: opPGNList, msg.OpScrubList: opScrubList, msg.OpCopyGet: opCopyGet,

		// Cache tiering is not offered: no pool is in cache mode.
		msg.OpCacheFlush: opNoCache, msg.OpCacheTryFlush: opNoCache, msg.OpCacheEvict: opNoCache,
	}
}

func opNothing(*run, *msg.Op, *msg.Op) (ceph.Errno, error) { return 0, nil }
func opNoCache(*run, *msg.Op, *msg.Op) (ceph.Errno, error) { return 0, ceph.EINVAL }
