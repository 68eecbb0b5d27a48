package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeLog, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &Log{paxos(d), ceph.DecodeUUID(d), denc.Slice(d, 40, DecodeLogEntry)}
	})
	register(TypeLogAck, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &LogAck{ceph.DecodeUUID(d), d.U64(), d.Str()}
	})
}

// LogEntry is a line of the cluster's log.
type LogEntry struct {
	Name     ceph.EntityName
	Rank     ceph.EntityID
	Addrs    ceph.AddrVec
	Stamp    ceph.Time
	Seq      uint64
	Priority uint16 // LogDebug …
	Text     string
	Channel  string // cluster, audit
}

// Priorities of a LogEntry.
const (
	LogDebug uint16 = iota
	LogInfo
	LogSec
	LogWarn
	LogError
)

// Encode appends the entry, v5.
func (l LogEntry) Encode(e *denc.Encoder) {
	m := e.Begin(5, 5)
	l.Name.Encode(e)
	l.Rank.Encode(e)
	l.Addrs.Encode(e)
	l.Stamp.Encode(e)
	e.U64(l.Seq)
	e.U16(l.Priority)
	e.Str(l.Text)
	e.Str(l.Channel)
	e.End(m)
}

// DecodeLogEntry reads a line.
func DecodeLogEntry(d *denc.Decoder) (l LogEntry) {
	s := d.Begin(5)
	if s.Version < 5 && d.Err() == nil {
		d.Failf("log entry of version %d, want 5", s.Version)
	}
	l = LogEntry{ceph.DecodeEntityName(d), ceph.DecodeEntityID(d), ceph.DecodeAddrVec(d), ceph.DecodeTime(d), d.U64(), d.U16(), d.Str(), d.Str()}
	d.End(s)
	return l
}

// Log carries lines to the monitors, and from them to those who watch.
type Log struct {
	Paxos
	FSID    ceph.UUID
	Entries []LogEntry
}

// Kind returns log v1.
func (m *Log) Kind() Kind { return Kind{TypeLog, 1, 1} }

// Encode appends the front.
func (m *Log) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	denc.PutSlice(e, m.Entries, func(e *denc.Encoder, l LogEntry) { l.Encode(e) })
}

// LogAck says up to which line the monitors have the sender's log.
type LogAck struct {
	FSID    ceph.UUID
	Last    uint64
	Channel string
}

// Kind returns logack v1.
func (m *LogAck) Kind() Kind { return Kind{TypeLogAck, 1, 1} }

// Encode appends the front.
func (m *LogAck) Encode(e *denc.Encoder) {
	m.FSID.Encode(e)
	e.U64(m.Last)
	e.Str(m.Channel)
}
