package check

import (
	"strings"
	"testing"
)

// TestMarkCures: a repair is what marks damage, so it cannot be the cure of a mark.
func TestMarkCures(t *testing.T) {
	for _, p := range Pages() {
		if marks := p.Code == DataDamaged || p.Code == ObjectDamaged; marks && (strings.Contains(p.Cure, "fsck -y") || !strings.Contains(strings.ToLower(p.Cure), "remove")) {
			t.Errorf("%s: %s", p.Code, p.Cure)
		}
	}
}
