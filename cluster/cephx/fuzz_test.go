package cephx

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
)

// payloads adds those of golden auth frames.
func payloads(f *testing.F, add func(p []byte)) {
	for _, file := range golden.Names(f) {
		if !strings.Contains(file, "cephx") {
			continue
		}
		for _, lines := range golden.Session(f, file) {
			for _, l := range lines {
				var a authFields
				if json.Unmarshal(l.Fields, &a) == nil && a.Payload != "" {
					p, _ := hex.DecodeString(a.Payload)
					add(p)
				}
			}
		}
	}
}

// FuzzHandshake plays a client that says anything to a monitor and an OSD, and a
// server that says anything to a client.
func FuzzHandshake(f *testing.F) {
	payloads(f, func(p []byte) {
		f.Add(uint8(2), uint8(1), p, p)
		f.Add(uint8(1), uint8(2), p, []byte{})
	})
	w := newWorld(f, ModeCRC)
	f.Fuzz(func(t *testing.T, method, mode uint8, first, second []byte) {
		for _, s := range []*Server{w.mon, w.osd} {
			h := s.Handshake()
			step, err := h.Request(Method(method), []Mode{Mode(mode)}, first)
			if err == nil && step.Done == nil {
				step, err = h.More(second)
			}
			if err == nil && step.Done != nil {
				t.Errorf("%v let in: %+v", s.Service, step.Done.Identity)
			}
			c, _ := w.client.Handshake(s.Service)
			if _, _, _, err := c.Request(); err != nil {
				continue
			}
			c.More(first)
			if _, err := c.Done(1, Mode(mode), second); err == nil {
				t.Errorf("client takes %x for an answer", second)
			}
		}
	})
}

// FuzzTicket decodes plain text that was sealed with the right key, so that
// mutations reach inside.
func FuzzTicket(f *testing.F) {
	var e denc.Encoder
	(&ticketInfo{Name: alice, GlobalID: 4096, Caps: "allow r", Session: Key{KeyAES, ceph.Time{}, make(Secret, aesBytes)}}).encode(&e)
	f.Add(e.Bytes())
	f.Fuzz(func(t *testing.T, plain []byte) {
		key := Key{KeyAES, ceph.Time{}, make(Secret, aesBytes)}
		var info ticketInfo
		if key.take(key.seal(func(e *denc.Encoder) { e.Raw(plain) }), info.decode) != nil {
			return
		}
		var again denc.Encoder
		info.encode(&again)
		var twice ticketInfo
		d := denc.NewDecoder(again.Bytes())
		if twice.decode(d); d.Finish() != nil || !reflect.DeepEqual(info, twice) {
			t.Errorf("%+v came back as %+v, %v", info, twice, d.Err())
		}
	})
}

func FuzzAuthorizer(f *testing.F) {
	payloads(f, func(p []byte) { f.Add(p, []byte{}) })
	w := newWorld(f, ModeCRC)
	f.Fuzz(func(t *testing.T, p, plain []byte) {
		d := denc.NewDecoder(p)
		a := takeAuthorizer(d)
		if d.Finish() == nil {
			a.verify(w.keys, ceph.TypeOSD, captured)
		}
		// The same with a sound ticket and any proof under its key.
		g, err := holder{alice, 4096, nil}.grant(w.keys, ceph.TypeOSD)
		if err != nil {
			t.Fatal(err)
		}
		a = authorizer{4096, ceph.TypeOSD, g.Ticket, g.Session.seal(func(e *denc.Encoder) { e.Raw(plain) })}
		if _, p, err := a.verify(w.keys, ceph.TypeOSD, captured); err == nil {
			var e denc.Encoder
			if p.encode(&e); !bytes.Equal(e.Bytes(), plain) {
				t.Errorf("proof %x read as %+v", plain, p)
			}
		}
	})
}

// FuzzReplies decodes ticket replies, secrets and what Import takes.
func FuzzReplies(f *testing.F) {
	w := newWorld(f, ModeCRC)
	payloads(f, func(p []byte) { f.Add(p) })
	f.Add(w.keys.Export())
	f.Fuzz(func(t *testing.T, p []byte) {
		takeTickets(denc.NewDecoder(p), w.entities[alice].Key, nil)
		w.client.Reply(p)
		s := NewKeyServer(w.keys.now, newRandom())
		if s.Import(p) == nil {
			again := NewKeyServer(w.keys.now, newRandom())
			if err := again.Import(s.Export()); err != nil || !bytes.Equal(again.Export(), s.Export()) {
				t.Errorf("import, export, import: %v", err)
			}
		}
	})
}

func FuzzCaps(f *testing.F) {
	for _, s := range []string{"allow *", "allow rw pool=a namespace=b*, profile rbd pool=c", "allow command 'x y' with a=b c prefix d e regex f network 10.0.0.0/8", "allow r tag rbd *=*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseMonCaps(s); err == nil {
			c.Allow(MonRequest{Service: "osd", Need: PermRead, Command: "x y", Args: map[string]string{"a": s}})
			if !strings.Contains(s, "allow") && !strings.Contains(s, "profile") && len(c) > 0 {
				t.Errorf("%q grants %+v", s, c)
			}
		}
		if c, err := ParseOSDCaps(s); err == nil && c.Allow(OSDRequest{Pool: "p", Object: "o", Write: true}) && !strings.Contains(s, "allow") && !strings.Contains(s, "profile") {
			t.Errorf("%q lets write", s)
		}
	})
}

func FuzzKeyring(f *testing.F) {
	f.Add(sampleKeyring)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseKeyring(s)
		if err != nil {
			return
		}
		again, err := ParseKeyring(r.Text())
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%v: %q came back as %q", err, r.Text(), again.Text())
		}
	})
}
