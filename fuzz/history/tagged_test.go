package history

import (
	"bytes"
	"testing"
)

// TestTagged: the same place gives the same bytes whatever the cut, and another
// place, version or object gives others in every sector.
func TestTagged(t *testing.T) {
	whole := Tagged(objA("x"), 0, 1, 8192)
	if got := Tagged(objA("x"), 700, 1, 3000); !bytes.Equal(got, whole[700:3700]) {
		t.Error("a part differs from the whole")
	}
	for name, other := range map[string][]byte{
		"version": Tagged(objA("x"), 0, 2, 8192),
		"object":  Tagged(objA("y"), 0, 1, 8192),
		"pool":    Tagged(objB("x"), 0, 1, 8192),
		"place":   Tagged(objA("x"), 4096, 1, 8192),
	} {
		for s := 0; s < 8192; s += sectorBytes {
			if bytes.Equal(whole[s:s+sectorBytes], other[s:s+sectorBytes]) {
				t.Errorf("other %s: sector at %d is the same", name, s)
			}
		}
	}
	if allZero(Tagged(objA("x"), 3, 1, 1)) && allZero(Tagged(objA("x"), 100, 1, 100)) {
		t.Error("zeros")
	}
}
