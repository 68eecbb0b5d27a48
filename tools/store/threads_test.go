package store

import (
	"runtime"
	"testing"
)

func TestTuneThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct {
		env      string
		from, to int
	}{{"", 1, 2}, {"", 2, 3}, {"", 7, 8}, {"", 8, 8}, {"", 9, 9}, {"2", 2, 2}} {
		t.Setenv("GOMAXPROCS", c.env)
		runtime.GOMAXPROCS(c.from)
		if TuneThreads(); runtime.GOMAXPROCS(0) != c.to {
			t.Errorf("GOMAXPROCS=%q, %d before: %d, want %d", c.env, c.from, runtime.GOMAXPROCS(0), c.to)
		}
	}
}
