package wal

// Metrics counts what a Log did since New. Sums, not averages: the mean batch
// is Bytes/Batches, records per flush Records/Flushes.
type Metrics struct {
	Records       uint64 // appended
	PayloadBytes  uint64 // of them, without framing
	Batches       uint64 // written and committed, fillers included
	Fillers       uint64
	Groups        uint64 // rounds of a leader
	Flushes       uint64 // of the log's device; equal to Groups
	Bytes         uint64 // written to the ring, whole blocks
	PaddingBytes  uint64 // of them, zeros after the last record of a batch, or written by Resume
	SkippedBytes  uint64 // of the ring, given up at its end and not written
	MaxBatchBytes uint64 // largest batch so far
}

// Metrics returns a snapshot.
func (l *Log) Metrics() Metrics {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.metrics
}
