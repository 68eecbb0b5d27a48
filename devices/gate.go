package devices

import "sync/atomic"

// gate counts the calls inside a device, so that Close can wait for them, and
// lets nobody in once it is closed. The zero value is open.
type gate struct {
	inside atomic.Int64  // calls, less gateClosed once closed
	empty  chan struct{} // made by close, before gateClosed is added
}

const gateClosed = -1 << 62

// enter tells whether the caller is inside, to leave later, or the gate closed.
func (g *gate) enter() bool {
	if g.inside.Add(1) < 0 {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) == gateClosed {
		select {
		case g.empty <- struct{}{}:
		default: // somebody came late and left
		}
	}
}

// close returns when nobody is inside any more. It is called once.
func (g *gate) close() {
	g.empty = make(chan struct{}, 1)
	if g.inside.Add(gateClosed) != gateClosed {
		<-g.empty
	}
}
