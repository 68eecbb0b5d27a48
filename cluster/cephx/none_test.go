package cephx

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
)

// TestNone takes everybody's word, in crc mode only, and keeps a global id that a
// client names.
func TestNone(t *testing.T) {
	w := newWorld(t, ModeCRC)
	for _, s := range []*Server{w.mon, w.osd} {
		s.Methods = []Method{MethodNone}
	}
	c, err := NewClient(ClientOptions{Name: alice, Methods: []Method{MethodNone}, MonModes: []Mode{ModeSecure}, Modes: []Mode{ModeSecure}, Now: w.mon.Now, Rand: newRandom()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Server{w.mon, w.osd, w.mon} {
		a, b, err := talk(c, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Mode != ModeCRC || b.Mode != ModeCRC || len(a.Key)+len(b.Key) != 0 || b.Name != alice || b.GlobalID != 4096 || !b.AllowAll {
			t.Errorf("%v: %+v", s.Service, b)
		}
	}
	if c.GlobalID() != 4096 {
		t.Errorf("global id %d", c.GlobalID())
	}
	h, _ := c.Handshake(ceph.TypeOSD)
	if _, _, _, err := h.Request(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Done(1, ModeSecure, nil); err == nil {
		t.Error("secure mode without a key")
	}
	if _, err := h.Done(1, ModeCRC, []byte{1}); err == nil {
		t.Error("something in the end of an authentication by none")
	}
	if _, err := h.More(nil); err == nil {
		t.Error("challenge by none")
	}
	if _, err := w.osd.Handshake().Request(MethodNone, []Mode{ModeCRC}, []byte{kindAuthorizer, 1}); err == nil {
		t.Error("half an authorizer")
	}
	if _, err := w.mon.Handshake().Request(MethodNone, []Mode{ModeCRC}, []byte{kindLogin, 1}); err == nil {
		t.Error("half a login")
	}
}

// TestDishonestServer ends a handshake in ways that no honest server does.
func TestDishonestServer(t *testing.T) {
	w := newWorld(t, ModeSecure)
	if _, _, err := talk(w.client, w.mon, nil); err != nil {
		t.Fatal(err)
	}
	for _, to := range []*Server{w.mon, w.osd} {
		h, _ := w.client.Handshake(to.Service)
		m, modes, p, err := h.Request()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Done(4096, ModeSecure, nil); err == nil || !strings.Contains(err.Error(), "challenge") {
			t.Errorf("%v: end without a challenge: %v", to.Service, err)
		}
		s := to.Handshake()
		step, err := s.Request(m, modes, p)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = h.More(step.Reply); err != nil {
			t.Fatal(err)
		}
		if _, err := h.More(step.Reply); err == nil {
			t.Errorf("%v: second challenge", to.Service)
		}
		h.step = 1
		if step, err = s.More(p); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Done(4096, ModeCRC, step.Reply); err == nil {
			t.Errorf("%v: down to crc mode, which was not offered", to.Service)
		}
		w.client.o.Modes, w.client.o.MonModes = []Mode{ModeSecure, ModeCRC}, []Mode{ModeSecure, ModeCRC}
		if _, err := h.Done(4096, ModeCRC, step.Reply); err == nil {
			t.Errorf("%v: crc mode with a connection secret", to.Service)
		}
		if _, err := h.Done(4096, ModeSecure, step.Reply[:len(step.Reply)-1]); err == nil {
			t.Errorf("%v: cut short", to.Service)
		}
		if _, err := h.Done(4096, ModeSecure, step.Reply); err != nil {
			t.Errorf("%v: %v", to.Service, err)
		}
		w.client.o.Modes, w.client.o.MonModes = []Mode{ModeSecure}, []Mode{ModeSecure}
	}
}

// TestClientOptions refuses a client that could prove nothing, and goes through the
// methods both sides have.
func TestClientOptions(t *testing.T) {
	if _, err := NewClient(ClientOptions{Name: alice}); err == nil {
		t.Error("no method")
	}
	if _, err := NewClient(ClientOptions{Name: alice, Methods: []Method{MethodCephX}}); err == nil {
		t.Error("no key")
	}
	w := newWorld(t, ModeCRC)
	if _, err := w.client.Renew(); !errors.Is(err, errTicket) {
		t.Errorf("renewal without a ticket: %v", err)
	}
	if _, err := w.client.Reply([]byte{0, 2, 0, 0, 0, 0}); !errors.Is(err, errTicket) {
		t.Errorf("tickets out of the blue: %v", err)
	}
	if _, err := w.client.Reply([]byte{0, 4, 0xf3, 0xff, 0xff, 0xff}); !errors.Is(err, ceph.EACCES) {
		t.Errorf("refused request: %v", err)
	}
	if _, _, err := talk(w.client, w.osd, nil); !errors.Is(err, errTicket) {
		t.Errorf("OSD without a ticket: %v", err)
	}
	h, _ := w.client.Handshake(ceph.TypeMon)
	no := &Refusal{Method: MethodCephX, Result: ceph.EOPNOTSUPP, Methods: []Method{MethodNone}, Reason: "x"}
	if err := h.Refused(no); !errors.Is(err, ceph.EOPNOTSUPP) {
		t.Errorf("no method in common: %v", err)
	}
	for _, s := range []string{no.Error(), fmt.Sprint(MethodNone, MethodCephX, Method(9)), fmt.Sprint(ModeCRC, ModeSecure, Mode(9)), PermAll.String() + (PermRead | PermExec).String()} {
		if s == "" {
			t.Error("nothing is printed")
		}
	}
	if got := PermAll.String() + (PermRead | PermExec).String(); got != "*rx" {
		t.Errorf("permissions print as %q", got)
	}
}
