package msg

import (
	"fmt"
	"sync/atomic"
)

// Priorities, as they travel: a higher one overtakes lower ones that wait in a
// send queue.
const (
	PriorityLow     uint16 = 64
	PriorityClient  uint16 = 63 // what Ceph's clients give their operations
	PriorityDefault uint16 = 127
	PriorityHigh    uint16 = 196 // replies of monitors, traffic between OSDs
	PriorityHighest uint16 = 255
)

// Message is an envelope.
type Message struct {
	Type     Type
	Version  uint16 // of the front; 0 is sent as 1
	Compat   uint16 // what the receiver must know
	Priority uint16 // 0 is sent as PriorityDefault
	TID      uint64 // pairs replies with requests; 0 is a number like others

	Front  []byte
	Middle []byte
	Data   []byte

	// Seq numbers what was received in a session; a sender leaves it alone.
	Seq uint64
	// More says that behind what was received more had arrived already.
	More bool

	room     Room // nil unless it was received
	released atomic.Bool
	held     bool
}

// Room is what a received message takes; a messenger implements it.
type Room interface{ GiveBack() }

// Bytes returns the length of front, middle and data.
func (m *Message) Bytes() int { return len(m.Front) + len(m.Middle) + len(m.Data) }

// String returns type, tid and lengths.
func (m *Message) String() string {
	return fmt.Sprintf("%v v%d tid %d, %d+%d+%d bytes", m.Type, m.Version, m.TID, len(m.Front), len(m.Middle), len(m.Data))
}

// Hold says that the handler goes on using the message after it has returned,
// and will call Release. It is for the handler's own goroutine.
func (m *Message) Hold() { m.held = true }

// Release says that nobody looks at the message's bytes any more: their memory
// is used again, and the room they took is given back. Further calls do nothing.
func (m *Message) Release() {
	if m.room != nil && m.released.CompareAndSwap(false, true) {
		m.room.GiveBack()
	}
}

// Received is for messengers: r is given back once, by Release.
func (m *Message) Received(r Room) { m.room = r }

// Held reports whether the handler called Hold.
func (m *Message) Held() bool { return m.held }
