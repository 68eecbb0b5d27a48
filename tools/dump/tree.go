package dump

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"ebofs/btree"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Entry is one item of a global tree. Which fields are set depends on the tree.
type Entry struct {
	Key   string `json:"key"`            // text form
	Name  string `json:"name,omitempty"` // of an object
	ID    uint64 `json:"id,omitempty"`
	Size  uint64 `json:"size"`            // of an object, bytes
	Range string `json:"range,omitempty"` // of a collection: pool/seed/bits
	Attrs uint64 `json:"attrs"`
	Omap  uint64 `json:"omap_keys"`
	Bytes int    `json:"value_bytes"`
	Error string `json:"error,omitempty"` // the value does not decode, or a node is damaged

	Shared []Shared     `json:"shared,omitempty"` // of the refs tree
	Owners []BlockOwner `json:"owners,omitempty"` // of the owners tree
}

// ReadTree calls fn for every entry of a global tree, in order, and for every
// damaged node met.
func (m *Image) ReadTree(ctx context.Context, kind layout.TreeKind, fn func(Entry)) error {
	r, err := m.Roots(ctx)
	if err != nil {
		return err
	}
	root := r.Record.Root(kind)
	if root == nil {
		return fmt.Errorf("tree %v belongs to an object; \"object OID\" shows it: %w", kind, ebofs.ErrInvalid)
	}
	return m.walk(ctx, kind, 0, *root, func(key, val []byte, ext []btree.BlobExtent) error {
		e := Entry{Key: strconv.Quote(string(key))}
		val, err := m.value(ctx, val, ext)
		if err == nil {
			e.Bytes = len(val)
			err = e.decode(kind, key, val)
		}
		if err != nil {
			e.Error = err.Error()
		}
		fn(e)
		return ctx.Err()
	}, func(where string, err error) { fn(Entry{Key: where, Error: err.Error()}) })
}

func (e *Entry) decode(kind layout.TreeKind, key, val []byte) error {
	switch kind {
	case layout.TreeCollections:
		e.Key = string(key)
		c, err := layout.DecodeCnode(val)
		if err == nil {
			e.ID, e.Range, e.Attrs = c.ID, c.Range.String(), c.Attrs.Count
		}
		return err
	case layout.TreeObjects:
		k, err := layout.DecodeObjectKey(key)
		if err != nil {
			return err
		}
		e.Key, e.Name = k.String(), k.Name
		o, err := layout.DecodeOnode(val)
		if err == nil {
			e.ID, e.Size, e.Attrs, e.Omap = o.ID, o.Size, o.Attrs.Count, o.Omap.Count
		}
		return err
	case layout.TreeTrash:
		id, err := layout.DecodeUint64Key(key)
		if err != nil {
			return err
		}
		e.Key = strconv.FormatUint(id, 10)
		t, err := layout.DecodeTrash(val)
		if err == nil {
			e.ID, e.Size, e.Attrs, e.Omap = t.ID, t.Size, t.Attrs.Count, t.Omap.Count
		}
		return err
	case layout.TreeRefs:
		k, err := layout.DecodeUint64Key(key)
		if err != nil {
			return err
		}
		e.Key = layout.Addr(k * layout.RefBlocks).String()
		var g layout.RefGroup
		if err := layout.DecodeRefGroup(val, &g); err != nil {
			return err
		}
		e.Shared = sharedRuns(layout.Addr(k*layout.RefBlocks), &g)
		return nil
	}
	group, id, err := layout.DecodeOwnerKey(key)
	switch {
	case err != nil || kind != layout.TreeOwners:
		e.Key = hex.EncodeToString(key)
		return err
	case id != 0:
		e.Key, e.ID = "id "+strconv.FormatUint(id, 10), id
		k, err := layout.DecodeObjectKey(val)
		e.Name = k.Name
		return err
	}
	e.Key = layout.Addr(group * layout.OwnerBlocks).String()
	var g layout.OwnerGroup
	if err := layout.DecodeOwnerGroup(val, &g); err != nil {
		return err
	}
	for i := 0; i < layout.OwnerBlocks; {
		n := 1
		for i+n < layout.OwnerBlocks && g.ID[i+n] == g.ID[i] && g.Block[i+n] == g.Block[i]+uint64(n) {
			n++
		}
		if g.ID[i] != 0 {
			e.Owners = append(e.Owners, BlockOwner{layout.Addr(group*layout.OwnerBlocks + uint64(i)).String(), uint64(n), g.ID[i], g.Block[i]})
		} else {
			n = 1
		}
		i += n
	}
	return nil
}

// BlockOwner is a run of blocks that hold blocks of an object, from one on.
type BlockOwner struct {
	Address string `json:"address"`
	Blocks  uint64 `json:"blocks"`
	ID      uint64 `json:"id"`
	Block   uint64 `json:"block"`
}

// Shared is a run of blocks that so many extents map.
type Shared struct {
	Address string `json:"address"`
	Blocks  uint64 `json:"blocks"`
	Count   uint32 `json:"count"`
}

func sharedRuns(first layout.Addr, g *layout.RefGroup) (list []Shared) {
	for i := 0; i < layout.RefBlocks; {
		n := 1
		for i+n < layout.RefBlocks && g.Count[i+n] == g.Count[i] {
			n++
		}
		if g.Count[i] > 0 {
			list = append(list, Shared{(first + layout.Addr(i)).String(), uint64(n), g.Count[i]})
		}
		i += n
	}
	return list
}

func showTree(ctx context.Context, c *verb.Call, m *Image) error {
	kind, err := layout.ParseTreeKind(c.Args[1])
	if err != nil {
		return verb.Usage(fmt.Sprintf("tree %q: not collections, objects, trash, refs or owners", c.Args[1]))
	}
	return m.ReadTree(ctx, kind, func(e Entry) {
		c.Row(e)
		switch {
		case e.Error != "":
			c.Printf("%s: %s\n", e.Key, e.Error)
		case kind == layout.TreeCollections:
			c.Printf("%-40s range %s, %d attributes\n", e.Key, e.Range, e.Attrs)
		case kind == layout.TreeRefs:
			for _, r := range e.Shared {
				c.Printf("%-20s %3d blocks mapped by %d extents\n", r.Address, r.Blocks, r.Count)
			}
		case kind == layout.TreeOwners && e.ID != 0:
			c.Printf("%-20s %s\n", e.Key, e.Name)
		case kind == layout.TreeOwners:
			for _, r := range e.Owners {
				c.Printf("%-20s %3d blocks: block %d of id %d on\n", r.Address, r.Blocks, r.Block, r.ID)
			}
		default:
			c.Printf("%-40s id %d, %s, %d attributes, %d omap keys, onode of %d bytes\n", e.Key, e.ID, sizes.Human(e.Size), e.Attrs, e.Omap, e.Bytes)
		}
	})
}

// Node is one tree node, as its own header describes it.
type Node struct {
	Address string `json:"address"`
	Self    string `json:"self"` // what it takes itself for
	Blocks  uint8  `json:"blocks"`
	Level   uint8  `json:"level"`
	Epoch   uint64 `json:"epoch"`
	CRC     string `json:"crc"`
	FSID    string `json:"fsid_low"`
	Tree    string `json:"tree"`
	Owner   uint64 `json:"owner"`
	Low     string `json:"low"`
	High    string `json:"high"`
	Items   int    `json:"item_count"`
	Used    int    `json:"used_bytes"`
	Error   string `json:"error,omitempty"` // it is damaged: what is shown may be wrong
}

// Item is one item of a node.
type Item struct {
	Key      string `json:"key"`
	Bytes    int    `json:"bytes"`             // of a leaf: of the value in the node
	Overflow bool   `json:"overflow"`          // the value is elsewhere
	Child    string `json:"child,omitempty"`   // of an inner node
	Below    uint64 `json:"items,omitempty"`   // items below the child
	Epoch    uint64 `json:"epoch,omitempty"`   // of the child
	CRC      string `json:"crc,omitempty"`     // likewise
	Blocks   uint8  `json:"blocks,omitempty"`  // likewise
	Preview  string `json:"preview,omitempty"` // first bytes of the value, hexadecimal
}

// ReadNode reads the node at a, whatever tree it is part of. Of a damaged node it
// returns what can be made out, if only the header, with the error.
func (m *Image) ReadNode(ctx context.Context, a layout.Addr) (Node, []Item, error) {
	fail := func(err error) (Node, []Item, error) { return Node{}, nil, fmt.Errorf("node at %v: %w", a, err) }
	if a.Device() != 0 || a.Block() >= m.Super.Blocks {
		return fail(fmt.Errorf("outside the device: %w", ebofs.ErrInvalid))
	}
	p, err := m.read(ctx, a.Block(), 1)
	if err != nil {
		return fail(err)
	}
	if n := int(p[11]); string(p[:4]) == "EBTN" && n > 1 && n <= btree.MaxPageBytes/layout.BlockSize { // blocks, at offset 11
		if p, err = m.read(ctx, a.Block(), n); err != nil {
			return fail(err)
		}
	}
	page, damage := parseNode(p, a)
	if page == nil {
		return headerOf(p, a, damage), nil, damage
	}
	ptr := page.Ptr()
	fsid, kind, own := page.Identity()
	low, high := page.Fences()
	n := Node{Address: a.String(), Self: layout.Addr(ptr.Addr).String(), Blocks: ptr.Blocks, Level: ptr.Level, Epoch: ptr.Epoch, CRC: fmt.Sprintf("%08x", ptr.CRC),
		FSID: fmt.Sprintf("%016x", fsid), Tree: layout.TreeKind(kind).String(), Owner: own.ID, Low: strconv.Quote(string(low)), High: strconv.Quote(string(high)), Items: page.Len(), Used: page.Used()}
	items := make([]Item, page.Len())
	for i := range items {
		if ptr.Level > 0 {
			c, count, bytes := page.Child(i)
			items[i] = Item{Child: layout.Addr(c.Addr).String(), Below: count, Bytes: int(bytes), Epoch: c.Epoch, CRC: fmt.Sprintf("%08x", c.CRC), Blocks: c.Blocks}
			if i > 0 {
				items[i].Key = strconv.Quote(string(page.AppendKey(nil, i-1)))
			}
			continue
		}
		val, over := page.Value(i)
		items[i] = Item{Key: strconv.Quote(string(page.AppendKey(nil, i))), Bytes: len(val), Overflow: over, Preview: hex.EncodeToString(val[:min(len(val), 16)])}
	}
	if damage != nil {
		n.Error, n.CRC = damage.Error(), fmt.Sprintf("%08x", binary.LittleEndian.Uint32(p[4:]))
	}
	return n, items, damage
}

// parseNode reads the page p of address a. If it is damaged and its fields
// still fit each other, the page is returned with the error.
func parseNode(p []byte, a layout.Addr) (*btree.Page, error) {
	page, err := btree.ParsePage(p)
	if err == nil {
		return page, nil
	}
	var c *btree.CorruptError
	if !errors.As(err, &c) {
		return nil, fmt.Errorf("node at %v: %w", a, err)
	}
	named := *c
	named.Addr = uint64(a)
	if c.Field != "crc" {
		return nil, &named
	}
	// As if the checksum were right.
	mended := bytes.Clone(p)
	clear(mended[4:8])
	binary.LittleEndian.PutUint32(mended[4:], crc32.Checksum(mended, crc32.MakeTable(crc32.Castagnoli)))
	page, _ = btree.ParsePage(mended)
	return page, &named
}

// headerOf reads the header of a page that makes no sense beyond it; an empty
// Node means that there is none.
func headerOf(p []byte, a layout.Addr, damage error) Node {
	if string(p[:4]) != "EBTN" {
		return Node{}
	}
	le := binary.LittleEndian
	return Node{Address: a.String(), Self: layout.Addr(le.Uint64(p[24:])).String(), Blocks: p[11], Level: p[10], Epoch: le.Uint64(p[32:]), CRC: fmt.Sprintf("%08x", le.Uint32(p[4:])),
		FSID: fmt.Sprintf("%016x", le.Uint64(p[16:])), Tree: layout.TreeKind(p[40]).String(), Owner: le.Uint64(p[56:]), Items: int(le.Uint32(p[64:])), Used: int(le.Uint16(p[86:])), Error: damage.Error()}
}

func showNode(ctx context.Context, c *verb.Call, m *Image) error {
	a, err := layout.ParseAddr(c.Args[1])
	if err != nil {
		return verb.Usage(err.Error())
	}
	n, items, err := m.ReadNode(ctx, a)
	if err != nil && n.Address == "" {
		return err
	}
	c.Set(n)
	if n.Error != "" {
		c.Printf("damaged, what follows may be wrong: %s\n", n.Error)
	}
	c.Printf("node %s of tree %s, owner %d: level %d, %d blocks, epoch %d, crc %s, %d items, %d bytes used\n", n.Address, n.Tree, n.Owner, n.Level, n.Blocks, n.Epoch, n.CRC, n.Items, n.Used)
	if n.Self != n.Address {
		c.Printf("it was written for %s\n", n.Self)
	}
	if n.Low != "" {
		c.Printf("keys from %s up to %s\n", n.Low, n.High)
	}
	for _, it := range items {
		c.Row(it)
		if it.Child != "" {
			c.Printf("%-40s child %s, %d blocks, epoch %d, crc %s, %d items\n", it.Key, it.Child, it.Blocks, it.Epoch, it.CRC, it.Below)
			continue
		}
		note := ""
		if it.Overflow {
			note = ", value elsewhere"
		}
		c.Printf("%-40s %d bytes%s  %s\n", it.Key, it.Bytes, note, it.Preview)
	}
	return err
}
