package crash

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"unsafe"

	"ebofs/devices"
	"ebofs/osd"
	"ebofs/osd/memstore"
)

// toy is the smallest store that keeps the promises: a log of whole
// transactions, replayed into a memstore at open. Large data goes straight to
// blocks of its own, and the record names it with its checksum, as the engine
// does with whole stripes. Each fault breaks one rule, for the explorer to find.
//
//	block 0      "toy", never changed
//	blocks 1…    records: length u32, crc u32, number u64, gob of the operations
//	from half    data of operations of 64 KiB and more, never reused
type toy struct {
	*memstore.Store
	dev    devices.Device
	faults toyFaults

	next   uint64 // number of the next record
	head   uint64 // its block
	data   uint64 // next block for large data
	notify []func(error)
}

type toyFaults struct {
	ackBeforeFlush bool // commit is reported before the flush
	trustData      bool // replay does not verify the checksum of large data
	trustRecord    bool // replay does not verify the checksum of a record
	skipBad        bool // replay goes on behind a bad record
	halves         bool // a transaction is logged as two records
	noFlush        bool // flushes are left out
	noReplay       bool // open answers before it has replayed: nothing is there
	panics         bool // a torn record panics
}

// toyOp is an osd.Op with large data replaced by its place.
type toyOp struct {
	Op    osd.Op
	Block uint64
	Bytes int
	CRC   uint32
}

const toyLarge = 64 << 10

func toyTarget(f toyFaults) *Target {
	return &Target{
		DeviceBytes: 64 << 20,
		Ballast:     1 << 20,
		Format: func(ctx context.Context, dev devices.Device) error {
			p := make([]byte, devices.BlockSize)
			copy(p, "toy")
			if err := dev.Write(ctx, 0, devices.Vec{p}); err != nil {
				return err
			}
			return dev.Flush(ctx)
		},
		Open: func(ctx context.Context, dev devices.Device) (Store, error) { return openToy(ctx, dev, f) },
	}
}

// aligned returns n zero bytes whose address is a multiple of the block size.
func aligned(n int) []byte {
	p := make([]byte, n+devices.BlockSize)
	off := int(-uintptr(unsafe.Pointer(&p[0])) % devices.BlockSize)
	return p[off : off+n : off+n]
}

func openToy(ctx context.Context, dev devices.Device, f toyFaults) (*toy, error) {
	s := &toy{Store: memstore.New(memstore.Options{}), dev: dev, faults: f, next: 1, head: 1, data: dev.Geometry().Blocks / 2}
	if f.noReplay {
		return s, nil
	}
	half := s.data
	head := aligned(devices.BlockSize)
	for bad := 0; s.head < half; {
		if err := dev.Read(ctx, devices.Block(s.head), devices.Vec{head}); err != nil {
			return nil, err
		}
		n := uint64(binary.LittleEndian.Uint32(head))
		blocks := (n + devices.BlockSize - 1) / devices.BlockSize
		if n < 16 || s.head+blocks > half || binary.LittleEndian.Uint64(head[8:]) != s.next {
			if f.skipBad && bad < 64 {
				bad++
				s.head++
				continue
			}
			break
		}
		rec := aligned(int(blocks) * devices.BlockSize)
		if err := dev.Read(ctx, devices.Block(s.head), devices.Vec{rec}); err != nil {
			return nil, err
		}
		ok, err := s.replay(ctx, rec[:n])
		if err != nil {
			return nil, err
		}
		if !ok {
			if f.skipBad {
				s.next++
				s.head += blocks
				continue
			}
			break
		}
		s.next++
		s.head += blocks
	}
	// What lies behind the end was never promised, but a later record must not
	// join it to the log again.
	if err := dev.Write(ctx, devices.Block(s.head), devices.Vec{aligned(devices.BlockSize)}); err != nil {
		return nil, err
	}
	return s, s.flush(ctx)
}

// replay applies one record; false if it or its data is not all there.
func (s *toy) replay(ctx context.Context, rec []byte) (bool, error) {
	if !s.faults.trustRecord && crc32.ChecksumIEEE(rec[8:]) != binary.LittleEndian.Uint32(rec[4:]) {
		if s.faults.panics {
			panic("bad record")
		}
		return false, nil
	}
	var ops []toyOp
	if err := gob.NewDecoder(bytes.NewReader(rec[16:])).Decode(&ops); err != nil {
		return false, nil
	}
	t := new(osd.Transaction)
	end := s.data
	for _, op := range ops {
		if op.Bytes > 0 {
			p := aligned((op.Bytes + devices.BlockSize - 1) / devices.BlockSize * devices.BlockSize)
			if err := s.dev.Read(ctx, devices.Block(op.Block), devices.Vec{p}); err != nil {
				return false, err
			}
			op.Op.Data = p[:op.Bytes]
			if !s.faults.trustData && crc32.ChecksumIEEE(op.Op.Data) != op.CRC {
				return false, nil
			}
			end = max(end, op.Block+uint64(len(p)/devices.BlockSize))
		}
		t.Add(op.Op)
	}
	s.data = end
	return true, osd.Apply(ctx, s.Store, t)
}

func (s *toy) flush(ctx context.Context) error {
	if s.faults.noFlush {
		return nil
	}
	return s.dev.Flush(ctx)
}

// Queue logs t without waiting for it to be durable.
func (s *toy) Queue(ctx context.Context, t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	if err := s.Store.Queue(ctx, t, onApplied, nil); err != nil {
		return err
	}
	ops := t.Ops()
	if s.faults.halves && len(ops) > 1 {
		if err := s.log(ctx, ops[:1]); err != nil {
			return err
		}
		ops = ops[1:]
	}
	if err := s.log(ctx, ops); err != nil {
		return err
	}
	if onCommit == nil {
		return nil
	}
	if s.faults.ackBeforeFlush {
		onCommit(nil)
		return nil
	}
	s.notify = append(s.notify, onCommit)
	return nil
}

func (s *toy) log(ctx context.Context, ops []osd.Op) error {
	var list []toyOp
	for _, op := range ops {
		x := toyOp{Op: op}
		if n := len(op.Data); n >= toyLarge {
			p := aligned((n + devices.BlockSize - 1) / devices.BlockSize * devices.BlockSize)
			copy(p, op.Data)
			x.Op.Data, x.Block, x.Bytes, x.CRC = nil, s.data, n, crc32.ChecksumIEEE(op.Data)
			if err := s.dev.Write(ctx, devices.Block(s.data), devices.Vec{p}); err != nil {
				return err
			}
			s.data += uint64(len(p) / devices.BlockSize)
		}
		list = append(list, x)
	}
	var b bytes.Buffer
	b.Write(make([]byte, 16))
	if err := gob.NewEncoder(&b).Encode(list); err != nil {
		return err
	}
	rec := aligned((b.Len() + devices.BlockSize - 1) / devices.BlockSize * devices.BlockSize)
	n := copy(rec, b.Bytes())
	binary.LittleEndian.PutUint32(rec, uint32(n))
	binary.LittleEndian.PutUint64(rec[8:], s.next)
	binary.LittleEndian.PutUint32(rec[4:], crc32.ChecksumIEEE(rec[8:n]))
	if s.head+uint64(len(rec)/devices.BlockSize) > s.dev.Geometry().Blocks/2 {
		return fmt.Errorf("log: %w", osd.ErrNoSpace)
	}
	if err := s.dev.Write(ctx, devices.Block(s.head), devices.Vec{rec}); err != nil {
		return err
	}
	s.next++
	s.head += uint64(len(rec) / devices.BlockSize)
	return nil
}

// Sync flushes and acknowledges.
func (s *toy) Sync(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	for _, fn := range s.notify {
		fn(nil)
	}
	s.notify = nil
	return nil
}

// Checkpoint is Sync: the log is all there is.
func (s *toy) Checkpoint(ctx context.Context) error { return s.Sync(ctx) }

// Close syncs first.
func (s *toy) Close(ctx context.Context) error {
	return errors.Join(s.Sync(ctx), s.Store.Close(ctx))
}
