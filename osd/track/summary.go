package track

import (
	"strconv"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// maxNames is how much of an operation's input a Summary keeps: names of attrs and
// methods, not data.
const maxNames = 64

// Summary is what is kept of a request when it is over.
type Summary struct {
	ReqID   ceph.ReqID
	Addr    ceph.Addr
	PG      ceph.PG
	Object  ceph.HObject
	Flags   uint32
	Epoch   ceph.Epoch
	SnapSeq ceph.SnapID
	Snaps   []ceph.SnapID
	Ops     []operation
}

// operation is one of a request.
type operation struct {
	op    msg.Op // without Data
	names [maxNames]byte
	n     int // of names
}

// take makes s the summary of a request.
func (s *Summary) take(id ceph.ReqID, addr ceph.Addr, m *msg.OSDOp) {
	s.ReqID, s.Addr, s.PG, s.Flags, s.Epoch, s.SnapSeq = id, addr, m.PG.PG, m.Flags, m.Epoch, m.SnapSeq
	s.Object = ceph.HObject{Pool: m.Locator.Pool, Hash: m.Hash, Namespace: m.Locator.Namespace, Key: m.Locator.Key, Name: m.Name, Snap: m.Snap}
	s.Snaps = append(s.Snaps[:0], m.Snaps...)
	s.Ops = s.Ops[:0]
	for i := range m.Ops {
		o := operation{op: m.Ops[i]}
		if k := o.op.Code.Kind(); k == msg.KindAttr || k == msg.KindExec {
			o.n = copy(o.names[:], o.op.Data)
		}
		o.op.Data = nil
		s.Ops = append(s.Ops, o)
	}
}

// flagNames are the flags of requests, lowest first.
var flagNames = []struct {
	bit  uint32
	name string
}{
	{msg.FlagAck, "ack"}, {msg.FlagOnNVRAM, "onnvram"}, {msg.FlagOnDisk, "ondisk"}, {msg.FlagRetry, "retry"}, {msg.FlagRead, "read"}, {msg.FlagWrite, "write"},
	{msg.FlagOrderSnap, "ordersnap"}, {msg.FlagBalanceReads, "balance_reads"}, {msg.FlagParallelExec, "parallelexec"}, {msg.FlagPGOp, "pgop"},
	{msg.FlagExec, "exec"}, {msg.FlagLocalizeReads, "localize_reads"}, {msg.FlagRWOrdered, "rwordered"}, {msg.FlagIgnoreCache, "ignore_cache"},
	{msg.FlagSkipRWLocks, "skiprwlocks"}, {msg.FlagIgnoreOverlay, "ignore_overlay"}, {msg.FlagFlush, "flush"}, {msg.FlagMapSnapClone, "map_snap_clone"},
	{msg.FlagEnforceSnapC, "enforce_snapc"}, {msg.FlagRedirected, "redirected"}, {msg.FlagKnownRedir, "known_if_redirected"},
	{msg.FlagFullTry, "full_try"}, {msg.FlagFullForce, "full_force"}, {msg.FlagIgnoreRedir, "ignore_redirect"}, {msg.FlagReturnVec, "returnvec"},
}

// String describes the request in one line, as the logs of Ceph do.
func (s *Summary) String() string {
	var b strings.Builder
	b.WriteString("osd_op(")
	b.WriteString(s.Client())
	b.WriteByte(':')
	b.WriteString(strconv.FormatUint(s.ReqID.Tid, 10))
	b.WriteByte(' ')
	b.WriteString(s.PG.String())
	b.WriteByte(' ')
	b.WriteString(s.Object.String())
	b.WriteString(" [")
	for i := range s.Ops {
		if i > 0 {
			b.WriteByte(',')
		}
		s.Ops[i].write(&b)
	}
	b.WriteString("] snapc ")
	b.WriteString(strconv.FormatUint(uint64(s.SnapSeq), 16))
	b.WriteString("=[")
	for i, n := range s.Snaps {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(n), 16))
	}
	b.WriteString("] ")
	sep := ""
	for _, f := range flagNames {
		if s.Flags&f.bit != 0 {
			b.WriteString(sep)
			b.WriteString(f.name)
			sep = "+"
		}
	}
	b.WriteString(" e")
	b.WriteString(strconv.FormatUint(uint64(s.Epoch), 10))
	b.WriteByte(')')
	return b.String()
}

// Client returns who asked, with the number of its life.
func (s *Summary) Client() string {
	return s.ReqID.Name.String() + "." + strconv.FormatInt(int64(s.ReqID.Incarnation), 10)
}

// watchOps are the names of what a watch operation may be.
var watchOps = map[uint8]string{msg.WatchUnwatch: "unwatch", msg.WatchLegacy: "legacy watch", msg.WatchWatch: "watch", msg.WatchReconnect: "reconnect", msg.WatchPing: "ping"}

// write describes one operation.
func (o *operation) write(b *strings.Builder) {
	num := func(n uint64) { b.WriteString(strconv.FormatUint(n, 10)) }
	word := func(s string) { b.WriteString(s) }
	word(o.op.Code.String())
	names := string(o.names[:o.n])
	switch c := o.op.Code; {
	case c.Kind() == msg.KindExec:
		x := o.op.Call()
		k, n := int(x.ClassLength), int(x.ClassLength)+int(x.MethodLength)
		if n <= len(names) {
			word(" " + names[:k] + "." + names[k:n])
		}
		word(" in=")
		num(uint64(n) + uint64(x.InputLength))
		word("b")
	case c.Kind() == msg.KindAttr && c != msg.OpGetXattrs:
		x := o.op.Xattr()
		word(" " + names[:min(int(x.NameLength), len(names))] + " (")
		num(uint64(x.ValueLength))
		word(")")
	case c == msg.OpTruncate:
		word(" ")
		num(o.op.Extent().Offset)
	case c == msg.OpWatch || c == msg.OpNotify || c == msg.OpNotifyAck:
		w := o.op.Watch()
		if c == msg.OpWatch {
			word(" " + watchOps[w.Op])
		}
		word(" cookie ")
		num(w.Cookie)
		if w.Generation != 0 {
			word(" gen ")
			num(uint64(w.Generation))
		}
	case c == msg.OpCopyFrom || c == msg.OpCopyFrom2:
		word(" ver ")
		num(o.op.CopyFrom().Version)
	case c == msg.OpRollback:
		word(" ")
		num(uint64(o.op.SnapID()))
	case c == msg.OpAssertVersion:
		word(" v")
		num(o.op.AssertVersion())
	case c == msg.OpSetAllocHint:
		object, size, _ := o.op.AllocHint()
		word(" object_size ")
		num(object)
		word(" write_size ")
		num(size)
	case c.Kind() == msg.KindPG:
		_, start := o.op.List()
		word(" start_epoch ")
		num(uint64(start))
	case extents[c]:
		x := o.op.Extent()
		word(" ")
		num(x.Offset)
		word("~")
		num(x.Length)
		if x.TruncateSeq != 0 {
			word(" [")
			num(uint64(x.TruncateSeq))
			word("@")
			num(x.TruncateSize)
			word("]")
		}
	}
}

// extents are the operations whose arguments are a range of bytes.
var extents = map[msg.OpCode]bool{
	msg.OpRead: true, msg.OpSyncRead: true, msg.OpSparseRead: true, msg.OpMapExt: true, msg.OpWrite: true, msg.OpWriteFull: true, msg.OpAppend: true,
	msg.OpZero: true, msg.OpCmpExt: true, msg.OpChecksum: true, msg.OpWriteSame: true,
}
