package ebofs

import (
	"context"
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// LogContent is what the log of a store holds behind its newest checkpoint, for
// tools that must not disturb it.
type LogContent struct {
	Records uint64
	First   uint64          // txid of the first record; 0 without any
	Last    uint64          // txid of the last one
	Blocks  []layout.Extent // where data lies that records name
	Keys    []string        // encoded keys of the objects they change, each once
	Sources []string        // likewise of those they clone
	// LastOf is the last txid of the records that were made while an epoch was open:
	// the checkpoint of that epoch holds them.
	LastOf map[uint64]uint64
	Damage error // a committed part cannot be read
}

// ReadLog reads the log of the store that sb describes, on its log device. It
// writes nothing.
func ReadLog(ctx context.Context, log devices.Device, sb *layout.Superblock) (LogContent, error) {
	c := LogContent{LastOf: make(map[uint64]uint64)}
	ring := sb.Rings[0]
	seen, cloned := make(map[string]bool), make(map[string]bool)
	note := func(key string, seen map[string]bool, list *[]string) {
		if key != "" && !seen[key] {
			seen[key] = true
			*list = append(*list, key)
		}
	}
	res, err := wal.Scan(ctx, log, wal.Config{Start: ring.Start.Block(), Blocks: ring.Blocks, FSID: sb.FSID, Incarnation: ring.Incarnation},
		wal.Pos{Block: ring.TailBlock, Seq: ring.TailSeq}, func(r wal.Record) error {
			epoch, cs, err := decodeRecord(r.Data)
			if err != nil {
				return fmt.Errorf("transaction %d: %w", r.Txid, err)
			}
			if c.Records++; c.First == 0 {
				c.First = r.Txid
			}
			c.Last, c.LastOf[epoch] = r.Txid, r.Txid
			for i := range cs {
				for _, p := range cs[i].place {
					c.Blocks = append(c.Blocks, layout.Extent{Addr: p.addr, Blocks: uint64(len(p.crc))})
				}
				if cs[i].code.clones() {
					note(cs[i].key, cloned, &c.Sources)
				} else {
					note(cs[i].key, seen, &c.Keys)
				}
				note(cs[i].to, seen, &c.Keys)
			}
			return nil
		})
	if err != nil {
		return c, fmt.Errorf("log: %w", err)
	}
	if res.Damage != nil {
		c.Damage = res.Damage
	}
	return c, nil
}
