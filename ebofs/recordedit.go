package ebofs

import (
	"bytes"
	"fmt"

	"ebofs/ebofs/layout"
)

// RecordEditor says how to change a log record without changing its length, for
// package image. The functions return names as long as what they are given.
type RecordEditor struct {
	Key        func(key string) string // encoded key of an object
	Collection func(id string) string
	Attr       func(name string) string
	Omap       func(key string) string
	// Placed may change the checksums of data written before the record.
	Placed func(addr layout.Addr, crc []uint32)
}

// EditRecord changes a record of the log in place: names by the editor's rules, values
// to zeros, data to something that is not, since a checkpoint makes holes of zeros. An error says that p is no record of this format, or that a
// name has changed its length; then p is as it was.
func EditRecord(p []byte, e *RecordEditor) error {
	epoch, cs, err := decodeRecord(bytes.Clone(p))
	if err != nil {
		return err
	}
	key := func(s string) string {
		if s == "" {
			return s
		}
		return e.Key(s)
	}
	for i := range cs {
		c := &cs[i]
		c.coll, c.dest = CollectionID(e.Collection(string(c.coll))), CollectionID(e.Collection(string(c.dest)))
		c.key, c.to = key(c.key), key(c.to)
		blank(c.data)
		name := e.Omap
		if c.code == opSetAttrs || c.code == opRmAttrs {
			name = e.Attr
		}
		for j := range c.pairs {
			c.pairs[j].key = name(c.pairs[j].key)
			clear(c.pairs[j].value)
		}
		for _, pl := range c.place {
			e.Placed(pl.addr, pl.crc)
		}
	}
	var enc recordEncoder
	out := bytes.Join(enc.encode(epoch, cs), nil)
	if len(out) != len(p) {
		return fmt.Errorf("log record of %d bytes becomes one of %d: %w", len(p), len(out), ErrInvalid)
	}
	copy(p, out)
	return nil
}

// blank replaces data, unless it is zeros, by bytes that are not.
func blank(p []byte) {
	if len(bytes.Trim(p, "\x00")) == 0 {
		return
	}
	for i := range p {
		p[i] = 'x'
	}
}
