package msgr

import "time"

// sweptState is what the last sweep saw of a connection.
type sweptState struct {
	sock          *socket
	moved         time.Time // when a count had last changed
	reads, writes uint64
	readAt        time.Time // when the frame that is being read was first seen
	writeAt       time.Time
}

// bytesPerSecond is the least a peer must read or write of a frame beside
// Options.FrameTimeout.
const bytesPerSecond = 64 << 10

// sweep closes the connection of c if nothing has moved for too long, or a frame
// takes too long. A count is odd while a frame moves.
func (c *Conn) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, w := c.mu.sock, &c.mu.swept
	if s == nil || c.mu.state != ready || s.closed() {
		return
	}
	reads, writes := s.reads.Load(), s.writes.Load()
	if w.sock != s {
		*w = sweptState{sock: s, moved: now, reads: reads, writes: writes, readAt: now, writeAt: now}
		return
	}
	if reads != w.reads {
		w.reads, w.readAt, w.moved = reads, now, now
	}
	if writes != w.writes {
		w.writes, w.writeAt, w.moved = writes, now, now
	}
	o := &c.m.o
	late := func(count uint64, since time.Time, length int64) bool {
		allowed := o.FrameTimeout + time.Duration(length)*time.Second/bytesPerSecond
		return count%2 == 1 && now.Sub(since) > allowed
	}
	switch {
	case late(reads, w.readAt, s.readLen.Load()), late(writes, w.writeAt, s.writeLen.Load()):
		o.Log.Warn("connection closed", "peer", c.Peer().ID.String(), "addr", c.key.String(), "err", errStalled)
		s.close()
	case o.IdleTimeout > 0 && now.Sub(w.moved) > o.IdleTimeout && reads%2 == 0 && writes%2 == 0 && c.mu.count == 0 && c.recv.empty():
		o.Log.Debug("connection closed", "peer", c.Peer().ID.String(), "addr", c.key.String(), "err", errIdle)
		s.close()
	}
}
