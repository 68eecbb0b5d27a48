package msg

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
	"ebofs/cluster/monmap"
)

// frame is a captured message: as cluster/testdata/ops and .../wire write them.
type frame struct {
	Type, Version, Compat uint16
	Front                 string
	FrontHex              string `json:"front_hex"`
	Data                  *string
	DataHex               string `json:"data_hex"`
	DataLen               int    `json:"data_len"`
	Decoded               struct {
		Ops []struct{ Op, Code string }
	}
}

// bytes returns front and data; data that was too long to keep is zeros.
func (f *frame) bytes(t *testing.T) (front, data []byte) {
	t.Helper()
	front, err := hex.DecodeString(f.Front + f.FrontHex)
	if err != nil {
		t.Fatal(err)
	}
	data = make([]byte, f.DataLen)
	kept := f.DataHex
	if f.Data != nil {
		kept = *f.Data
	}
	p, err := hex.DecodeString(kept)
	if err != nil {
		t.Fatal(err)
	}
	copy(data, p)
	return front, data
}

// roundTrip decodes a message and wants the same bytes when it is encoded.
func roundTrip(t *testing.T, where string, f *frame) Payload {
	t.Helper()
	front, data := f.bytes(t)
	p, err := Unpack(&Message{Type: Type(f.Type), Version: f.Version, Compat: f.Compat, Front: front, Data: data})
	if err != nil {
		t.Fatalf("%s: %v: %x", where, err, front)
	}
	if r, ok := p.(*MgrReport); ok {
		if _, err := r.Metrics(); err != nil {
			t.Fatalf("%s: health metrics: %v: %x", where, err, front)
		}
	}
	m := Pack(p)
	same := bytes.Equal(m.Front, front)
	if _, ok := p.(*MonSubscribe); ok {
		same = len(m.Front) == len(front) // one was captured from a program that did not sort
	}
	if m.Type != Type(f.Type) || m.Version == f.Version && (m.Compat != f.Compat || !same) {
		t.Fatalf("%s: %v %+v\n is %x\nnow %x", where, m, p, front, m.Front)
	}
	if !bytes.Equal(m.Data, data) {
		t.Fatalf("%s: %v: was %d bytes of data", where, m, len(data))
	}
	return p
}

// TestOSDMessages: every captured request and reply, and what OSDs send unasked.
func TestOSDMessages(t *testing.T) {
	n := map[Type]int{}
	for _, name := range golden.Files(t, "ops/*.jsonl*") {
		for line := range golden.Lines(t, name) {
			var c struct{ Req, Rep, Msg, Unpaired *frame }
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, f := range []*frame{c.Req, c.Rep, c.Msg} {
				if f == nil {
					continue
				}
				p := roundTrip(t, filepath.Base(name), f)
				n[Type(f.Type)]++
				if m, ok := p.(*OSDOp); ok {
					checkOps(t, m, f)
				}
			}
		}
	}
	for typ, least := range map[Type]int{TypeOSDOp: 800, TypeOSDOpReply: 800, TypeWatchNotify: 10, TypeOSDBackoff: 3} {
		if n[typ] < least {
			t.Errorf("%v: only %d of %d", typ, n[typ], least)
		}
	}
}

// checkOps compares codes and names of a request with the captured reading.
func checkOps(t *testing.T, m *OSDOp, f *frame) {
	t.Helper()
	for i, want := range f.Decoded.Ops {
		o := &m.Ops[i]
		name := strings.ReplaceAll(want.Op, "write-same", "writesame")
		if got := fmt.Sprintf("%#04x", uint16(o.Code)); got != want.Code || o.Code.String() != name {
			t.Fatalf("op %d: %v %s, want %s %s", i, o.Code, got, want.Op, want.Code)
		}
	}
}

// FuzzDecode: the front of any message, and one byte of data for each of its own.
func FuzzDecode(f *testing.F) {
	for line := range golden.Lines(f, golden.Files(f, "wire/messages.jsonl")[0]) {
		var m frame
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		front, err := hex.DecodeString(m.FrontHex)
		if err == nil && Type(m.Type).Known() {
			f.Add(m.Type, m.Version, front)
		}
	}
	data := make([]byte, 4096)
	f.Fuzz(func(t *testing.T, typ, version uint16, front []byte) {
		p, err := Unpack(&Message{Type: Type(typ), Version: version, Compat: 1, Front: front, Data: data})
		if err != nil {
			return
		}
		if r, ok := p.(*MgrReport); ok {
			_, _ = r.Metrics()
		}
		one := Pack(p)
		one.Data = data
		if p, err = Unpack(one); err != nil {
			t.Fatalf("%v: %x", err, one.Front)
		}
		if two := Pack(p); !bytes.Equal(one.Front, two.Front) {
			t.Fatalf("%x, then %x", one.Front, two.Front)
		}
	})
}

// TestMessages: every captured message of a type we know, and which we do not.
func TestMessages(t *testing.T) {
	unknown := map[Type]bool{
		45:    true, // fs_map
		0x705: true, // mgr_digest
		0x706: true, // mon_mgr_report
		0x707: true, // service_map
	}
	n := 0
	for line := range golden.Lines(t, golden.Files(t, "wire/messages.jsonl")[0]) {
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		if !Type(f.Type).Known() {
			if !unknown[Type(f.Type)] {
				t.Errorf("%v is not known", Type(f.Type))
			}
			continue
		}
		p := roundTrip(t, "messages.jsonl", &f)
		n++
		if m, ok := p.(*MonMap); ok {
			d := denc.NewDecoder(m.Map)
			v := monmap.Decode(d)
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			var e denc.Encoder
			v.Encode(&e)
			if !bytes.Equal(e.Bytes(), m.Map) || v.Rank("a") != 0 || v.At(0).Addrs.String() != "[v2:127.0.0.1:3301/0,v1:127.0.0.1:6790/0]" {
				t.Fatalf("%+v\n is %x\nnow %x", v, m.Map, e.Bytes())
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d messages", n)
	}
}

// TestEmptyMgrMap holds the map without a manager against its known size: 72
// bytes in the version before, four more now.
func TestEmptyMgrMap(t *testing.T) {
	m := Pack(&MgrMap{Epoch: 1})
	if len(m.Front) != 76 {
		t.Errorf("%d bytes, want 76: %x", len(m.Front), m.Front)
	}
	if _, err := Unpack(m); err != nil {
		t.Error(err)
	}
}
