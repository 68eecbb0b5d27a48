package storetest

import (
	"context"
	"testing"
)

// Try runs one random script without shrinking it and returns what it found.
func Try(t testing.TB, f Factory, seed uint64, ops int) error {
	r := newRunner(t, f, false)
	defer func() { _ = r.h.Store.Close(context.Background()) }()
	g := newGenerator(seed, r.m)
	for r.ops < ops {
		if err := r.step(g.line()); err != nil {
			return err
		}
	}
	return r.finish()
}
