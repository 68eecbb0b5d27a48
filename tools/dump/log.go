package dump

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/wal"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Record is one record of the log.
type Record struct {
	Txid      uint64 `json:"txid"`
	Seq       uint64 `json:"seq"`   // of the batch it ends in
	Block     uint64 `json:"block"` // of that batch, in the ring
	Bytes     int    `json:"bytes"`
	Placed    bool   `json:"placed"`    // names data written beside the log
	Committed bool   `json:"committed"` // proven by a later batch
}

// Log is the log as a whole.
type Log struct {
	Ring    Ring   `json:"ring"`
	Records uint64 `json:"record_count"` // to be replayed
	Batches uint64 `json:"batches"`
	Bytes   uint64 `json:"bytes"` // of the ring in them
	EndSeq  uint64 `json:"end_seq"`
	End     uint64 `json:"end_block"`
	Horizon uint64 `json:"horizon"` // highest batch known to be committed
	Damage  string `json:"damage,omitempty"`
	Torn    bool   `json:"torn"`
	Reason  string `json:"reason"` // why it ends
}

// ReadLog scans the log and calls fn for every record.
func (m *Image) ReadLog(ctx context.Context, fn func(Record) error) (Log, error) {
	if len(m.Super.Rings) == 0 {
		return Log{}, fmt.Errorf("store without a log: %w", ebofs.ErrInvalid)
	}
	r := m.Super.Rings[0]
	out := Log{Ring: Ring{r.Start.String(), r.Blocks, r.Incarnation, r.TailBlock, r.TailSeq}}
	dev := devices.Device(m.dev)
	if i := int(r.Start.Device()); i != 0 {
		want := m.Super.Devices[i].UUID
		if m.Log == nil {
			return out, fmt.Errorf("%w: it is device %v", ebofs.ErrLogMissing, want)
		}
		f, err := ebofs.Find(ctx, m.Log)
		if err != nil {
			return out, fmt.Errorf("log device: %w", err)
		}
		if f.Super.FSID != m.Super.FSID || f.Super.DeviceUUID != want {
			return out, fmt.Errorf("%w: this is device %v of store %v, wanted %v", ebofs.ErrLogMissing, f.Super.DeviceUUID, f.Super.FSID, want)
		}
		dev = m.Log
	}
	cfg := wal.Config{Start: r.Start.Block(), Blocks: r.Blocks, FSID: m.Super.FSID, Incarnation: r.Incarnation}
	res, err := wal.Scan(ctx, dev, cfg, wal.Pos{Block: r.TailBlock, Seq: r.TailSeq}, func(w wal.Record) error {
		return fn(Record{w.Txid, w.Seq, w.Block, len(w.Data), w.Flags&wal.NeedsDataFlush != 0, w.Committed})
	})
	out.Records, out.Batches, out.Bytes, out.EndSeq, out.End, out.Horizon = res.Records, res.Batches, res.Bytes, res.End.Seq, res.End.Block, res.MaxHorizon
	out.Torn, out.Reason = res.Torn, res.Reason
	if res.Damage != nil {
		out.Damage = res.Damage.Error()
	}
	return out, err
}

func logFlags(fs *pflag.FlagSet) { fs.Bool("records", false, "list every record") }

func showLog(ctx context.Context, c *verb.Call, m *Image) error {
	list, _ := c.Flags.GetBool("records")
	l, err := m.ReadLog(ctx, func(r Record) error {
		if !list {
			return nil
		}
		c.Row(r)
		note := ""
		if r.Placed {
			note = ", names data beside the log"
		}
		if r.Committed {
			note += ", committed"
		}
		c.Printf("transaction %d: batch %d at block %d, %d bytes%s\n", r.Txid, r.Seq, r.Block, r.Bytes, note)
		return nil
	})
	if err != nil {
		return err
	}
	c.Set(l)
	c.Printf("log at %s, %s, incarnation %d\n", l.Ring.Address, sizes.Human(l.Ring.Blocks*devices.BlockSize), l.Ring.Incarnation)
	c.Printf("from batch %d at block %d: %d batches, %d records, %s; committed up to batch %d for certain\n", l.Ring.TailSeq, l.Ring.TailBlock, l.Batches, l.Records, sizes.Human(l.Bytes), l.Horizon)
	c.Printf("ends at batch %d, block %d: %s\n", l.EndSeq, l.End, l.Reason)
	if l.Damage != "" {
		c.Printf("damaged: %s\n", l.Damage)
	}
	return nil
}
