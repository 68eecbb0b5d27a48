//go:build !invariants

package invariants

import (
	"errors"
	"testing"
)

// TestNothingHappensWithoutTheTag is I1.
func TestNothingHappensWithoutTheTag(t *testing.T) {
	if Enabled {
		t.Fatal("Enabled without the tag")
	}
	Check(false, "must not panic")
	NoError(errors.New("must not panic"))
	for range 1000 {
		if Sometimes(1) {
			t.Fatal("Sometimes(1) is true without the tag")
		}
	}
}
