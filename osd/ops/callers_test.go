package ops

import (
	"encoding/json"
	"reflect"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
	"ebofs/cluster/msg"
	"ebofs/osd/cls/lock"
)

// caller is a client as an OSD knows it.
type caller struct {
	client ceph.EntityID
	addr   ceph.Addr
}

// callers is who is behind the captured connections. Requests do not say it, but
// later listings of locks and watchers do: who took a lock with that cookie.
type callers map[string]caller

// of returns the caller of a connection; all of whom nothing is known are one.
func (w callers) of(conn string) caller {
	if c, ok := w[conn]; ok {
		return c
	}
	return caller{client: ceph.EntityID{Type: ceph.TypeClient, Num: 1}}
}

func callersOf(t *testing.T, file string) callers {
	t.Helper()
	type taken struct{ object, cookie string }
	by := map[taken]string{} // locks and watches → connection
	who := callers{}
	for line := range golden.Lines(t, file) {
		var c captured
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if c.Req == nil || c.Rep == nil || c.Req.Type != uint16(msg.TypeOSDOp) {
			continue
		}
		m := c.unpack(t, false).(*msg.OSDOp)
		reply := c.unpack(t, true).(*msg.OSDOpReply)
		if reply.Result < 0 {
			continue
		}
		for i := range m.Ops {
			class, method, input, err := "", "", []byte(nil), error(nil)
			if m.Ops[i].Code == msg.OpCall {
				if class, method, input, err = callArgs(&m.Ops[i]); err != nil || class != "lock" {
					continue
				}
			}
			d := denc.NewDecoder(input)
			switch method {
			case "lock":
				d.Begin(1)
				d.Str()
				d.U8()
				by[taken{m.Name, d.Str()}] = c.Conn
			case "get_info":
				l := lock.DecodeInfo(denc.NewDecoder(reply.Ops[i].Data))
				for k, h := range l.Lockers {
					if conn, ok := by[taken{m.Name, k.Cookie}]; ok {
						who[conn] = caller{k.Client, h.Addr}
					}
				}
			}
		}
	}
	return who
}

// sameCall compares outputs of a method but for what depends on the clock of the
// OSD, of which the capture has that of its clients, and on chance.
func sameCall(op *msg.Op, got, want []byte) bool {
	_, method, _, err := callArgs(op)
	if err != nil || len(got) != len(want) || len(want) == 0 {
		return err == nil && len(got) == len(want)
	}
	switch method {
	case "get_create_timestamp", "get_access_timestamp", "get_modify_timestamp":
		return near(got, want)
	case "get_info":
		a, b := lock.DecodeInfo(denc.NewDecoder(got)), lock.DecodeInfo(denc.NewDecoder(want))
		for _, l := range []*lock.Info{&a, &b} {
			for k, h := range l.Lockers {
				h.Until.Nsec = 0
				l.Lockers[k] = h
			}
		}
		return reflect.DeepEqual(a, b)
	case "snapshot_get":
		n := len(want)
		if !near(got[n-12:], want[n-12:]) {
			return false
		}
		fixed := n - 12
		if kind := want[20]; kind == 2 { // in the trash, with a name drawn at random
			fixed -= 8 + 36
			if string(got[n-20:n-12]) != string(want[n-20:n-12]) {
				return false
			}
		}
		return string(got[:fixed]) == string(want[:fixed])
	}
	return string(got) == string(want)
}

// near reports whether two times are less than two seconds apart.
func near(a, b []byte) bool {
	x, y := ceph.DecodeTime(denc.NewDecoder(a)).Std(), ceph.DecodeTime(denc.NewDecoder(b)).Std()
	return x.Sub(y).Abs().Seconds() < 2
}
