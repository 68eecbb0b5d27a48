package monc

import (
	"testing"
	"time"
)

// TestPause: each monitor is tried once without a pause, then pauses grow, to a
// bound.
func TestPause(t *testing.T) {
	for failed := range 3 {
		if d := pause(failed, 3); d != 0 {
			t.Errorf("%v after %d of three", d, failed)
		}
	}
	last := time.Duration(0)
	for failed := 3; failed < 100; failed++ {
		d := pause(failed, 3)
		least := min(firstPause<<min(failed-3, 10), lastPause)
		if d < least || d >= least+least/2 || least < last {
			t.Errorf("%v after %d tries, want %v and up to half more", d, failed, least)
		}
		last = least
	}
	if last != lastPause {
		t.Errorf("pauses end at %v", last)
	}
}
