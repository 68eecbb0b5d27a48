package cephx

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
)

// authFields is what the parser of the golden sessions found in auth frames.
type authFields struct {
	Method   Method `json:"method"`
	Modes    []Mode `json:"preferred_modes"`
	Payload  string `json:"payload"`
	Entity   string `json:"entity"`
	GlobalID uint64 `json:"global_id"`
	AuthMode int    `json:"auth_mode"`
	Result   int32  `json:"result"`
	Methods  []Method
	Allowed  []Method `json:"allowed_methods"`
	AllowedM []Mode   `json:"allowed_modes"`

	ClientChallenge string `json:"client_challenge"`
	ServerChallenge string `json:"server_challenge"`
	Nonce           string `json:"nonce"`
	Key             string `json:"key"`
	OtherKeys       uint32 `json:"other_keys"`
	Service         string `json:"service"`
	SecretID        uint64 `json:"secret_id"`
	ConMode         Mode   `json:"con_mode"`
	Secret          string `json:"connection_secret"`
	Tickets         []struct {
		SessionKey struct {
			Secret string `json:"secret"`
		} `json:"session_key"`
	} `json:"tickets"`
}

func unhex(t testing.TB, s string) []byte {
	p, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func number(t testing.TB, s string) uint64 {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// numbers is a random source that gives out certain numbers.
func numbers(v ...uint64) io.Reader {
	var p []byte
	for _, n := range v {
		p = binary.LittleEndian.AppendUint64(p, n)
	}
	return bytes.NewReader(p)
}

// captured is about when the sessions were.
var captured = time.Unix(0x6b02fc69, 0)

func goldenKey(t testing.TB, name string) Key {
	d := denc.NewDecoder(golden.Keys(t)[name])
	k := DecodeKey(d)
	if err := d.Finish(); err != nil {
		t.Fatalf("key of %s: %v", name, err)
	}
	return k
}

// exchanges calls f with the authentication of every CephX connection; those of
// one file share a value made by each.
func exchanges(t *testing.T, f func(t *testing.T, file string, frames []*golden.Line)) {
	for _, file := range golden.Names(t) {
		if !strings.Contains(file, "cephx") {
			continue
		}
		conns := golden.Session(t, file)
		for n := 1; n <= len(conns); n++ {
			var frames []*golden.Line
			for _, l := range conns[n] {
				if strings.HasPrefix(l.Tag, "AUTH_") && l.Tag != "AUTH_SIGNATURE" {
					frames = append(frames, l)
				}
			}
			if len(frames) > 0 {
				t.Run(file+"/"+strconv.Itoa(n), func(t *testing.T) { f(t, file, frames) })
			}
		}
	}
}

// TestGoldenClient plays the client of every CephX session: what it sends is what
// Ceph's sent, byte for byte, given the same random numbers.
func TestGoldenClient(t *testing.T) {
	clients := map[uint64]*Client{} // by global id, so that tickets are found again
	checked := 0
	exchanges(t, func(t *testing.T, file string, frames []*golden.Line) {
		var c *Client
		var h *ClientHandshake
		for i, l := range frames {
			var f authFields
			l.Decode(t, &f)
			switch l.Tag {
			case "AUTH_REQUEST":
				if h == nil {
					o := ClientOptions{Modes: f.Modes, MonModes: f.Modes, Now: func() time.Time { return captured }}
					to := ceph.TypeMon
					if f.AuthMode == kindAuthorizer {
						to, _ = ceph.ParseEntityType(f.Service)
						c = clients[f.GlobalID]
						if c == nil {
							t.Skip("the login is not in the file")
						}
						c.o.Modes, c.o.MonModes, c.o.Rand = f.Modes, f.Modes, numbers(number(t, f.Nonce))
					} else {
						o.Name, _ = ceph.ParseEntityName(f.Entity)
						o.Key, o.Methods = goldenKey(t, f.Entity), []Method{MethodNone, MethodCephX}
						if f.Method == MethodCephX {
							o.Methods = o.Methods[1:]
						} else {
							o.MonModes = []Mode{ModeSecure, ModeCRC} // for the next method
						}
						for _, later := range frames[i:] {
							var f authFields
							later.Decode(t, &f)
							if f.ClientChallenge != "" {
								o.Rand, o.Services = numbers(number(t, f.ClientChallenge)), f.OtherKeys
							}
							if later.Tag == "AUTH_REQUEST" && f.Method == MethodCephX {
								o.MonModes = f.Modes
							}
						}
						var err error
						if c, err = NewClient(o); err != nil {
							t.Fatal(err)
						}
					}
					h, _ = c.Handshake(to)
				}
				m, modes, payload, err := h.Request()
				if err != nil {
					t.Fatal(err)
				}
				if m != f.Method || len(modes) != len(f.Modes) || !bytes.Equal(payload, unhex(t, f.Payload)) {
					t.Errorf("request %v %v %x\nwant %v %v %s", m, modes, payload, f.Method, f.Modes, f.Payload)
				}
			case "AUTH_REPLY_MORE":
				var next authFields
				frames[i+1].Decode(t, &next)
				if file == "session-cephx-bad-key.jsonl" {
					return // the key in use is not known
				}
				reply, err := h.More(unhex(t, f.Payload))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(reply, unhex(t, next.Payload)) {
					t.Errorf("answer %x\nwant %s", reply, next.Payload)
				}
			case "AUTH_BAD_METHOD":
				err := h.Refused(&Refusal{Method: f.Method, Result: ceph.Errno(f.Result), Methods: f.Allowed, Modes: f.AllowedM})
				if err != nil {
					t.Error(err)
				}
			case "AUTH_DONE":
				s, err := h.Done(f.GlobalID, f.ConMode, unhex(t, f.Payload))
				if err != nil {
					t.Fatal(err)
				}
				if len(f.Tickets) > 0 && !bytes.Equal(s.Key, unhex(t, f.Tickets[0].SessionKey.Secret)) {
					t.Error("another session key")
				}
				if !bytes.Equal(s.Secret, unhex(t, f.Secret)) {
					t.Error("another connection secret")
				}
				clients[f.GlobalID] = c
				checked++
			}
		}
	})
	if checked < 15 {
		t.Errorf("%d handshakes, fewer than there are", checked)
	}
}

// oneEntity is a monitor's table of those whose keys are known.
type goldenEntities struct{ t testing.TB }

func (g goldenEntities) Entity(n ceph.EntityName) (Entity, bool) {
	if _, ok := golden.Keys(g.t)[n.String()]; !ok {
		return Entity{}, false
	}
	return Entity{Key: goldenKey(g.t, n.String())}, true
}

// TestGoldenServer gives a monitor the requests of real clients, with the
// challenges they had: it lets in and refuses whom the real one did. The replies
// of the real one, taken apart, assemble to the same bytes.
func TestGoldenServer(t *testing.T) {
	keys := NewKeyServer(func() time.Time { return captured }, newRandom())
	if _, err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	let, refused := 0, 0
	exchanges(t, func(t *testing.T, file string, frames []*golden.Line) {
		s := &Server{
			Service: ceph.TypeMon, Methods: []Method{MethodCephX}, Modes: []Mode{ModeSecure, ModeCRC}, Now: keys.now,
			Login: &Login{Entities: goldenEntities{t}, Servers: keys, NewGlobalID: func() (uint64, error) { return 4096, nil }},
		}
		h := s.Handshake()
		var step Step
		var err error
		var entity string
		for i, l := range frames {
			var f authFields
			l.Decode(t, &f)
			switch l.Tag {
			case "AUTH_REQUEST":
				if f.AuthMode != kindLogin {
					t.Skip("to a service: its secrets are not known")
				}
				entity = f.Entity
				var next authFields
				frames[i+1].Decode(t, &next)
				if next.ServerChallenge != "" {
					s.Rand = io.MultiReader(numbers(number(t, next.ServerChallenge)), newRandom())
				}
				step, err = h.Request(f.Method, f.Modes, unhex(t, f.Payload))
			case "AUTH_REQUEST_MORE":
				step, err = h.More(unhex(t, f.Payload))
			case "AUTH_REPLY_MORE":
				if err != nil || step.Done != nil || !bytes.Equal(step.Reply, unhex(t, f.Payload)) {
					t.Errorf("replied %x, %v; want %s", step.Reply, err, f.Payload)
				}
			case "AUTH_BAD_METHOD":
				r, ok := err.(*Refusal)
				if !ok || r.Method != f.Method || r.Result != ceph.Errno(f.Result) {
					t.Errorf("refused with %v, want %v", err, ceph.Errno(f.Result))
				}
				refused++
			case "AUTH_DONE":
				if err != nil || step.Done == nil || step.Done.Mode != f.ConMode {
					t.Fatalf("not let in: %v", err)
				}
				let++
				again(t, goldenKey(t, entity), unhex(t, f.Payload))
			}
		}
	})
	if let < 9 || refused < 2 {
		t.Errorf("%d let in and %d refused, fewer than there are", let, refused)
	}
}

// again takes a real monitor's AUTH_DONE apart and puts it together.
func again(t *testing.T, key Key, payload []byte) {
	d := denc.NewDecoder(payload)
	d.U16()
	d.I32()
	grants, err := takeTickets(d, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	var secret Secret
	in := denc.NewDecoder(d.Bytes())
	if err := grants[0].Session.takeSealed(in, func(d *denc.Decoder) { secret = d.Bytes() }); err != nil {
		t.Fatal(err)
	}
	var more []grant
	if p := d.Bytes(); len(p) > 0 {
		if more, err = takeTickets(denc.NewDecoder(p), grants[0].Session, nil); err != nil {
			t.Fatal(err)
		}
	}
	var e denc.Encoder
	putLoginReply(&e, key, nil, grants[0], secret, more)
	if !bytes.Equal(e.Bytes(), payload) {
		t.Errorf("assembled\n%x\nwant\n%x", e.Bytes(), payload)
	}
}

// TestGoldenRotating reads the secrets a real OSD got, and with them the tickets
// that clients of the same cluster showed to OSDs.
func TestGoldenRotating(t *testing.T) {
	var keys ServiceKeys
	keys.Service = ceph.TypeOSD
	for _, l := range golden.Session(t, "session-cephx-osd-rotating.jsonl")[1] {
		if l.Tag != "MESSAGE" || l.Client() {
			continue
		}
		var f struct {
			Type int `json:"type"`
		}
		l.Decode(t, &f)
		if f.Type != 18 {
			continue
		}
		d := denc.NewDecoder(l.Segments[1])
		d.U32() // protocol
		d.I32() // result
		d.U64() // global id
		blob := d.Bytes()
		c, err := NewClient(ClientOptions{Name: ceph.EntityName{Type: ceph.TypeOSD, ID: "8"}, Key: goldenKey(t, "osd.8"), Methods: []Method{MethodCephX}})
		if err != nil {
			t.Fatal(err)
		}
		set, err := c.Reply(blob)
		if err != nil {
			t.Fatal(err)
		}
		if len(set) != kept {
			t.Errorf("%d secrets, want %d", len(set), kept)
		}
		keys.Set(set)
		var e denc.Encoder
		e.U16(reqRotating)
		e.I32(0)
		goldenKey(t, "osd.8").putSealed(&e, set.Encode)
		if !bytes.Equal(e.Bytes(), blob) {
			t.Errorf("assembled %x\nwant %x", e.Bytes(), blob)
		}
	}
	opened, others := 0, 0
	exchanges(t, func(t *testing.T, file string, frames []*golden.Line) {
		s := &Server{Service: ceph.TypeOSD, Methods: []Method{MethodCephX}, Modes: []Mode{ModeCRC, ModeSecure}, Keys: &keys, Now: func() time.Time { return captured }}
		h := s.Handshake()
		for i, l := range frames {
			var f authFields
			l.Decode(t, &f)
			switch {
			case l.Tag == "AUTH_REQUEST" && f.Service == "osd":
				var next authFields
				frames[i+1].Decode(t, &next)
				var done authFields
				frames[len(frames)-1].Decode(t, &done)
				s.Rand = io.MultiReader(numbers(number(t, next.ServerChallenge)), bytes.NewReader(unhex(t, done.Secret)))
				if _, ok := keys.TicketKey(ceph.TypeOSD, f.SecretID); !ok {
					others++
					return
				}
				step, err := h.Request(f.Method, f.Modes, unhex(t, f.Payload))
				if err != nil {
					others++ // of the time before the secrets were made anew
					return
				}
				if !bytes.Equal(step.Reply, unhex(t, next.Payload)) {
					t.Errorf("challenge %x, want %s", step.Reply, next.Payload)
				}
			case l.Tag == "AUTH_REQUEST_MORE" && h.expect != nil:
				step, err := h.More(unhex(t, f.Payload))
				if err != nil {
					t.Fatal(err)
				}
				var done authFields
				frames[len(frames)-1].Decode(t, &done)
				if !bytes.Equal(step.Reply, unhex(t, done.Payload)) {
					t.Errorf("replied %x, want %s", step.Reply, done.Payload)
				}
				if step.Done.Name.String() != "client.admin" || step.Done.Caps != "allow *" {
					t.Errorf("identity %+v", step.Done.Identity)
				}
				opened++
			}
		}
	})
	if opened != 2 || others != 0 {
		t.Errorf("%d tickets for OSDs opened, %d of other secrets", opened, others)
	}
}
