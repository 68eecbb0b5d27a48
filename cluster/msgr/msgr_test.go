package msgr

import (
	"bytes"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
)

// TestRoundTrip sends messages of all sizes over TCP to a monitor and, with the
// ticket from there, to an OSD, in every combination of method and mode.
func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method cephx.Method
		mode   cephx.Mode
	}{{"none", cephx.MethodNone, cephx.ModeCRC}, {"cephx-crc", cephx.MethodCephX, cephx.ModeCRC}, {"cephx-secure", cephx.MethodCephX, cephx.ModeSecure}} {
		t.Run(tc.name, func(t *testing.T) {
			cl := newCluster(t, tc.method, tc.mode)
			echo := newRecorder()
			echo.on = func(c *Conn, m *msg.Message) {
				reply := &msg.Message{Type: m.Type, TID: m.TID, Front: m.Front, Middle: m.Middle, Data: m.Data}
				if err := c.Send(reply); err != nil {
					t.Error(err)
				}
			}
			mon := start(t, cl.options(t, name(ceph.TypeMon, "0"), echo), true)
			osd := start(t, cl.options(t, name(ceph.TypeOSD, "3"), echo), true)
			got := newRecorder()
			replies := make(chan *msg.Message, 100)
			got.on = func(_ *Conn, m *msg.Message) { m.Hold(); replies <- m }
			client := start(t, cl.options(t, name(ceph.TypeClient, "admin"), got), false)
			for _, to := range []struct {
				m *Messenger
				t ceph.EntityType
			}{{mon, ceph.TypeMon}, {osd, ceph.TypeOSD}} {
				c, err := client.Connect(to.m.Addrs(), to.t, LossyClient)
				if err != nil {
					t.Fatal(err)
				}
				sizes := []int{0, 1, 100, 5000, 70_000, 1 << 20}
				for i, n := range sizes {
					err := c.Send(&msg.Message{Type: msg.TypePing, TID: uint64(i), Front: big(n), Middle: big(i), Data: big(2 * n)})
					if err != nil {
						t.Fatal(err)
					}
				}
				got.want(t, "connect")
				echo.want(t, "accept client.4096")
				for i, n := range sizes {
					m := <-replies
					if m.TID != uint64(i) || m.Seq != uint64(i+1) || !bytes.Equal(m.Front, big(n)) || !bytes.Equal(m.Middle, big(i)) || !bytes.Equal(m.Data, big(2*n)) {
						t.Fatalf("reply %d is %v", i, m)
					}
					m.Release()
				}
				p := c.Peer()
				if p.Mode != tc.mode || p.ID.Type != to.t || p.Features != Features16 {
					t.Errorf("peer is %+v", p)
				}
			}
		})
	}
}
