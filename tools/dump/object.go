package dump

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Attr is one attribute.
type Attr struct {
	Name  string `json:"name"`
	Bytes uint64 `json:"bytes"`
}

// Object is the metadata of an object.
type Object struct {
	Name       string   `json:"name"`
	Key        string   `json:"key"`
	ID         uint64   `json:"id"`
	Size       uint64   `json:"size"`
	Flags      uint32   `json:"flags"`
	Inline     int      `json:"inline_bytes"`
	OmapHeader int      `json:"omap_header_bytes"`
	HintSize   uint64   `json:"hint_object_bytes"`
	HintWrite  uint64   `json:"hint_write_bytes"`
	Attrs      Tree     `json:"attrs_tree"`
	Omap       Tree     `json:"omap_tree"`
	Extents    Tree     `json:"extents_tree"`
	AttrList   []Attr   `json:"attrs"`
	DataBlocks uint64   `json:"data_blocks"`
	Runs       int      `json:"runs"` // stretches of consecutive blocks
	Damage     []string `json:"damage"`
}

// Extent is a stretch of an object's bytes.
type Extent struct {
	Offset  uint64   `json:"offset"`
	Length  uint64   `json:"length"`
	Address string   `json:"address,omitempty"` // none: inline
	Blocks  uint64   `json:"blocks"`
	Flags   []string `json:"flags"`
	CRC     []string `json:"crc,omitempty"` // one a block, if asked for
	Error   string   `json:"error,omitempty"`
}

func flagNames(f uint8) []string {
	names := []string{}
	for _, x := range [...]struct {
		bit  uint8
		name string
	}{{layout.BlockShared, "shared"}, {layout.BlockDamaged, "damaged"}, {layout.BlockZero, "zero"}} {
		if f&x.bit != 0 {
			names = append(names, x.name)
		}
	}
	return names
}

// ReadExtents calls fn for every stretch of an object that is no hole, joined over
// records where blocks and flags go on; with crcs one for each record.
func (m *Image) ReadExtents(ctx context.Context, o *layout.Onode, crcs bool, fn func(Extent)) error {
	if len(o.Inline) > 0 {
		fn(Extent{Length: uint64(len(o.Inline)), Flags: []string{"inline"}})
	}
	var last *Extent
	var end layout.Addr
	flush := func() {
		if last != nil {
			fn(*last)
			last = nil
		}
	}
	err := m.walk(ctx, layout.TreeExtents, o.ID, o.Extents, func(key, val []byte, ext []btree.BlobExtent) error {
		idx, err := layout.DecodeUint64Key(key)
		if err == nil {
			val, err = m.value(ctx, val, ext)
		}
		if err == nil {
			err = layout.ChunkRuns(val, func(r *layout.Run) bool {
				off := (idx*layout.ChunkBlocks + uint64(r.First)) * layout.BlockSize
				names := flagNames(r.Flags)
				if last != nil && !crcs && last.Offset+last.Length == off && end == r.Addr && strings.Join(last.Flags, ",") == strings.Join(names, ",") {
					last.Length += uint64(r.Blocks) * layout.BlockSize
					last.Blocks += uint64(r.Blocks)
				} else {
					flush()
					last = &Extent{Offset: off, Length: uint64(r.Blocks) * layout.BlockSize, Address: r.Addr.String(), Blocks: uint64(r.Blocks), Flags: names}
				}
				if crcs {
					for i := range r.Blocks {
						last.CRC = append(last.CRC, fmt.Sprintf("%08x", r.CRC(i)))
					}
				}
				end = r.Addr + layout.Addr(r.Blocks)
				return true
			})
		}
		if err != nil {
			flush()
			fn(Extent{Offset: idx * layout.ChunkBlocks * layout.BlockSize, Flags: []string{}, Error: err.Error()})
		}
		return ctx.Err()
	}, func(where string, err error) {
		flush()
		fn(Extent{Flags: []string{}, Error: where + ": " + err.Error()})
	})
	flush()
	return err
}

// ReadObject describes an object.
func (m *Image) ReadObject(ctx context.Context, oid string) (Object, error) {
	k, o, err := m.Object(ctx, oid)
	if err != nil {
		return Object{}, err
	}
	out := Object{Name: k.Name, Key: k.String(), ID: o.ID, Size: o.Size, Flags: o.Flags, Inline: len(o.Inline), OmapHeader: len(o.OmapHeader), HintSize: o.Hint.ObjectSize, HintWrite: o.Hint.WriteSize,
		Attrs: TreeOf("attrs", o.Attrs), Omap: TreeOf("omap", o.Omap), Extents: TreeOf("extents", o.Extents), AttrList: []Attr{}, Damage: []string{}}
	err = m.walk(ctx, layout.TreeAttrs, o.ID, o.Attrs, func(key, val []byte, ext []btree.BlobExtent) error {
		a := Attr{Name: string(key), Bytes: uint64(len(val))}
		for _, e := range ext {
			a.Bytes += uint64(e.Bytes)
		}
		out.AttrList = append(out.AttrList, a)
		return nil
	}, func(where string, err error) { out.Damage = append(out.Damage, where+": "+err.Error()) })
	if err != nil {
		return out, err
	}
	err = m.ReadExtents(ctx, &o, false, func(e Extent) {
		switch {
		case e.Error != "":
			out.Damage = append(out.Damage, e.Error)
		case e.Address != "":
			out.DataBlocks += e.Blocks
			out.Runs++
		}
	})
	return out, err
}

func showObject(ctx context.Context, c *verb.Call, m *Image) error {
	o, err := m.ReadObject(ctx, c.Args[1])
	if err != nil {
		return err
	}
	c.Set(o)
	c.Printf("object   %s\n", strconv.Quote(o.Name))
	c.Printf("key      %s\n", o.Key)
	c.Printf("id       %d\n", o.ID)
	c.Printf("size     %d (%s)\n", o.Size, sizes.Human(o.Size))
	if o.HintSize != 0 || o.HintWrite != 0 {
		c.Printf("hint     object of %s, writes of %s\n", sizes.Human(o.HintSize), sizes.Human(o.HintWrite))
	}
	switch {
	case o.Inline > 0:
		c.Printf("data     %d bytes in the onode\n", o.Inline)
	default:
		c.Printf("data     %d blocks (%s) in %d runs; tree: %s\n", o.DataBlocks, sizes.Human(o.DataBlocks*layout.BlockSize), o.Runs, o.Extents)
	}
	c.Printf("omap     %s; header of %d bytes\n", o.Omap, o.OmapHeader)
	c.Printf("attrs    %s\n", o.Attrs)
	for _, a := range o.AttrList {
		c.Printf("  %-24s %d bytes\n", strconv.Quote(a.Name), a.Bytes)
	}
	for _, d := range o.Damage {
		c.Printf("damaged  %s\n", d)
	}
	return nil
}

func extentFlags(fs *pflag.FlagSet) { fs.Bool("crc", false, "with the checksum of every block") }

func showExtents(ctx context.Context, c *verb.Call, m *Image) error {
	k, o, err := m.Object(ctx, c.Args[1])
	if err != nil {
		return err
	}
	crcs, _ := c.Flags.GetBool("crc")
	c.Set(struct {
		Name string `json:"name"`
		Key  string `json:"key"`
		Size uint64 `json:"size"`
	}{k.Name, k.String(), o.Size})
	return m.ReadExtents(ctx, &o, crcs, func(e Extent) {
		c.Row(e)
		switch {
		case e.Error != "":
			c.Printf("%12d  damaged: %s\n", e.Offset, e.Error)
		case e.Address == "":
			c.Printf("%12d~%-10d in the onode\n", e.Offset, e.Length)
		default:
			c.Printf("%12d~%-10d %s~%d %s\n", e.Offset, e.Length, e.Address, e.Blocks, strings.Join(append(e.Flags, e.CRC...), " "))
		}
	})
}
