package crash

import (
	"context"

	"ebofs/fuzz/engine"
)

// Grow lets a store of package engine use all of its device. It is not in the
// Alphabet, whose stores fill theirs.
var Grow = Op{Name: "grow", Do: func(ctx context.Context, s Store) error {
	return s.(*engine.Store).Grow(ctx)
}}
