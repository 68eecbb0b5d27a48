package wal

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"ebofs/devices"
	"ebofs/internal/planted"
)

// Wait returns once the record is committed, with the log's error if it never
// will be. A waiter that finds nobody writing writes and flushes itself. If ctx
// ends first Wait returns its error, and the record is committed all the same;
// who has begun to write finishes.
func (l *Log) Wait(ctx context.Context, lsn LSN) error {
	if l.committed.Load() >= uint64(lsn) {
		return nil
	}
	l.mu.Lock()
	if l.decided(lsn) {
		l.mu.Unlock()
		return l.verdict(lsn)
	}
	if lsn > l.mu.appended {
		l.mu.Unlock()
		return fmt.Errorf("wait for record %d of %d: %w", lsn, l.mu.appended, ErrInvalid)
	}
	l.mu.wanted = max(l.mu.wanted, lsn)
	if !l.mu.busy && (l.cfg.Inline || ctx.Err() == nil) {
		l.leadLocked(lsn)
		l.mu.Unlock()
		return l.verdict(lsn)
	}
	if !l.mu.busy {
		l.wakeWriter() // given up before it began, but still wanted
	}
	done := l.followLocked(lsn)
	l.mu.Unlock()
	if ctx.Done() == nil {
		<-done
		return l.verdict(lsn)
	}
	select {
	case <-done:
		return l.verdict(lsn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// decided reports whether the fate of a record is known.
func (l *Log) decided(lsn LSN) bool {
	return l.committed.Load() >= uint64(lsn) || l.failure.Load() != nil
}

// verdict returns what Wait says about a decided record. What was committed
// before the log stopped stays committed.
func (l *Log) verdict(lsn LSN) error {
	if l.committed.Load() >= uint64(lsn) {
		return nil
	}
	return l.Err()
}

// followLocked returns a channel that is closed when the record is decided. The
// record is neither decided nor beyond the last one, so some batch holds it.
func (l *Log) followLocked(lsn LSN) chan struct{} {
	b := l.mu.open
	for _, list := range [][]*batch{l.mu.sealed, l.flight} {
		for i := len(list) - 1; i >= 0 && list[i].lastLSN >= lsn; i-- {
			b = list[i]
		}
	}
	if b.done == nil {
		b.done = make(chan struct{})
	}
	return b.done
}

// Kick asks for everything appended so far to be committed, for callers that
// queue without waiting. With Config.Inline it does so before it returns.
func (l *Log) Kick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.wanted = l.mu.appended
	switch {
	case l.mu.busy || l.decided(l.mu.wanted):
	case l.cfg.Inline:
		l.leadLocked(l.mu.wanted)
	default:
		l.wakeWriter()
	}
}

// wakeWriter lets the background writer look for work; never blocks.
func (l *Log) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// runWriter is the background writer: it leads while somebody waits.
func (l *Log) runWriter() {
	for {
		select {
		case <-l.wake:
		case <-l.stop:
			return
		}
		l.mu.Lock()
		for !l.mu.busy && !l.decided(l.mu.wanted) {
			l.leadLocked(l.mu.wanted)
		}
		l.mu.Unlock()
	}
}

// leadLocked makes the caller the leader until the record is decided; then it
// hands what others wait for to the writer, or, inline, does that too. There is
// no leader. It drops mu during I/O.
func (l *Log) leadLocked(lsn LSN) {
	l.mu.busy = true
	for !l.decided(lsn) || l.cfg.Inline && !l.decided(l.mu.wanted) {
		if l.woken > 0 && !l.cfg.Inline {
			// Those just woken come back at once, and one flush may serve them all.
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
		}
		l.takeGroupLocked()
		horizon, tailSeq := l.mu.committedSeq, l.mu.tailSeq
		l.mu.Unlock()
		wrote, err := l.writeGroup(horizon, tailSeq)
		if err != nil {
			l.fail(err)
		} else {
			l.commit(wrote)
		}
		l.mu.Lock()
		l.recycleLocked()
	}
	l.mu.busy = false
	if !l.decided(l.mu.wanted) {
		l.wakeWriter()
	}
}

// takeGroupLocked moves the oldest batches into flight: those sealed, then the
// open one, as far as MaxGroup goes. There is at least one.
func (l *Log) takeGroupLocked() {
	bytes, n := 0, 0
	for _, b := range l.mu.sealed {
		if bytes += b.used; bytes > MaxGroup && n > 0 {
			break
		}
		n++
	}
	l.flight = append(l.flight[:0], l.mu.sealed[:n]...)
	l.mu.sealed = l.mu.sealed[:copy(l.mu.sealed, l.mu.sealed[n:])]
	if b := l.mu.open; b != nil && len(l.mu.sealed) == 0 && (n == 0 || bytes+b.used <= MaxGroup) {
		l.flight = append(l.flight, b)
		l.mu.open = nil
	}
}

// written is what a group took on the device.
type written struct{ batches, bytes, padding, maxBatch uint64 }

// writeGroup makes the group in flight durable (I2).
func (l *Log) writeGroup(horizon, tailSeq uint64) (w written, err error) {
	landed := l.writeBeside()
	if l.cfg.DataFlush != nil || l.cfg.Inline {
		if err := landed(); err != nil {
			return w, err
		}
	}
	w, err = l.writeBatches(horizon, tailSeq)
	if e := landed(); err == nil {
		err = e
	}
	if err != nil || planted.On(planted.LogNoFlush) {
		return w, err
	}
	begin := time.Now()
	if err := l.dev.Flush(l.ctx); err != nil {
		return w, fmt.Errorf("flush log batch %d: %w", l.flight[len(l.flight)-1].seq, err)
	}
	if l.cfg.FlushNanos != nil {
		l.cfg.FlushNanos.Record(uint64(time.Since(begin)))
	}
	return w, nil
}

// writeBeside begins to write what lies beside the group in flight. landed waits for
// it, and says the same whenever it is called.
func (l *Log) writeBeside() (landed func() error) {
	l.beside = l.beside[:0]
	for _, b := range l.flight {
		l.beside = append(l.beside, b.beside...)
	}
	switch {
	case len(l.beside) == 0 || planted.On(planted.LogBeside):
		return func() error { return nil }
	case l.cfg.Inline:
		err := l.cfg.Beside(l.ctx, l.beside)
		return func() error { return err }
	}
	var err error
	done := make(chan struct{})
	go func() {
		err = l.cfg.Beside(l.ctx, l.beside)
		close(done)
	}()
	return func() error {
		<-done
		return err
	}
}

// writeBatches writes the batches of the group in flight.
func (l *Log) writeBatches(horizon, tailSeq uint64) (w written, err error) {
	for _, b := range l.flight {
		if b.dataFlush && l.cfg.DataFlush != nil && !planted.On(planted.LogDataFlush) {
			if err := l.cfg.DataFlush(l.ctx); err != nil {
				return w, fmt.Errorf("flush data before batch %d: %w", b.seq, err)
			}
			break
		}
	}
	next := uint64(0)
	for _, b := range l.flight {
		p := b.bytes()
		h := header{
			typ: typeBatch, minReader: formatVersion, ring: l.cfg.Ring, bytes: uint32(b.used),
			fsid: l.fsid, incarnation: l.cfg.Incarnation, seq: b.seq, prev: l.chain,
			behind: saturate32(b.seq - horizon), back: saturate32(b.seq - tailSeq),
			span: saturate32(b.high - b.low), txid: b.low,
		}
		if b.filler {
			h.typ = typeFiller
		}
		l.chain = h.seal(p)
		if len(l.vec) > 0 && b.vpos != next {
			if err := l.writeVec(next); err != nil {
				return w, err
			}
		}
		l.vec = append(l.vec, p)
		next = b.vpos + b.blocks()
		if next%l.cfg.Blocks == 0 { // what follows starts at the other end
			if err := l.writeVec(next); err != nil {
				return w, err
			}
		}
		w.batches++
		w.bytes += uint64(len(p))
		w.padding += uint64(len(p) - b.used)
		w.maxBatch = max(w.maxBatch, uint64(len(p)))
	}
	if len(l.vec) > 0 {
		if err := l.writeVec(next); err != nil {
			return w, err
		}
	}
	return w, nil
}

// writeVec writes the gathered batches, which end at virtual block end.
func (l *Log) writeVec(end uint64) error {
	v := end - uint64(devices.VecBytes(l.vec))/devices.BlockSize
	at := devices.Block(l.cfg.Start + v%l.cfg.Blocks)
	err := l.dev.Write(l.ctx, at, l.vec)
	clear(l.vec)
	l.vec = l.vec[:0]
	if err != nil {
		return fmt.Errorf("write log at block %d: %w", at, err)
	}
	return nil
}

// commit reports the group in flight. OnCommit comes first, so that a caller
// who returns from Wait finds its effects.
func (l *Log) commit(w written) {
	l.report(l.flight, nil)
	last := l.flight[len(l.flight)-1]
	l.mu.Lock()
	l.mu.committedSeq = last.seq
	records := 0
	for _, b := range l.flight {
		if records += b.records; b.records > 0 {
			l.mu.committedTxid = max(l.mu.committedTxid, b.high)
		}
	}
	m := &l.mu.metrics
	m.Groups++
	m.Flushes++
	m.Batches += w.batches
	m.Bytes += w.bytes
	m.PaddingBytes += w.padding
	m.MaxBatchBytes = max(m.MaxBatchBytes, w.maxBatch)
	l.together.Store(int64(records))
	l.committed.Store(uint64(last.lastLSN))
	l.takeDoneLocked()
	l.mu.Unlock()
	l.wakeFollowers()
}

// fail stops the log (I3): the group in flight and everything behind it is lost.
func (l *Log) fail(err error) {
	err = fmt.Errorf("log stopped: %w", err)
	l.mu.Lock()
	l.failure.Store(&err)
	l.sealLocked()
	l.flight = append(l.flight, l.mu.sealed...)
	l.mu.sealed = l.mu.sealed[:0]
	l.takeDoneLocked()
	l.mu.Unlock()
	l.report(l.flight, err)
	l.wakeFollowers()
}

// report calls OnCommit for the records that end in a group.
func (l *Log) report(group []*batch, err error) {
	if l.cfg.OnCommit == nil {
		return
	}
	var first, last uint64
	records := 0
	for _, b := range group {
		if b.records == 0 {
			continue
		}
		if records == 0 {
			first = b.first
		}
		records, last = records+b.records, b.last
	}
	if records > 0 {
		l.cfg.OnCommit(first, last, err)
	}
}

// takeDoneLocked collects the channels of the group's followers: none can join
// once the group is decided.
func (l *Log) takeDoneLocked() {
	for _, b := range l.flight {
		if b.done != nil {
			l.done = append(l.done, b.done)
			b.done = nil
		}
	}
}

// wakeFollowers wakes them outside the lock, which they may want next.
func (l *Log) wakeFollowers() {
	for _, c := range l.done {
		close(c)
	}
	l.woken = len(l.done)
	clear(l.done)
	l.done = l.done[:0]
}

// recycleLocked keeps the memory of the group that was in flight.
func (l *Log) recycleLocked() {
	for _, b := range l.flight {
		if len(l.mu.free) < keepFree {
			l.mu.free = append(l.mu.free, b)
		}
	}
	clear(l.flight)
	l.flight = l.flight[:0]
}

// Close commits what was appended, stops the background writer and waits for
// it. It returns the log's error, if it has one. Closing again does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return l.Err()
	}
	l.mu.closed = true
	last := l.mu.appended
	l.mu.Unlock()
	err := l.Wait(l.ctx, last)
	close(l.stop)
	l.writer.Wait()
	if err == nil {
		err = l.Err()
	}
	return err
}
