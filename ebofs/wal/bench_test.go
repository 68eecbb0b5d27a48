package wal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
)

// benchDev is a file or block device opened for direct I/O, with nothing between
// the log and the system call.
type benchDev struct {
	fd     int
	blocks uint64
}

const benchBytes = 256 << 20

// openBench opens $EBOFS_BENCH_DEV, WHOSE FIRST 256 MiB IT OVERWRITES, or an
// image in a temporary directory, written through so that no flush allocates.
func openBench(b *testing.B) *benchDev {
	path := os.Getenv("EBOFS_BENCH_DEV")
	if path == "" {
		path = filepath.Join(b.TempDir(), "image")
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		for chunk := make([]byte, 1<<20); err == nil; {
			if st, _ := f.Stat(); st.Size() >= benchBytes {
				break
			}
			_, err = f.Write(chunk)
		}
		if err == nil {
			err = f.Sync()
		}
		if f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Skipf("direct I/O on %s: %v", path, err)
	}
	b.Cleanup(func() { unix.Close(fd) })
	return &benchDev{fd, benchBytes / devices.BlockSize}
}

func (d *benchDev) Geometry() devices.Geometry { return devices.Geometry{Blocks: d.blocks} }
func (d *benchDev) Close() error               { return nil }

func (d *benchDev) Read(_ context.Context, b devices.Block, v devices.Vec) error {
	return whole(v)(unix.Preadv(d.fd, v, int64(b)*devices.BlockSize))
}

func (d *benchDev) Write(_ context.Context, b devices.Block, v devices.Vec) error {
	if len(v) == 1 {
		return whole(v)(unix.Pwrite(d.fd, v[0], int64(b)*devices.BlockSize))
	}
	return whole(v)(unix.Pwritev(d.fd, v, int64(b)*devices.BlockSize))
}

func (d *benchDev) Flush(context.Context) error { return unix.Fdatasync(d.fd) }

func whole(v devices.Vec) func(int, error) error {
	return func(n int, err error) error {
		if err == nil && n != devices.VecBytes(v) {
			err = fmt.Errorf("%d of %d bytes", n, devices.VecBytes(v))
		}
		return err
	}
}

// cpuTime returns the processor time of the process, user and system.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCommit is a durable 4 KiB write in the log with 1, 16 and 64 callers
// beside the device itself: an 8 KiB write and a flush by each caller.
func BenchmarkCommit(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("raw/depth=%d", depth), func(b *testing.B) {
			dev := openBench(b)
			var next atomic.Uint64
			run(b, depth, func() func() error {
				v := devices.Vec{alignedBytes(2 * devices.BlockSize)}
				return func() error {
					at := devices.Block(next.Add(2) % (dev.blocks - 2) &^ 1)
					if err := dev.Write(b.Context(), at, v); err != nil {
						return err
					}
					return dev.Flush(b.Context())
				}
			})
			b.ReportMetric(1, "flushes/op")
		})
		b.Run(fmt.Sprintf("log/depth=%d", depth), func(b *testing.B) {
			dev := openBench(b)
			l := New(dev, Config{Blocks: dev.blocks, Incarnation: uint64(time.Now().UnixNano())}, Pos{Seq: 1}, 0)
			var txid, unmoved atomic.Uint64
			run(b, depth, func() func() error {
				head, data := make([]byte, 60), make([]byte, devices.BlockSize)
				return func() error {
					lsn, err := l.Append(txid.Add(1), 0, head, data)
					if err != nil {
						return err
					}
					if unmoved.Add(1)%4096 == 0 {
						l.SetTail(l.Cut())
					}
					return l.Wait(b.Context(), lsn)
				}
			})
			m := l.Metrics()
			b.ReportMetric(float64(m.Flushes)/float64(b.N), "flushes/op")
			b.ReportMetric(float64(m.Bytes)/float64(b.N)/devices.BlockSize, "written/user")
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// run shares b.N calls among depth goroutines.
func run(b *testing.B, depth int, worker func() func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	for range depth {
		op := worker()
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
