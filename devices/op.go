package devices

import (
	"context"
	"fmt"
)

// Op is a kind of operation of a Device, for hooks, counters and fault scripts.
type Op uint8

// The operations of Device, Discarder and Zeroer.
const (
	OpRead Op = iota
	OpWrite
	OpFlush
	OpDiscard
	OpZero
	numOps
)

// NumOps is the number of kinds of operation, for arrays indexed by Op.
const NumOps = int(numOps)

var opNames = [NumOps]string{"read", "write", "flush", "discard", "zero"}

// String returns the name of the operation as fault scripts write it.
func (o Op) String() string {
	if int(o) < NumOps {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

type siteKey struct{}

// WithSite labels the I/O done with ctx by the place in the engine it comes
// from ("wal", "superblock"), so that fault tests can aim at it and show which
// sites never failed. Make the context once and keep it: labelling allocates.
func WithSite(ctx context.Context, site string) context.Context {
	return context.WithValue(ctx, siteKey{}, site)
}

// Site returns the label of ctx, or "" without one.
func Site(ctx context.Context) string {
	s, _ := ctx.Value(siteKey{}).(string)
	return s
}
