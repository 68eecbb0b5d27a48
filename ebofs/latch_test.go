package ebofs

import (
	"sync"
	"testing"
)

// TestLatch: whoever waits goes on once the latch is open, and not before, whether he came
// early or late.
func TestLatch(t *testing.T) {
	for range 200 {
		var l latch
		early := l.wait()
		select {
		case <-early:
			t.Fatal("a closed latch lets somebody through")
		default:
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				<-l.wait()
				if !l.open.Load() {
					t.Error("let through by a closed latch")
				}
			})
		}
		l.release()
		<-early
		wg.Wait()
		<-l.wait()
	}
	var l latch
	l.release() // nobody waited
	<-l.wait()
}
