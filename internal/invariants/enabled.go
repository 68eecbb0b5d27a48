//go:build invariants

package invariants

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// Enabled reports whether this build checks invariants. It is a constant, so
// that `if invariants.Enabled { … }` costs nothing where it is false.
const Enabled = true

// state is the position of the source behind Sometimes: a Weyl sequence whose
// values are scrambled by mix, so that one atomic add is the whole step.
var state atomic.Uint64

// weyl is the step of the sequence: odd, so that it visits every 64-bit value,
// and without short patterns (2^64 over the golden ratio).
const weyl = 0x9e3779b97f4a7c15

// seed is what Seed reports: the start of the current sequence.
var seed atomic.Uint64

func init() {
	s := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv(SeedVariable), 0, 64); err == nil {
		s = v
	}
	Reseed(s)
}

// Seed returns the number the choices of Sometimes began from. A failing test
// prints it; the environment variable SeedVariable or Reseed sets it again.
func Seed() uint64 { return seed.Load() }

// Reseed starts the choices of Sometimes anew from s.
func Reseed(s uint64) {
	seed.Store(s)
	state.Store(s)
}

// Sometimes reports true about once in n calls, and never for n < 1. Code that
// has a rare branch takes it also when Sometimes says so, where the branch is
// always correct and merely seldom needed.
func Sometimes(n int) bool {
	if n < 1 {
		return false
	}
	return mix(state.Add(weyl))%uint64(n) == 0
}

// mix spreads the bits of x over all 64 (the finalizer of splitmix64, public
// domain).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Check panics with the formatted text unless ok. The text prints both sides:
// "len(run)=9 > max=8".
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf("invariant: "+format+" (seed %d)", append(args, Seed())...))
	}
}

// NoError panics if err is not nil. It is for checks of our own structures that
// return an error because fsck and decoders use the same check on foreign data.
func NoError(err error) {
	if err != nil {
		panic(fmt.Sprintf("invariant: %v (seed %d)", err, Seed()))
	}
}
