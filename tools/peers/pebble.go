package main

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

const pebbleSetting = "v2.1 on ext4, newest format; cache of the budget, memtables of 64 MiB (4 before writes wait), 1 to 2 compactions at once, no compression as the values are noise, " +
	"bloom filters of 10 bits; values of 1 KiB and more in blob files, which makes scans slower but halves CPU and bytes of a put; put with Sync; settled by a flush and the end of all compactions"

// settleTime bounds the wait for the end of compactions.
const settleTime = 2 * time.Minute

// It has ended when none was seen so many times, so long after one another.
const (
	settledPolls = 10
	settlePoll   = 10 * time.Millisecond
)

type peb struct {
	db    *pebble.DB
	bytes int
}

// quiet hides what Pebble tells: the errors come from its calls, too.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

func openPebble(o setup) (backend, error) {
	c := pebble.NewCache(o.memory)
	defer c.Unref()
	opt := &pebble.Options{
		Cache: c, MemTableSize: 64 << 20, MemTableStopWritesThreshold: 4, Logger: quiet{},
		FormatMajorVersion:         pebble.FormatNewest,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	opt.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{Enabled: true, MinimumSize: 1 << 10, MaxBlobReferenceDepth: 10, TargetGarbageRatio: 0.2, RewriteMinimumAge: time.Minute}
	}
	for i := range opt.Levels {
		opt.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		opt.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(o.dir+"/db", opt)
	return &peb{db: db, bytes: o.bytes}, err
}

func (p *peb) load(n uint64, value func(uint64, []byte)) error {
	v := make([]byte, p.bytes)
	for i := uint64(0); i < n; {
		b := p.db.NewBatch()
		for size := 0; i < n && size < 4<<20; i++ {
			k := keyOf(i)
			value(i, v)
			if err := b.Set(k[:], v, nil); err != nil {
				return err
			}
			size += len(v)
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
	}
	return nil
}

func (p *peb) put(i uint64, v []byte) error {
	k := keyOf(i)
	return p.db.Set(k[:], v, pebble.Sync)
}

func (p *peb) get(i uint64, v []byte) error {
	k := keyOf(i)
	got, c, err := p.db.Get(k[:])
	if err != nil {
		return err
	}
	n := copy(v, got)
	return short(n, len(v), c.Close())
}

func (p *peb) scan(fn func([]byte) bool) error {
	it, err := p.db.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			it.Close()
			return err
		}
		if !fn(v) {
			break
		}
	}
	return it.Close()
}

// settle waits until no compaction has run for a while: nothing tells that none
// is about to begin.
func (p *peb) settle() error {
	if err := p.db.Flush(); err != nil {
		return err
	}
	end := time.Now().Add(settleTime)
	for idle := 0; idle < settledPolls; idle++ {
		if p.db.Metrics().Compact.NumInProgress > 0 {
			idle = 0
		}
		if time.Now().After(end) {
			return fmt.Errorf("compactions did not end within %v", settleTime)
		}
		time.Sleep(settlePoll)
	}
	return nil
}

// watched is how long settle only saw that nothing went on.
func (p *peb) watched() time.Duration { return settledPolls * settlePoll }

func (p *peb) close() error { return p.db.Close() }
