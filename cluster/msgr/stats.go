package msgr

import "sync/atomic"

// Metrics counts what a messenger did since it was made.
type Metrics struct {
	Accepted       uint64 // connections that came
	Limited        uint64 // of those: closed for the limits on handshakes
	HandshakesBad  uint64 // of those: that did not become a session
	Dials          uint64
	DialsFailed    uint64
	SendMessages   uint64
	SendBytes      uint64 // front, middle and data
	RecvMessages   uint64
	RecvBytes      uint64 // likewise
	Overflows      uint64 // messages refused for want of room
	Connections    int    // now
	Handshakes     int    // now, accepted ones
	SendQueueBytes int64  // now
}

type stats struct {
	accepted, limited, handshakesBad, dials, dialsFailed        atomic.Uint64
	sendMessages, sendBytes, recvMessages, recvBytes, overflows atomic.Uint64
}

// Metrics returns the counts.
func (m *Messenger) Metrics() Metrics {
	s := &m.stats
	r := Metrics{
		Accepted: s.accepted.Load(), Limited: s.limited.Load(), HandshakesBad: s.handshakesBad.Load(),
		Dials: s.dials.Load(), DialsFailed: s.dialsFailed.Load(),
		SendMessages: s.sendMessages.Load(), SendBytes: s.sendBytes.Load(),
		RecvMessages: s.recvMessages.Load(), RecvBytes: s.recvBytes.Load(), Overflows: s.overflows.Load(),
		SendQueueBytes: m.sendBytes.Load(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Connections, r.Handshakes = len(m.mu.conns), len(m.mu.handshakes)
	return r
}
