package msgr

import (
	"ebofs/cluster/msg"
)

// headerRoom is what a message costs in a queue beside its bytes.
const headerRoom = 256

// fifo is a queue that reuses its memory.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) {
	if q.head > 32 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) front() *T { return &q.items[q.head] }

func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}

// sent is a message with the number under which it went out.
type sent struct {
	seq uint64
	m   *msg.Message
}

// sendQueue is what a session has to send, and what it may have to send again.
//
//	push → byPriority ─ next → unacked ─ acked → gone
//	                ↑            │
//	              again ← rewind ┘
type sendQueue struct {
	byPriority []level // highest first
	again      fifo[*msg.Message]
	unacked    fifo[sent]
	seq        uint64 // of the last one that went out
	bytes      int    // of all that is held, with headerRoom for each
	count      int    // likewise
}

type level struct {
	priority uint16
	messages fifo[*msg.Message]
}

func priorityOf(m *msg.Message) uint16 {
	if m.Priority == 0 {
		return msg.PriorityDefault
	}
	return m.Priority
}

func (q *sendQueue) push(m *msg.Message) {
	q.bytes += m.Bytes() + headerRoom
	q.count++
	p := priorityOf(m)
	for i := range q.byPriority {
		l := &q.byPriority[i]
		if l.priority == p {
			l.messages.push(m)
			return
		}
		if l.priority < p {
			q.byPriority = append(q.byPriority, level{})
			copy(q.byPriority[i+1:], q.byPriority[i:])
			q.byPriority[i] = level{priority: p}
			q.byPriority[i].messages.push(m)
			return
		}
	}
	q.byPriority = append(q.byPriority, level{priority: p})
	q.byPriority[len(q.byPriority)-1].messages.push(m)
}

// waiting reports whether something is to be sent.
func (q *sendQueue) waiting() bool { return q.count > q.unacked.len() }

// next takes the next message and its number. With keep it stays until acked;
// without, its room is returned.
func (q *sendQueue) next(keep bool) (s sent, room int, ok bool) {
	s.seq = q.seq + 1
	switch {
	case q.again.len() > 0:
		s.m = q.again.pop()
	default:
		for i := range q.byPriority {
			if l := &q.byPriority[i]; l.messages.len() > 0 {
				s.m = l.messages.pop()
				break
			}
		}
	}
	if s.m == nil {
		return s, 0, false
	}
	q.seq++
	if keep {
		q.unacked.push(s)
		return s, 0, true
	}
	return s, q.gone(s.m), true
}

// gone counts a message that is not held any more, and returns its room.
func (q *sendQueue) gone(m *msg.Message) int {
	n := m.Bytes() + headerRoom
	q.bytes -= n
	q.count--
	return n
}

// acked forgets what the peer has up to seq, and returns the room it took.
func (q *sendQueue) acked(seq uint64) (room int) {
	for q.unacked.len() > 0 && q.unacked.front().seq <= seq {
		room += q.gone(q.unacked.pop().m)
	}
	return room
}

// rewind makes what is not acknowledged be sent again, in order and before all
// else, numbered from seq+1.
func (q *sendQueue) rewind(seq uint64) {
	var all fifo[*msg.Message]
	for q.unacked.len() > 0 {
		all.push(q.unacked.pop().m)
	}
	for q.again.len() > 0 {
		all.push(q.again.pop())
	}
	q.again, q.seq = all, seq
}

// drop forgets everything and returns the room it took.
func (q *sendQueue) drop() int {
	n := q.bytes
	*q = sendQueue{}
	return n
}
