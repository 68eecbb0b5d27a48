package msgr

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msgr/frame"
)

// A batch is written with one call. It is bounded so that a message of higher
// priority does not wait behind more than that.
const (
	batchMessages = 64
	batchBytes    = 1 << 20
)

// batch is what the writer takes from a session at once.
type batch struct {
	messages  []sent
	ack       uint64 // of the messages, or by itself
	ackAlone  bool
	keepalive bool
	echo      *ceph.Time
}

// nothing is the payload of WAIT.
type nothing struct{}

func (nothing) Encode(*denc.Encoder) {}

// write sends what the session has to, until s is gone.
func (c *Conn) write(s *socket) {
	defer close(s.written)
	var b batch
	var header [frame.HeaderBytes]byte
	for c.take(s, &b) {
		err := c.add(s, &b, header[:0])
		if err == nil {
			s.writeLen.Store(int64(s.w.Size()))
			s.writes.Add(1)
			err = s.w.Flush(s.nc)
			s.writes.Add(1)
		}
		if err != nil {
			s.close() // the reader sees it
			return
		}
	}
}

// take waits for work and takes a batch of it. It reports false when s is gone.
func (c *Conn) take(s *socket, b *batch) bool {
	clear(b.messages)
	*b = batch{messages: b.messages[:0]}
	c.mu.Lock()
	for {
		if c.mu.sock != s || s.closed() {
			c.mu.Unlock()
			return false
		}
		if c.mu.waiting() || c.mu.ackDue || c.mu.keepaliveDue || c.mu.echo != nil {
			break
		}
		c.mu.parked = true
		c.mu.Unlock()
		select {
		case <-s.wake:
		case <-s.gone:
		}
		c.mu.Lock()
	}
	size, room := 0, 0
	for len(b.messages) < batchMessages && size < batchBytes {
		m, r, ok := c.mu.next(!c.mu.lossy)
		if !ok {
			break
		}
		b.messages = append(b.messages, m)
		size += m.m.Bytes()
		room += r
	}
	b.ack = c.inSeq.Load()
	b.ackAlone = c.mu.ackDue && len(b.messages) == 0 && b.ack != c.ackSent.Load()
	b.keepalive, b.echo = c.mu.keepaliveDue, c.mu.echo
	c.mu.ackDue, c.mu.keepaliveDue, c.mu.echo = false, false, nil
	c.roomLocked(room)
	c.mu.Unlock()
	if len(b.messages) > 0 || b.ackAlone {
		c.ackSent.Store(b.ack)
	}
	c.m.stats.sendMessages.Add(uint64(len(b.messages)))
	c.m.stats.sendBytes.Add(uint64(size))
	return true
}

// add puts a batch into the frame writer.
func (c *Conn) add(s *socket, b *batch, header []byte) error {
	if b.keepalive {
		if err := s.w.Control(frame.Keepalive, frame.TimeBody(ceph.MakeTime(c.m.o.Clock.Now()))); err != nil {
			return err
		}
	}
	if b.echo != nil {
		if err := s.w.Control(frame.KeepaliveAck, frame.TimeBody(*b.echo)); err != nil {
			return err
		}
	}
	for _, e := range b.messages {
		h := frame.Header{
			Seq: e.seq, TID: e.m.TID, Type: uint16(e.m.Type), Priority: priorityOf(e.m),
			Version: max(e.m.Version, 1), Compat: e.m.Compat, Ack: b.ack,
		}
		if err := s.w.Add(frame.Message, h.Append(header), e.m.Front, e.m.Middle, e.m.Data); err != nil {
			return err
		}
	}
	if b.ackAlone {
		return s.w.Control(frame.Ack, frame.U64Body(b.ack))
	}
	return nil
}
