package ebofs

import "sync/atomic"

// guard tells when readers that might still hold an old address are gone. A
// reader enters before it looks an address up and leaves when its device reads
// returned; a freed block may be reused only after a grace period: every
// reader that was inside when the period began has left (R2).
//
// Two counters take turns. advance turns new readers to the other counter and
// reports true once the old one is empty; it never waits, so that a slow
// reader holds back reuse and nothing else.
type guard struct {
	turn atomic.Uint32
	in   [2]paddedCount

	waiting bool // a period has begun and its counter is not yet known empty; owned by the checkpointer
}

type paddedCount struct {
	n atomic.Int64
	_ [56]byte
}

// enter registers a reader and returns the token leave wants.
func (g *guard) enter() uint32 {
	for {
		t := g.turn.Load() & 1
		g.in[t].n.Add(1)
		if g.turn.Load()&1 == t {
			return t
		}
		g.in[t].n.Add(-1) // a period began in between: count on the new side
	}
}

// leave ends what enter began.
func (g *guard) leave(t uint32) { g.in[t].n.Add(-1) }

// begin starts a grace period. The previous one must have ended.
func (g *guard) begin() {
	g.turn.Add(1)
	g.waiting = true
}

// ended reports whether every reader from before begin has left.
func (g *guard) ended() bool {
	if g.waiting && g.in[(g.turn.Load()-1)&1].n.Load() == 0 {
		g.waiting = false
	}
	return !g.waiting
}
