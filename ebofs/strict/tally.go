package strict

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// All is the tally of a test program's stores.
var All = new(Tally)

// Tally adds up what devices judged. The zero value is ready.
type Tally struct {
	Full    atomic.Uint64 // pieces that filled a stripe of a zone
	Partial atomic.Uint64 // pieces that did not
	Apart   atomic.Uint64 // pieces outside zones

	mu    sync.Mutex
	first error            // the first partial one
	kinds map[string]int64 // partial ones by what they looked like
}

// partial counts a violation and returns the error for its write.
func (t *Tally) partial(x violation) error {
	t.Partial.Add(1)
	t.mu.Lock()
	if t.first == nil {
		t.first, t.kinds = x, map[string]int64{}
	}
	t.kinds[x.what]++
	t.mu.Unlock()
	return x
}

// Err returns what was wrong: the first partial stripe. The write that was refused
// may have been one whose error nobody saw.
func (t *Tally) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		return nil
	}
	return fmt.Errorf("%d in all, by kind %v, the first: %w", t.Partial.Load(), t.kinds, t.first)
}

// String returns the counts as CI adds them up.
func (t *Tally) String() string {
	return fmt.Sprintf("full stripes: %d partial: %d apart: %d", t.Full.Load(), t.Partial.Load(), t.Apart.Load())
}

// Report prints the counts, if there are any, and returns the exit code of a test
// program whose own is code: 1 if there was a partial stripe.
func (t *Tally) Report(code int) int { return t.report(os.Stdout, code) }

func (t *Tally) report(w io.Writer, code int) int {
	if t.Full.Load()+t.Partial.Load() == 0 {
		return code
	}
	fmt.Fprintln(w, t)
	err := t.Err()
	if err == nil && t.Full.Load() == 0 {
		err = errors.New("no full stripe was written")
	}
	if err != nil {
		fmt.Fprintln(w, "FAIL:", err)
		return max(code, 1)
	}
	return code
}
