//go:build race || invariants

package devices

import (
	"fmt"
	"runtime"
	"strings"
)

// origin is where a frame was taken, for the report of leaks.
type origin struct {
	pcs [6]uintptr
}

func (o *origin) note() { runtime.Callers(4, o.pcs[:]) } // skips Callers, note, hand and Get

func (o *origin) forget() { o.pcs = [6]uintptr{} }

func (o *origin) String() string {
	var s strings.Builder
	for frames := runtime.CallersFrames(o.pcs[:]); ; {
		f, more := frames.Next()
		if f.Function != "" {
			fmt.Fprintf(&s, " < %s:%d", f.Function, f.Line)
		}
		if !more {
			return s.String()
		}
	}
}

// originsLocked lists where the first leaked frames of the arenas were taken.
func (p *Pool) originsLocked() string {
	const limit = 5
	var s strings.Builder
	n := 0
	for _, a := range p.mu.arenas {
		for i := range a.slabs {
			for j := range a.slabs[i].frames {
				f := &a.slabs[i].frames[j]
				if f.vec[0] == nil {
					continue
				}
				if n++; n > limit {
					return s.String() + "\n\t…"
				}
				fmt.Fprintf(&s, "\n\t%d bytes%s", len(f.Bytes()), f.who.String())
			}
		}
	}
	return s.String()
}
