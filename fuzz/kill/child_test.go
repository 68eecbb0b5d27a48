package kill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ebofs/devices"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// childVariable, if set, makes the test binary a child: "shape seed image", or
// "shape mount image" for one that only mounts and closes.
const childVariable = "EBOFS_KILL_CHILD"

func TestMain(m *testing.M) {
	if spec, ok := os.LookupEnv(childVariable); ok {
		shape, rest, _ := strings.Cut(spec, " ")
		what, image, _ := strings.Cut(rest, " ")
		if err := child(context.Background(), shapes[shape], what, image, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(engine.Whole(m.Run()))
}

// workers is how many goroutines write, each with a few transactions in flight.
const (
	workers  = 4
	inFlight = 4
)

// options of the store in the child: with its goroutines, as in production.
var (
	options = engine.Options{LogBytes: 8 << 20, Background: true}
	direct  = engine.Options{LogBytes: 8 << 20, Background: true, DirectFrom: 1, Warm: true} // small data goes straight to its place
)

// shapes of it by name.
var shapes = map[string]engine.Options{"plain": options, "direct": direct, "raid": options.OnRAID(), "flash": options.OnFlash()}

// child writes until it is killed or the image is full.
func child(ctx context.Context, options engine.Options, what, image string, out io.Writer) error {
	dev, err := devices.OpenFile(image, devices.FileOptions{})
	if err != nil {
		return err
	}
	defer dev.Close()
	s, err := engine.Open(ctx, dev, options)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "m")
	if what == "mount" {
		return s.Close(ctx)
	}
	seed, err := strconv.ParseUint(what, 10, 64)
	if err != nil {
		return err
	}
	w := &writer{s: s, seed: seed, out: out}
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() { w.work(ctx, n) })
	}
	wg.Wait()
	return errors.Join(w.failed, s.Close(ctx))
}

// writer is what the workers of a child share.
type writer struct {
	s    *engine.Store
	seed uint64

	mu     sync.Mutex
	out    io.Writer
	failed error
}

// say prints one line at once: what is in the pipe survives the process.
func (w *writer) say(what string, worker, i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.out, "%s %d %d\n", what, worker, i)
}

func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = errors.Join(w.failed, err)
}

// maxTransactions ends a child that nobody kills.
const maxTransactions = 3000

// work queues the transactions of one worker in order.
func (w *writer) work(ctx context.Context, worker int) {
	slots := make(chan struct{}, inFlight)
	for i := range maxTransactions {
		slots <- struct{}{}
		w.say("q", worker, i)
		err := w.s.Queue(ctx, transaction(w.seed, worker, i), nil, func(err error) {
			if err != nil {
				w.fail(err)
			} else {
				w.say("a", worker, i)
			}
			<-slots
		})
		switch {
		case errors.Is(err, osd.ErrNoSpace):
			w.say("n", worker, i)
			<-slots
		case err != nil:
			w.fail(fmt.Errorf("worker %d transaction %d: %w", worker, i, err))
			return
		}
		if i%16 == 15 { // now and then somebody waits
			if err := w.s.Sync(ctx); err != nil {
				w.fail(err)
				return
			}
		}
	}
}

// collection is that of a worker in the run with a seed.
func collection(seed uint64, worker int) osd.CollectionID {
	return osd.CollectionID(fmt.Sprintf("run%d.%d", seed, worker))
}

// transaction is the i-th of a worker: a function of its arguments, so that the
// parent knows what the child wrote.
func transaction(seed uint64, worker, i int) *osd.Transaction {
	c := collection(seed, worker)
	pool := int64(seed)*workers + int64(worker)
	if i == 0 {
		t := new(osd.Transaction)
		t.MkColl(c, osd.CollectionSpec{Shard: -1, Pool: pool})
		return t
	}
	r := rand.New(rand.NewPCG(seed, uint64(worker)<<32|uint64(i)))
	return history.Random(r, uint64(i), func(r *rand.Rand) (osd.CollectionID, osd.ObjectID) {
		n := r.Uint32N(16)
		return c, osd.ObjectID{Shard: -1, Pool: pool, Hash: n * 0x9e3779b1, Name: fmt.Sprint("object", n), Snap: 1<<64 - 2}
	})
}
