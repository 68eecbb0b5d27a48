package daemon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"ebofs/internal/asok"
	"ebofs/osd"
)

// Bounds of a bench, which writes beside clients: those of Ceph's options
// osd_bench_max_block_size, osd_bench_duration, osd_bench_large_size_max_throughput
// and osd_bench_small_size_max_iops.
const (
	benchBlock   = 64 << 20
	benchSeconds = 30
	benchBytes   = 100 << 20 // a second, in writes of 1 MiB and more
	benchWrites  = 100       // a second, in smaller ones
	benchPrefix  = "osd_bench_"
)

// benchCommand writes objects and says how fast that was.
func (o *OSD) benchCommand() asok.Command {
	return asok.Command{
		Name: "bench", Help: "OSD benchmark: write <count> bytes in writes of <size>, 1 GiB and 4 MiB if not given",
		Args: []asok.Arg{{Name: "count", Kind: asok.Int}, {Name: "size", Kind: asok.Int}},
		Run: func(ctx context.Context, r *asok.Request) (any, error) {
			count, size := int64(1<<30), int64(4<<20)
			if r.Has("count") {
				count = r.Int("count")
			}
			if r.Has("size") {
				size = r.Int("size")
			}
			most := int64(benchBytes * benchSeconds)
			if size < 1<<20 {
				most = size * benchWrites * benchSeconds
			}
			st, err := o.cfg.Store.Statfs(ctx)
			switch {
			case err != nil:
				return nil, err
			case size < 1 || size > benchBlock || count < 1 || count > most:
				return nil, fmt.Errorf("want writes of 1 to %d bytes, and at most %d bytes in writes of %d: %w", benchBlock, most, size, syscall.EINVAL)
			case uint64(count) > st.FreeBytes/2:
				return nil, fmt.Errorf("%d bytes are more than half of the free space: %w", count, syscall.ENOSPC)
			case !o.benching.CompareAndSwap(false, true):
				return nil, fmt.Errorf("another bench runs: %w", syscall.EBUSY)
			}
			defer o.benching.Store(false)
			return o.bench(ctx, count, size)
		},
	}
}

func (o *OSD) bench(ctx context.Context, count, size int64) (any, error) {
	if err := o.benchClean(ctx); err != nil { // of one that was killed
		return nil, err
	}
	data := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	began, written := time.Now(), int64(0)
	var err error
	for i := 0; written < count && err == nil; i++ {
		n := min(size, count-written)
		var t osd.Transaction
		t.Write(metaColl, osd.ObjectID{Shard: -1, Pool: -1, Hash: rng.Uint32(), Name: fmt.Sprint(benchPrefix, i), Generation: 1<<64 - 1}, 0, data[:n])
		if err = o.cfg.Store.Queue(ctx, &t, nil, nil); err == nil {
			err = ctx.Err()
		}
		written += n
	}
	if err == nil {
		err = o.cfg.Store.Sync(ctx)
	}
	took := time.Since(began).Seconds()
	if e := o.benchClean(context.WithoutCancel(ctx)); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"bytes_written": written, "blocksize": size, "elapsed_sec": took, "bytes_per_sec": float64(written) / took, "iops": float64(written) / took / float64(size)}, nil
}

// benchClean removes what a bench has written.
func (o *OSD) benchClean(ctx context.Context) error {
	var t osd.Transaction
	for start := (&osd.ObjectID{Shard: -1, Pool: -1}); start != nil; {
		ids, next, err := o.cfg.Store.List(ctx, metaColl, start, nil, 1000)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if strings.HasPrefix(id.Name, benchPrefix) {
				t.Remove(metaColl, id)
			}
		}
		if t.Len() > 0 {
			if err := osd.Apply(ctx, o.cfg.Store, &t); err != nil {
				return err
			}
			t = osd.Transaction{}
		}
		start = next
	}
	return nil
}
