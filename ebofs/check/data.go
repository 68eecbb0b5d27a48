package check

import (
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// dataReader is a worker's memory for data blocks.
type dataReader struct {
	bad [layout.ChunkBlocks]error
}

// verifyRun reads the blocks of a run and compares their checksums. Blocks that fail
// are read again one by one, up to three times in all, and reported as runs.
func (w *walker) verifyRun(r *layout.Run, off uint64) error {
	f := w.c.pool.Get(r.Blocks * layout.BlockSize)
	defer f.Release()
	p := f.Bytes()
	bad := w.deep.bad[:r.Blocks]
	clear(bad)
	b := devices.Block(r.Addr.Block())
	failed := false
	if err := w.c.main.dev.Read(w.ctx, b, devices.Vec{p}); err != nil {
		for i := range bad {
			bad[i] = err
		}
		failed = true
	} else {
		w.c.main.bytes.Add(uint64(len(p)))
		for i := range bad {
			if bad[i] = checkBlock(p[i*layout.BlockSize:(i+1)*layout.BlockSize], r.CRC(i)); bad[i] != nil {
				failed = true
			}
		}
	}
	if planted.On(planted.CheckData) {
		clear(bad)
		failed = false
	}
	if failed {
		for i := range bad {
			for try := 1; try < readTries && bad[i] != nil; try++ {
				if w.ctx.Err() != nil {
					return w.ctx.Err()
				}
				w.c.main.retried.Add(1)
				q := p[i*layout.BlockSize : (i+1)*layout.BlockSize]
				if bad[i] = w.c.main.dev.Read(w.ctx, b+devices.Block(i), devices.Vec{q}); bad[i] == nil {
					bad[i] = checkBlock(q, r.CRC(i))
				} else {
					bad[i] = readFailed{bad[i]}
				}
			}
		}
	}
	w.n.DataChecked += uint64(r.Blocks)
	w.reportData(r, off, bad)
	return nil
}

// reportData reports neighbours that fail alike as one problem.
func (w *walker) reportData(r *layout.Run, off uint64, bad []error) {
	code := func(i int) Code {
		switch bad[i].(type) {
		case nil:
			return ""
		case *layout.Corruption:
			return DataCRC
		}
		return DataRead
	}
	for i := 0; i < len(bad); {
		n, k := 1, code(i)
		for i+n < len(bad) && code(i+n) == k {
			n++
		}
		if k != "" {
			p := Problem{Code: k, Where: "data", Tree: w.kind.String(), Device: r.Addr.Device(), Address: r.Addr.Block() + uint64(i), Blocks: uint64(n),
				Objects: w.objectPart(off+uint64(i)*layout.BlockSize, uint64(n)*layout.BlockSize)}
			p.fill(bad[i])
			w.report(p)
		}
		i += n
	}
}

// checkBlock compares one block with its checksum.
func checkBlock(p []byte, want uint32) error {
	if got := layout.CRC(p); got != want {
		return &layout.Corruption{Kind: "data", Field: "crc", Got: fmt.Sprintf("%08x", got), Want: fmt.Sprintf("%08x", want), Err: layout.ErrBadCRC}
	}
	return nil
}
