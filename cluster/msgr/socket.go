package msgr

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"ebofs/cluster/denc"
	"ebofs/cluster/msgr/frame"
)

// Limits of frames by what the peer has shown.
const (
	maxHelloBytes   = 4 << 10  // before authentication
	maxAuthBytes    = 64 << 10 // AUTH_* frames
	maxControlBytes = 64 << 10 // afterwards
	maxAuthRounds   = 16       // requests of one handshake, all methods together
)

// socket is one connection of the transport. One goroutine reads and, until the
// session is ready, writes; then a second one writes.
type socket struct {
	nc        net.Conn
	r         *frame.Reader
	w         *frame.Writer
	initiator bool
	remote    netip.AddrPort

	once    sync.Once
	gone    chan struct{} // closed with the connection
	wake    chan struct{} // tells the writer of work; room for one
	written chan struct{} // closed when the writer has ended; nil: none began

	// Odd while a frame is read, or a batch written, for the sweeper.
	reads, writes     atomic.Uint64
	readLen, writeLen atomic.Int64
}

func newSocket(nc net.Conn, initiator bool) *socket {
	return &socket{
		nc: nc, initiator: initiator, remote: addrOf(nc.RemoteAddr()),
		r: frame.NewReader(nc), w: frame.NewWriter(),
		gone: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// close makes reads and writes end. It may be called by anyone, again.
func (s *socket) close() {
	s.once.Do(func() {
		close(s.gone)
		s.nc.Close()
	})
}

func (s *socket) closed() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// control writes one control frame, during the handshake.
func (s *socket) control(tag frame.Tag, body interface{ Encode(*denc.Encoder) }) error {
	if err := s.w.Control(tag, body); err != nil {
		return err
	}
	return s.w.Flush(s.nc)
}

// next reads a control frame of at most limit bytes, during the handshake.
func (s *socket) next(limit int64) (frame.Frame, error) {
	h, err := s.r.Head()
	if err != nil {
		return frame.Frame{}, err
	}
	if h.Tag == frame.Message {
		return frame.Frame{}, outOfState(h.Tag)
	}
	if h.Bytes() > limit {
		return frame.Frame{}, tooLong(h)
	}
	return s.r.Body()
}

// expect is next for a frame that must have a certain tag.
func (s *socket) expect(tag frame.Tag, limit int64) ([]byte, error) {
	f, err := s.next(limit)
	if err == nil && f.Tag != tag {
		err = outOfState(f.Tag)
	}
	return f.First, err
}
