package ebofs

import (
	"sync/atomic"

	"ebofs/ebofs/wal"
)

// counters are what the store counts while it runs.
type counters struct {
	Transactions, Checkpoints, CheckpointNanos    atomic.Int64
	DirectBytes, FoldBytes, MetaBytes, SuperBytes atomic.Int64
	ReadBytes, ReadHits, ReadMisses, RetriedReads atomic.Int64
	Corruptions, GivenUp                          atomic.Int64
}

// Metrics is a picture of a store's counters. Bytes written by purpose add up
// to the bytes the device sees: Log + Direct + Fold + Meta + Super.
type Metrics struct {
	Transactions    int64
	Checkpoints     int64
	CheckpointNanos int64
	LogBytes        int64 // written to the log, padding included
	LogFlushes      int64
	DirectBytes     int64 // data written straight to stripes
	FoldBytes       int64 // journaled data packed into stripes
	MetaBytes       int64 // tree nodes, bitmaps, root records, long values
	SuperBytes      int64
	ReadBytes       int64 // data read from the device
	ReadHits        int64 // blocks of data found in the cache
	ReadMisses      int64
	RetriedReads    int64 // reads that were right only when repeated
	Corruptions     int64 // blocks that stayed wrong
	GivenUp         int64 // nodes, objects and zones marked damaged
	DirtyOnodes     int
	DirtyBytes      int64
	FreeBlocks      uint64
	LimboBlocks     uint64
	Log             wal.Metrics
}

// Metrics returns the counters as they are now.
func (s *Store) Metrics() Metrics {
	c := &s.metrics
	m := Metrics{
		Transactions: c.Transactions.Load(), Checkpoints: c.Checkpoints.Load(), CheckpointNanos: c.CheckpointNanos.Load(),
		DirectBytes: c.DirectBytes.Load(), FoldBytes: c.FoldBytes.Load(), MetaBytes: c.MetaBytes.Load(), SuperBytes: c.SuperBytes.Load(),
		ReadBytes: c.ReadBytes.Load(), ReadHits: c.ReadHits.Load(), ReadMisses: c.ReadMisses.Load(),
		RetriedReads: c.RetriedReads.Load(), Corruptions: c.Corruptions.Load(), GivenUp: c.GivenUp.Load(),
	}
	m.DirtyOnodes, m.DirtyBytes = s.dirty.pressure()
	n := s.space.counts()
	m.FreeBlocks, m.LimboBlocks = n.free, n.limbo
	if s.wal != nil {
		m.Log = s.wal.Metrics()
		m.LogBytes, m.LogFlushes = int64(m.Log.Bytes), int64(m.Log.Flushes)
	}
	return m
}
