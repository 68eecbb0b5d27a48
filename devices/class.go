package devices

import (
	"context"
	"fmt"
)

// Class is what an I/O is for, which decides who waits for whom in a Scheduler.
type Class uint8

// The classes, the most urgent first. From ClassCheckpoint on they are
// background: nobody waits for one of their I/Os, only for all of them.
const (
	ClassLog        Class = iota // the write-ahead log: somebody waits for a commit
	ClassRead                    // somebody waits for data or metadata
	ClassData                    // data written straight to its place, before a commit
	ClassCheckpoint              // folded data and trees; also superblocks
	ClassClean                   // moving live data out of stripes, defragmentation
	ClassScrub                   // reading what nobody asked for
	numClassesIO
)

// NumClasses is the number of classes, for arrays indexed by Class.
const NumClasses = int(numClassesIO)

var classNames = [NumClasses]string{"log", "read", "data", "checkpoint", "clean", "scrub"}

// String returns the name of the class as counters have it.
func (c Class) String() string {
	if int(c) < NumClasses {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Background tells whether I/O of the class stands back behind other classes.
func (c Class) Background() bool { return c >= ClassCheckpoint }

type classKey struct{}

// WithClass says what I/O done with ctx is for. Make the context once and keep
// it: it allocates.
func WithClass(ctx context.Context, c Class) context.Context {
	return context.WithValue(ctx, classKey{}, c)
}

// classOf returns the class of ctx, or otherwise if it has none.
func classOf(ctx context.Context, otherwise Class) Class {
	if c, ok := ctx.Value(classKey{}).(Class); ok {
		return c
	}
	return otherwise
}
