package quorumtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/cluster/quorum"
)

// Open returns another view of the memory under test.
type Open func(t *testing.T) quorum.Store

// Run tests views of an empty memory.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Commit": commit, "Watch": watch, "Race": race, "Lead": lead, "Limits": limits, "Closed": closed,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func commit(t *testing.T, open Open) {
	ctx, a, b := bounded(t), open(t), open(t)
	if kv := must[quorum.KV](t)(a.Get(ctx, "c/none")); kv.Rev != 0 || len(kv.Value) != 0 {
		t.Errorf("a missing key: %+v", kv)
	}
	rev := must[int64](t)(a.Commit(ctx, quorum.Txn{If: []quorum.Cond{{Key: "c/x"}}, Put: []quorum.KV{{Key: "c/x", Value: []byte("1")}, {Key: "c/y", Value: nil}}}))
	kv := must[quorum.KV](t)(b.Get(ctx, "c/x"))
	if string(kv.Value) != "1" || kv.Rev != rev {
		t.Errorf("another view sees %+v, want revision %d", kv, rev)
	}
	if _, err := b.Commit(ctx, quorum.Txn{If: []quorum.Cond{{Key: "c/x"}}, Put: []quorum.KV{{Key: "c/x", Value: []byte("2")}}}); !errors.Is(err, quorum.ErrConflict) {
		t.Errorf("a key that exists, said not to: %v", err)
	}
	rev2 := must[int64](t)(b.Commit(ctx, quorum.Txn{If: []quorum.Cond{{Key: "c/x", Rev: rev}}, Put: []quorum.KV{{Key: "c/x", Value: []byte("2")}}, Delete: []string{"c/y", "c/nothing"}}))
	if rev2 <= rev {
		t.Errorf("revision %d after %d", rev2, rev)
	}
	list, at, err := a.List(ctx, "c/")
	if err != nil || len(list) != 1 || string(list[0].Value) != "2" || at < rev2 {
		t.Errorf("list %+v at %d, %v", list, at, err)
	}
	if _, err := a.Commit(ctx, quorum.Txn{If: []quorum.Cond{{Key: "c/x", Rev: rev}}, Delete: []string{"c/x"}}); !errors.Is(err, quorum.ErrConflict) {
		t.Errorf("an old revision: %v", err)
	}
}

func watch(t *testing.T, open Open) {
	ctx, a, b := bounded(t), open(t), open(t)
	_, from, err := a.List(ctx, "w/")
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	seen := b.Watch(short, "w/", from)
	var revs []int64
	for i := range 20 {
		txn := quorum.Txn{Put: []quorum.KV{{Key: fmt.Sprint("w/", i), Value: []byte("v")}, {Key: fmt.Sprint("other/", i)}}}
		if i > 0 {
			txn.Delete = []string{fmt.Sprint("w/", i-1)}
		}
		revs = append(revs, must[int64](t)(a.Commit(ctx, txn)))
	}
	for i, rev := range revs {
		c := <-seen
		want := min(2, i+1)
		if c.Err != nil || c.Rev != rev || len(c.Events) != want {
			t.Fatalf("change %d: %+v, want %d events of revision %d", i, c, want, rev)
		}
		for _, e := range c.Events {
			if gone := e.Key != fmt.Sprint("w/", i); gone != (e.Value == nil) {
				t.Fatalf("change %d: %+v", i, e)
			}
		}
	}
	// From the past: the same again.
	if c := <-b.Watch(short, "w/", revs[9]); c.Rev != revs[10] {
		t.Errorf("after revision %d comes %d, want %d", revs[9], c.Rev, revs[10])
	}
	cancel()
	for range seen {
	}
}

// race counts with several views at once: no increment is lost.
func race(t *testing.T, open Open) {
	ctx := bounded(t)
	const views, each = 4, 25
	var wg sync.WaitGroup
	for range views {
		s := open(t)
		wg.Go(func() {
			for n := 0; n < each; {
				kv, err := s.Get(ctx, "r/count")
				if err != nil {
					t.Error(err)
					return
				}
				_, err = s.Commit(ctx, quorum.Txn{If: []quorum.Cond{{Key: kv.Key, Rev: kv.Rev}}, Put: []quorum.KV{{Key: kv.Key, Value: append(kv.Value, '.')}}})
				switch {
				case err == nil:
					n++
				case !errors.Is(err, quorum.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if kv := must[quorum.KV](t)(open(t).Get(ctx, "r/count")); len(kv.Value) != views*each {
		t.Errorf("counted to %d, want %d", len(kv.Value), views*each)
	}
}

func lead(t *testing.T, open Open) {
	ctx, a, b := bounded(t), open(t), open(t)
	one := must[*quorum.Term](t)(a.Lead(ctx, "job", "a"))
	if who := must[string](t)(b.Leader(ctx, "job")); who != "a" {
		t.Errorf("the leader is %q", who)
	}
	next := make(chan *quorum.Term)
	go func() {
		two, err := b.Lead(ctx, "job", "b")
		if err != nil {
			t.Error(err)
		}
		next <- two
	}()
	if _, err := a.Commit(ctx, quorum.Txn{If: []quorum.Cond{one.Cond()}, Put: []quorum.KV{{Key: "l/x", Value: []byte("a")}}}); err != nil {
		t.Errorf("the leader writes: %v", err)
	}
	select {
	case <-next:
		t.Error("two leaders")
	case <-one.Done:
		t.Error("the term is over and nobody ended it")
	default:
	}
	one.Resign()
	<-one.Done
	two := <-next
	if _, err := a.Commit(ctx, quorum.Txn{If: []quorum.Cond{one.Cond()}, Put: []quorum.KV{{Key: "l/x", Value: []byte("late")}}}); !errors.Is(err, quorum.ErrConflict) {
		t.Errorf("the old leader writes: %v", err)
	}
	two.Resign()
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	three := must[*quorum.Term](t)(a.Lead(ctx, "job", "a"))
	if _, err := b.Lead(short, "job", "b"); err == nil {
		t.Error("led while another does")
	}
	three.Resign()
}

func limits(t *testing.T, open Open) {
	ctx, a := bounded(t), open(t)
	big := strings.Repeat("x", quorum.MaxTxnBytes-100)
	must[int64](t)(a.Commit(ctx, quorum.Txn{Put: []quorum.KV{{Key: "big", Value: []byte(big)}}}))
	if kv := must[quorum.KV](t)(a.Get(ctx, "big")); len(kv.Value) != len(big) {
		t.Errorf("%d bytes of %d", len(kv.Value), len(big))
	}
	if _, err := a.Commit(ctx, quorum.Txn{Put: []quorum.KV{{Key: "big", Value: []byte(big + strings.Repeat("x", 200))}}}); !errors.Is(err, quorum.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := a.Commit(ctx, quorum.Txn{Put: []quorum.KV{{Key: "k"}, {Key: "k"}}}); err == nil {
		t.Error("a key twice was taken")
	}
	many := quorum.Txn{}
	for i := range quorum.MaxTxnOps {
		many.Put = append(many.Put, quorum.KV{Key: fmt.Sprint("m/", i), Value: []byte("v")})
	}
	must[int64](t)(a.Commit(ctx, many))
	if list, _, err := a.List(ctx, "m/"); len(list) != quorum.MaxTxnOps {
		t.Errorf("%d keys, %v", len(list), err)
	}
	members := must[[]quorum.Member](t)(a.Members(ctx))
	if len(members) == 0 || !members[0].Alive {
		t.Errorf("members %+v", members)
	}
}

func closed(t *testing.T, open Open) {
	a := open(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(bounded(t), "x"); err == nil {
		t.Error("a closed store answers")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
