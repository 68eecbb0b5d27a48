//go:build invariants

package invariants

import (
	"errors"
	"strings"
	"testing"
)

func panicText(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text, _ = v.(string)
		}
	}()
	f()
	return ""
}

func TestChecksPanicWithBothSides(t *testing.T) {
	Reseed(7)
	if got := panicText(func() { Check(true, "x") }); got != "" {
		t.Fatalf("a true check panicked: %s", got)
	}
	if got := panicText(func() { NoError(nil) }); got != "" {
		t.Fatalf("no error panicked: %s", got)
	}
	got := panicText(func() { Check(false, "len(run)=%d > max=%d", 9, 8) })
	if want := "invariant: len(run)=9 > max=8 (seed 7)"; got != want {
		t.Fatalf("panic %q, want %q", got, want)
	}
	if got := panicText(func() { NoError(errors.New("order")) }); !strings.Contains(got, "order") {
		t.Fatalf("panic %q does not name the error", got)
	}
}

// TestSometimesIsRareAndRepeats checks both properties a caller relies on: the
// rate, and that a seed replays the choices (I2).
func TestSometimesIsRareAndRepeats(t *testing.T) {
	draw := func(seed uint64, n, calls int) (hits int, trace uint64) {
		Reseed(seed)
		for range calls {
			trace *= 31
			if Sometimes(n) {
				hits++
				trace++
			}
		}
		return hits, trace
	}
	for _, n := range []int{1, 2, 10, 100} {
		hits, trace := draw(42, n, 100_000)
		if want := 100_000 / n; hits < want*8/10 || hits > want*12/10 {
			t.Errorf("Sometimes(%d): %d of 100000, want about %d", n, hits, want)
		}
		if _, again := draw(42, n, 100_000); again != trace {
			t.Errorf("Sometimes(%d): the same seed made other choices", n)
		}
	}
	if hits, _ := draw(1, 0, 1000); hits != 0 {
		t.Errorf("Sometimes(0) was true %d times", hits)
	}
}
