package msgr

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
)

// cpu returns what this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkRoundTrip sends a request with data over TCP on the loopback interface
// and waits for a small reply, depth of them at a time. Both sides are in this
// process: CPU is that of both, kernel included.
func BenchmarkRoundTrip(b *testing.B) {
	for _, mode := range []cephx.Mode{cephx.ModeCRC, cephx.ModeSecure} {
		for _, size := range []int{0, 4 << 10, 4 << 20} {
			for _, depth := range []int{1, 16, 64} {
				if size*depth > 128<<20 {
					continue // above what a queue holds
				}
				b.Run(fmt.Sprintf("%v/data=%d/depth=%d", mode, size, depth), func(b *testing.B) { roundTrips(b, mode, size, depth) })
			}
		}
	}
}

func roundTrips(b *testing.B, mode cephx.Mode, size, depth int) {
	cl := newCluster(b, cephx.MethodCephX, mode)
	reply := &msg.Message{Type: msg.TypeOSDOpReply, Version: 8, Front: make([]byte, 148)}
	server := newRecorder()
	server.on = func(c *Conn, m *msg.Message) {
		c.Send(&msg.Message{Type: reply.Type, Version: reply.Version, TID: m.TID, Front: reply.Front})
		m.Release()
	}
	mon := start(b, cl.options(b, name(ceph.TypeMon, "0"), server), true)
	free := make(chan struct{}, depth)
	client := newRecorder()
	client.on = func(_ *Conn, m *msg.Message) {
		m.Release()
		free <- struct{}{}
	}
	m := start(b, cl.options(b, name(ceph.TypeClient, "a"), client), false)
	c, err := m.Connect(mon.Addrs(), ceph.TypeMon, LossyClient)
	if err != nil {
		b.Fatal(err)
	}
	client.want(b, "connect")
	for range depth {
		free <- struct{}{}
	}
	front, data := make([]byte, 213), make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		<-free
		if err := c.Send(&msg.Message{Type: msg.TypeOSDOp, Version: 8, Priority: msg.PriorityClient, Front: front, Data: data}); err != nil {
			b.Fatal(err)
		}
	}
	for range depth {
		<-free
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}
