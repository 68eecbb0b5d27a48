package msgr

import (
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr/frame"
)

// received is a message with what it takes.
type received struct {
	msg.Message
	c    *Conn
	body *frame.Buffer
	room int
}

// GiveBack returns memory and room.
func (r *received) GiveBack() {
	r.body.Free()
	r.c.recv.give(r.room)
	r.c.m.recv.give(r.room)
}

// read takes frames off a ready connection and dispatches messages until it
// fails.
func (c *Conn) read(d *driver, s *socket) error {
	for {
		h, err := s.r.Head()
		if err != nil {
			return err
		}
		if h.Tag == frame.Message {
			err = c.message(d, s, h)
		} else {
			err = c.control(s, h)
		}
		if err != nil {
			return err
		}
	}
}

// body reads the frame of h where the sweeper can see how long that takes.
func (s *socket) body(h frame.Head) (frame.Frame, error) {
	s.readLen.Store(h.Bytes())
	s.reads.Add(1)
	f, err := s.r.Body()
	s.reads.Add(1)
	return f, err
}

// message reads and dispatches one message.
func (c *Conn) message(d *driver, s *socket, h frame.Head) error {
	n := h.Bytes() - int64(h.Lengths[0])
	switch {
	case h.Lengths[0] != frame.HeaderBytes:
		return protocol("message header of %d bytes", h.Lengths[0])
	case n > int64(c.m.o.MaxMessageBytes):
		return tooLong(h)
	}
	r := &received{c: c, room: int(n) + headerRoom}
	if err := c.recv.take(d.ctx, r.room); err != nil {
		return err
	}
	if err := c.m.recv.take(d.ctx, r.room); err != nil {
		c.recv.give(r.room)
		return err
	}
	f, err := s.body(h)
	r.body = f.Body
	r.Received(r)
	if err != nil || f.Aborted {
		r.Release()
		return err
	}
	hd, err := frame.DecodeHeader(f.First)
	if err != nil {
		r.Release()
		return err
	}
	if hd.Ack > 0 {
		if err := c.acked(hd.Ack); err != nil {
			r.Release()
			return err
		}
	}
	if hd.Seq <= c.inSeq.Load() {
		r.Release() // it came before the connection was lost
		return nil
	}
	if d.ctx.Err() != nil {
		r.Release() // before it counts as received: who takes over gets it again
		return errStopped
	}
	c.inSeq.Store(hd.Seq)
	c.m.stats.recvMessages.Add(1)
	c.m.stats.recvBytes.Add(uint64(n))
	r.Type, r.Version, r.Compat, r.Priority, r.TID, r.Seq = msg.Type(hd.Type), hd.Version, hd.Compat, hd.Priority, hd.TID, hd.Seq
	r.Front, r.Middle, r.Data, r.More = f.Rest[0], f.Rest[1], f.Rest[2], s.r.Buffered() > 0
	c.m.o.Dispatcher.HandleMessage(c, &r.Message)
	if !r.Held() {
		// The handler may have kept parts of the bytes: those are left to the
		// collector. The room is free.
		r.body = nil
		r.Release()
	}
	if s.r.Buffered() == 0 {
		c.ackSoon()
	}
	return nil
}

// ackSoon makes the writer acknowledge what was received, with a message if one
// is going out.
func (c *Conn) ackSoon() {
	if c.inSeq.Load() == c.ackSent.Load() {
		return
	}
	c.mu.Lock()
	if !c.mu.lossy {
		c.mu.ackDue = true
		c.workLocked()
	}
	c.mu.Unlock()
}

// acked forgets messages the peer says it has.
func (c *Conn) acked(seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.lossy {
		return nil
	}
	if seq > c.mu.seq {
		return protocol("message %d of %d acknowledged", seq, c.mu.seq)
	}
	c.roomLocked(c.mu.acked(seq))
	return nil
}

// control handles a control frame of a ready session.
func (c *Conn) control(s *socket, h frame.Head) error {
	if h.Bytes() > maxControlBytes {
		return tooLong(h)
	}
	f, err := s.body(h)
	if err != nil {
		return err
	}
	switch f.Tag {
	case frame.Ack:
		seq, err := frame.DecodeU64(f.First)
		if err != nil {
			return err
		}
		return c.acked(seq)
	case frame.Keepalive:
		t, err := frame.DecodeTime(f.First)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.mu.echo = &t // the newest is enough
		c.workLocked()
		c.mu.Unlock()
		return nil
	case frame.KeepaliveAck:
		t, err := frame.DecodeTime(f.First)
		if err != nil {
			return err
		}
		c.aliveAt.Store(t.Std().UnixNano())
		return nil
	}
	return outOfState(f.Tag)
}
