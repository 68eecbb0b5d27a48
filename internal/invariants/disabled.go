//go:build !invariants

package invariants

// Enabled reports whether this build checks invariants. It is a constant, so
// that `if invariants.Enabled { … }` costs nothing where it is false.
const Enabled = false

// Seed returns the number the choices of Sometimes began from; 0 in this build,
// where there are none.
func Seed() uint64 { return 0 }

// Reseed starts the choices of Sometimes anew from s; nothing in this build.
func Reseed(s uint64) {}

// Sometimes reports true about once in n calls; never in this build.
func Sometimes(n int) bool { return false }

// Check panics with the formatted text unless ok; nothing in this build.
func Check(ok bool, format string, args ...any) {}

// NoError panics if err is not nil; nothing in this build.
func NoError(err error) {}
