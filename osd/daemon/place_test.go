package daemon

import "testing"

// TestShareLogs: logs and dups of all PGs are bounded together, and as long as there is
// room each PG may know 3000 requests.
func TestShareLogs(t *testing.T) {
	for _, c := range []struct{ pgs, entries, known int }{
		{0, 50_000, 1_050_000}, {1, 50_000, 1_050_000}, {16, 3125, 65_625}, {100, 500, 10_500}, {363, 250, 3004}, {1000, 250, 1250}, {20_000, 250, 300},
	} {
		if entries, known := shareLogs(c.pgs); entries != c.entries || known != c.known {
			t.Errorf("%d PGs: %d entries and %d known, want %d and %d", c.pgs, entries, known, c.entries, c.known)
		}
	}
}
