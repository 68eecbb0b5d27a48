package repair

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// FuzzRepair changes bytes of a store, with the checksum of the structure made right
// or not, and repairs it: no panic, no hang, and either an error or a store in which
// a deep check finds marks only.
func FuzzRepair(f *testing.F) {
	f.Add([]byte{0, 5, 0, 0, 0, 1, 1})
	f.Add([]byte{0, 5, 0, 0, 0, 1, 1, 0, 40, 0, 0, 8, 2, 1})
	f.Add([]byte{0, 0, 1, 0, 12, 1, 0, 0, 1, 1, 0, 12, 1, 0, 0, 2, 1, 0, 12, 1, 0, 0, 3, 1, 0, 12, 1, 0, 0, 30, 1, 0, 64, 5, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		o := sample()
		dev := o.dev.Snapshot()
		for n := 0; len(p) >= 7 && n < 16; p, n = p[7:], n+1 {
			at := o.places[(int(p[0])<<8|int(p[1]))%len(o.places)]
			off := int(p[2])<<16 | int(p[3])<<8 | int(p[4])
			change(t, dev, at.block, at.blocks, func(b []byte) {
				b[off%len(b)] ^= p[5]
				if p[6]&1 != 0 {
					reseal(b)
				}
			})
		}
		ctx, cancel := context.WithTimeout(bg, 60*time.Second)
		defer cancel()
		if _, err := Run(ctx, dev, Options{Mode: All, Overwrite: true, Deep: true}); err != nil {
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			return
		}
		rep, err := check.Run(bg, dev, check.Options{Level: check.Deep})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rep.Problems {
			if q := &rep.Problems[i]; q.Code != check.DataDamaged && q.Code != check.ObjectDamaged {
				t.Errorf("left: %s", q)
			}
		}
	})
}

// reseal makes the checksum of a structure right again.
func reseal(p []byte) {
	if string(p[:6]) == "EBOFS\r" || string(p[:5]) == "EBOFS" {
		le.PutUint32(p[8:], layout.CRC(p[12:layout.BlockSize]))
		return
	}
	if string(p[:2]) != "EB" {
		return
	}
	var zero [4]byte
	table := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(crc32.Checksum(p[:4], table), table, zero[:])
	le.PutUint32(p[4:], crc32.Update(c, table, p[8:]))
}

// FuzzUndoFile reads undo files whose checksums are right: what can be read was
// written like that.
func FuzzUndoFile(f *testing.F) {
	file := &memFile{}
	u := undoFile{at: file, id: Ident{layout.UUID{1}, layout.UUID{2}, 1000}, length: undoHeader}
	for i := range uint64(2) {
		if err := u.append(i*7, make([]byte, layout.BlockSize)); err != nil {
			f.Fatal(err)
		}
	}
	if err := u.commit(); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(file.p), true)
	u.supers = []uint32{1, 2}
	if err := u.finish(make([]byte, 8)); err != nil {
		f.Fatal(err)
	}
	f.Add(file.p, true)
	f.Add(file.p[:undoHeader+100], true)
	f.Add(file.p[:100], false)
	f.Fuzz(func(t *testing.T, p []byte, right bool) {
		file := &memFile{append([]byte(nil), p...)}
		if right && len(file.p) >= undoHeader {
			le.PutUint32(file.p[8:], layout.CRC(file.p[12:undoHeader]))
			for at := undoHeader; at+entryHeader <= len(file.p); {
				end := at + entryHeader + int(le.Uint32(file.p[at+24:]))*layout.BlockSize
				if end > len(file.p) {
					break
				}
				le.PutUint32(file.p[at+4:], layout.CRC(file.p[at+8:end]))
				at = end
			}
		}
		u, err := openUndo(file)
		if err == nil {
			again := undoFile{at: &memFile{}, id: u.id, length: undoHeader}
			if err = u.each(bg, again.append); err == nil && (again.length != u.length || again.entries != u.entries) {
				t.Fatalf("%d entries in %d bytes become %d in %d", u.entries, u.length, again.entries, again.length)
			}
			if err == nil && u.finished {
				_, err = u.left((u.length - undoHeader - entryHeader*u.entries) / layout.BlockSize)
			}
		}
		if err != nil && !errors.Is(err, ErrUndo) {
			t.Fatal(err)
		}
	})
}
