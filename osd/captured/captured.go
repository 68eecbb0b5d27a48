package captured

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/golden"
	"ebofs/cluster/msg"
)

// Request is a captured request and its reply.
type Request struct {
	Cmd  string // what its user typed
	Conn string // client's port > OSD's port
	*msg.OSDOp
	Reply *msg.OSDOpReply

	// Whole and WholeReply tell that all data was kept.
	Whole, WholeReply bool

	// Client and Addr are whose request it is and where from; of whom nothing is
	// known is client.1.
	Client ceph.EntityID
	Addr   ceph.Addr
}

// earlier is what was captured before a scenario in the same pool.
var earlier = map[string][]string{
	"rbd-snap-clone":    {"rbd-basic"},
	"rbd-snap-clone-v2": {"rbd-basic", "rbd-snap-clone"},
	"rbd-import-export": {"rbd-basic", "rbd-snap-clone", "rbd-snap-clone-v2"},
}

// Scenario returns the requests of a scenario, by its name, in the order in which
// they were made, and before them those that made what it found.
func Scenario(t testing.TB, name string) (before, all []*Request) {
	t.Helper()
	for _, e := range earlier[name] {
		before = append(before, read(t, e)...)
	}
	return before, read(t, name)
}

// frame is a message in a file.
type frame struct {
	Type, Version, Compat uint16
	Front                 string
	Data                  *string // nil: only the beginning was kept
	DataHead              string  `json:"data_head"`
	DataLen               int     `json:"data_len"`
}

// filler is what was not kept: bulk data is hardly zeros.
const filler = 0xa5

func (f *frame) whole() bool { return f.Data != nil || f.DataLen == 0 }

func (f *frame) unpack(t testing.TB) msg.Payload {
	t.Helper()
	kept := f.DataHead
	if f.Data != nil {
		kept = *f.Data
	}
	front, err := hex.DecodeString(f.Front)
	if err != nil {
		t.Fatal(err)
	}
	head, err := hex.DecodeString(kept)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, f.DataLen)
	for i := copy(data, head); i < len(data); i++ {
		data[i] = filler
	}
	m, err := msg.Unpack(&msg.Message{Type: msg.Type(f.Type), Version: f.Version, Compat: f.Compat, Front: front, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read returns the requests of a file.
func read(t testing.TB, name string) (all []*Request) {
	t.Helper()
	for line := range golden.Lines(t, golden.Files(t, "ops/"+name+".jsonl*")[0]) {
		var c struct {
			Cmd, Conn string
			Req, Rep  *frame
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if c.Req == nil || c.Rep == nil || c.Req.Type != uint16(msg.TypeOSDOp) {
			continue
		}
		all = append(all, &Request{
			Cmd: c.Cmd, Conn: c.Conn, Whole: c.Req.whole(), WholeReply: c.Rep.whole(),
			OSDOp: c.Req.unpack(t).(*msg.OSDOp), Reply: c.Rep.unpack(t).(*msg.OSDOpReply),
		})
	}
	identify(all)
	return all
}
