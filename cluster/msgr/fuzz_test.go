package msgr

import (
	"bytes"
	"net"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/golden"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr/frame"
	"ebofs/cluster/msgr/memnet"
)

// FuzzHandshake says anything to a server, cut into frames: each byte of steps is
// the tag of a frame, with the next bytes of p for its payload. Nothing may panic,
// hang, or leave a connection that was not authenticated.
func FuzzHandshake(f *testing.F) {
	for _, file := range golden.Names(f) {
		for _, lines := range golden.Session(f, file) {
			var steps, p []byte
			for _, l := range lines {
				if !l.Client() || !l.Whole() || l.Mode == "secure" || l.Tag == "BANNER" || len(p) > 2000 {
					continue
				}
				r := frame.NewReader(bytes.NewReader(l.Bytes))
				if h, err := r.Head(); err == nil {
					if fr, err := r.Body(); err == nil {
						steps = append(steps, byte(h.Tag))
						p = append(append(p, byte(len(fr.First))), fr.First[:min(len(fr.First), 255)]...)
					}
				}
			}
			f.Add(steps, p)
		}
	}
	n := memnet.New()
	var cl *cluster
	f.Fuzz(func(t *testing.T, steps, p []byte) {
		if cl == nil {
			cl = newCluster(t, cephx.MethodNone, cephx.ModeCRC)
		}
		d := newRecorder()
		d.on = func(*Conn, *msg.Message) {}
		o := onNet(n, cl.options(t, name(ceph.TypeMon, "0"), d))
		o.MaxMessageBytes = 1 << 16
		m, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		m.SetAddrs(ceph.AddrVec{mustAddr("v2:127.0.0.1:3300/0")})
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		l, err := n.Host(localhost).Listen(mustAddr("v2:127.0.0.1:3300/0").IP)
		if err != nil {
			t.Fatal(err)
		}
		far, _ := n.Host(localhost).Dial(ctx, mustAddr("v2:127.0.0.1:3300/0").IP)
		near, _ := l.Accept()
		l.Close()
		m.admit(near)
		w := frame.NewWriter()
		w.Banner()
		for _, tag := range steps[:min(len(steps), 50)] {
			if len(p) == 0 {
				break
			}
			k := min(int(p[0]), len(p)-1)
			w.Add(frame.Tag(tag), p[1:1+k])
			p = p[1+k:]
		}
		w.Flush(far)
		far.Close()
		for s := m.Metrics(); s.Handshakes+s.Connections > 0; s = m.Metrics() {
			drain(far)
		}
		m.Shutdown()
	})
}

// drain gives the other side a chance to go on.
func drain(nc net.Conn) {
	var p [4096]byte
	nc.Read(p[:])
}

func mustAddr(s string) ceph.Addr {
	a, err := ceph.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}
