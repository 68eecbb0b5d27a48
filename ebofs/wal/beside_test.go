package wal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"ebofs/devices"
)

var errBroken = errors.New("broken")

// TestBeside: a record is committed only when what lies beside it is written, before
// the data flush if there is one, and the flush is behind both.
func TestBeside(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name                string
		inline, flush, fail bool
		want                []string
	}{
		{"with a writer", false, false, false, []string{"beside", "write", "flush"}},
		{"inline", true, false, false, []string{"beside", "write", "flush"}},
		{"data elsewhere", false, true, false, []string{"beside", "data flush", "write", "flush"}},
		{"failed", false, false, true, []string{"beside", "write"}},
		{"failed inline", true, false, true, []string{"beside"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var events []string
			note := func(e string) {
				mu.Lock()
				events = append(events, e)
				mu.Unlock()
			}
			wrote := make(chan struct{}, 8)
			mem := devices.NewMem(devices.MemOptions{Blocks: 256, Hook: func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
				switch op {
				case devices.OpWrite:
					note("write")
					wrote <- struct{}{}
				case devices.OpFlush:
					note("flush")
				}
				return nil
			}})
			var got []Beside
			cfg := Config{Blocks: 256, Incarnation: 1, Inline: c.inline, Beside: func(_ context.Context, list []Beside) error {
				if !c.inline && !c.flush {
					<-wrote // the slower of the two
				}
				got = append(got, list...)
				note("beside")
				if c.fail {
					return errBroken
				}
				return nil
			}}
			if c.flush {
				cfg.DataFlush = func(context.Context) error { note("data flush"); return nil }
			}
			l := New(mem, cfg, Pos{Seq: 1}, 0)
			want := []Beside{{7, 1}, {9, 2}}
			for _, b := range want {
				if _, err := l.AppendBeside(1, NeedsDataFlush, []Beside{b}, []byte("record")); err != nil {
					t.Fatal(err)
				}
			}
			err := l.Wait(ctx, 2)
			if c.fail != errors.Is(err, errBroken) || !c.fail && err != nil {
				t.Errorf("committed: %v", err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v were to be written, want %v", got, want)
			}
			slices.Sort(events[:min(2, len(events))]) // these two at once, but for a data flush
			if !slices.Equal(events, c.want) {
				t.Errorf("%v, want %v", events, c.want)
			}
			if !c.fail {
				if n := l.Together(); n != 2 {
					t.Errorf("%d records together, want 2", n)
				}
				// The next batch does not write it again.
				if lsn, err := l.Append(2, 0, []byte("alone")); err != nil || l.Wait(ctx, lsn) != nil || len(got) != 2 {
					t.Errorf("once more: %v, %v", got, err)
				}
			}
			_ = l.Close()
		})
	}
}
