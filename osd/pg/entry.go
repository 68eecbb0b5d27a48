package pg

import (
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// Entry is a request in the log.
type Entry struct {
	Version     ceph.EVersion
	Object      ceph.HObject
	ReqID       ceph.ReqID
	Result      int32 // 0 or more: it happened
	UserVersion uint64
	Prior       ceph.EVersion // the object's version, or the entry before
	Results     []int32       // of the operations; none: all are 0, without output
	Outputs     [][]byte      // likewise
	Codes       []msg.OpCode  // likewise, as they are echoed
	MTime       ceph.Time
	Stats       Stats // of the PG, with this entry
}

// Stats is what a PG holds and has done.
type Stats struct {
	Objects, Clones, Bytes, Whiteouts, OmapObjects int64
	Reads, ReadKB, Writes, WriteKB                 int64
}

// Sum returns the statistics as they are reported.
func (s Stats) Sum() msg.ObjectSum {
	return msg.ObjectSum{
		Bytes: s.Bytes, Objects: s.Objects, Clones: s.Clones, Copies: s.Objects, Dirty: s.Objects, Whiteouts: s.Whiteouts, OmapObjects: s.OmapObjects,
		Reads: s.Reads, ReadKB: s.ReadKB, Writes: s.Writes, WriteKB: s.WriteKB,
	}
}

// key is where an entry lies in the omap: sorted by version.
func (e *Entry) key() string { return logKey(e.Version) }

func logKey(v ceph.EVersion) string { return fmt.Sprintf("%010d.%020d", v.Epoch, v.Version) }

// The keys of entries lie between these; the PG's other keys do not.
const (
	firstLogKey = "0"
	lastLogKey  = ":"
)

func (s *Stats) fields() [9]*int64 {
	return [9]*int64{&s.Objects, &s.Clones, &s.Bytes, &s.Whiteouts, &s.OmapObjects, &s.Reads, &s.ReadKB, &s.Writes, &s.WriteKB}
}

func (s *Stats) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	for _, f := range s.fields() {
		e.I64(*f)
	}
	e.End(m)
}

func decodeStats(d *denc.Decoder) (s Stats) {
	m := d.Begin(1)
	for _, f := range s.fields() {
		*f = d.I64()
	}
	d.End(m)
	return s
}

// Encode appends the entry, struct v1 of our own.
func (n *Entry) Encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	n.Version.Encode(e)
	n.Object.Encode(e)
	n.ReqID.Encode(e)
	e.I32(n.Result)
	e.U64(n.UserVersion)
	n.Prior.Encode(e)
	n.encodeOps(e)
	n.MTime.Encode(e)
	n.Stats.encode(e)
	e.End(m)
}

// encodeOps appends what the operations came to.
func (n *Entry) encodeOps(e *denc.Encoder) {
	e.U32(uint32(len(n.Results)))
	for i := range n.Results {
		e.I32(n.Results[i])
		e.Blob(n.Outputs[i])
		e.U16(uint16(n.Codes[i]))
	}
}

func (n *Entry) decodeOps(d *denc.Decoder) {
	for range d.Count(10) {
		n.Results, n.Outputs, n.Codes = append(n.Results, d.I32()), append(n.Outputs, d.Bytes()), append(n.Codes, msg.OpCode(d.U16()))
	}
}

func (n *Entry) bytes() []byte {
	e := denc.NewEncoder(make([]byte, 0, 384))
	n.Encode(e)
	return e.Bytes()
}

// DecodeEntry reads an entry.
func DecodeEntry(p []byte) (*Entry, error) {
	d := denc.NewDecoder(p)
	n := &Entry{}
	s := d.Begin(1)
	n.Version, n.Object, n.ReqID = ceph.DecodeEVersion(d), ceph.DecodeHObject(d), ceph.DecodeReqID(d)
	n.Result, n.UserVersion = d.I32(), d.U64()
	n.Prior = ceph.DecodeEVersion(d)
	n.decodeOps(d)
	n.MTime, n.Stats = ceph.DecodeTime(d), decodeStats(d)
	d.End(s)
	return n, d.Finish()
}
