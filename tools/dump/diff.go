package dump

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"ebofs/btree"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Change is an object that is not the same in two checkpoints.
type Change struct {
	Change string `json:"change"` // "added", "removed" or "changed"
	Name   string `json:"name"`
	Key    string `json:"key"`
	Before uint64 `json:"size_before"`
	After  uint64 `json:"size_after"`
	// Parts of a changed object: "data", "attrs", "omap", "hint"; "replaced" if it
	// was removed and made anew.
	Parts []string `json:"parts"`
	Error string   `json:"error,omitempty"` // what is there does not decode
}

// Diff is how two checkpoints differ.
type Diff struct {
	From        uint64 `json:"from_epoch"`
	To          uint64 `json:"to_epoch"`
	Added       uint64 `json:"added"`
	Removed     uint64 `json:"removed"`
	Changed     uint64 `json:"changed"`
	BytesBefore uint64 `json:"bytes_before"` // of all objects
	BytesAfter  uint64 `json:"bytes_after"`
	NodesRead   int    `json:"nodes_read"`
}

// nodeCounter counts what a comparison reads.
type nodeCounter struct {
	btree.Loader
	nodes int
}

func (l *nodeCounter) Load(ctx context.Context, cfg *btree.Config, own *btree.Owner, p btree.Ptr) (*btree.Page, error) {
	l.nodes++
	return l.Loader.Load(ctx, cfg, own, p)
}

// ReadDiff calls fn for every object that is not the same in two epochs, in order.
// Of the trees it reads what they do not share.
func (m *Image) ReadDiff(ctx context.Context, from, to uint64, fn func(Change)) (Diff, error) {
	d := Diff{From: from, To: to}
	var records [2]layout.RootRecord
	for i, epoch := range [...]uint64{from, to} {
		sb, err := ebofs.FindEpoch(ctx, m.dev, &m.Found.Super, epoch)
		if err != nil {
			return d, err
		}
		roots, err := ebofs.ReadRoots(ctx, m.dev, &sb)
		if err != nil && !roots.Sound() {
			return d, fmt.Errorf("epoch %d: %w", epoch, err)
		}
		records[i] = roots.Record
	}
	d.BytesBefore, d.BytesAfter = records[0].Counters.LogicalBytes, records[1].Counters.LogicalBytes
	l := &nodeCounter{Loader: m.cache.Scan()}
	cfg := ebofs.TreeConfig(layout.TreeObjects, m.Super.FSID)
	err := btree.Diff(ctx, l, cfg, &btree.Owner{}, records[0].Objects, records[1].Objects, func(key []byte, a, b *btree.Value) error {
		c, err := m.change(ctx, key, a, b)
		if err != nil {
			c.Error = err.Error()
		}
		switch {
		case a == nil:
			c.Change = "added"
			d.Added++
		case b == nil:
			c.Change = "removed"
			d.Removed++
		case len(c.Parts) == 0 && c.Error == "":
			return nil // only where it lies
		default:
			c.Change = "changed"
			d.Changed++
		}
		fn(c)
		return nil
	})
	d.NodesRead = l.nodes
	return d, err
}

// change describes one difference.
func (m *Image) change(ctx context.Context, key []byte, a, b *btree.Value) (Change, error) {
	c := Change{Key: strconv.Quote(string(key)), Parts: []string{}}
	k, err := layout.DecodeObjectKey(key)
	if err != nil {
		return c, err
	}
	c.Name, c.Key = k.Name, k.String()
	var on [2]layout.Onode
	for i, v := range [...]*btree.Value{a, b} {
		if v == nil {
			continue
		}
		val, err := m.value(ctx, v.Val, v.Ext)
		if err != nil {
			return c, err
		}
		if on[i], err = layout.DecodeOnode(bytes.Clone(val)); err != nil {
			return c, err
		}
	}
	x, y := &on[0], &on[1]
	c.Before, c.After = x.Size, y.Size
	if a == nil || b == nil {
		return c, nil
	}
	same := func(a, b btree.Root) bool { return bytes.Equal(a.Append(nil), b.Append(nil)) }
	for _, p := range [...]struct {
		name string
		same bool
	}{
		{"replaced", x.ID == y.ID},
		{"data", x.Size == y.Size && bytes.Equal(x.Inline, y.Inline) && same(x.Extents, y.Extents)},
		{"attrs", same(x.Attrs, y.Attrs)},
		{"omap", same(x.Omap, y.Omap) && bytes.Equal(x.OmapHeader, y.OmapHeader)},
		{"hint", x.Hint == y.Hint && x.Flags == y.Flags},
	} {
		if !p.same {
			c.Parts = append(c.Parts, p.name)
		}
	}
	return c, nil
}

func showDiff(ctx context.Context, c *verb.Call, m *Image) error {
	var epochs [2]uint64
	for i := range epochs {
		var err error
		if epochs[i], err = strconv.ParseUint(c.Args[1+i], 10, 64); err != nil {
			return verb.Usage(fmt.Sprintf("%q: not an epoch", c.Args[1+i]))
		}
	}
	d, err := m.ReadDiff(ctx, epochs[0], epochs[1], func(x Change) {
		c.Row(x)
		name := strconv.Quote(x.Name)
		switch {
		case x.Error != "":
			c.Printf("%-8s %s: %s\n", x.Change, name, x.Error)
		case x.Change == "added":
			c.Printf("added    %s  %s\n", name, sizes.Human(x.After))
		case x.Change == "removed":
			c.Printf("removed  %s  %s\n", name, sizes.Human(x.Before))
		case x.Before != x.After:
			c.Printf("changed  %s  %s to %s: %s\n", name, sizes.Human(x.Before), sizes.Human(x.After), strings.Join(x.Parts, ", "))
		default:
			c.Printf("changed  %s  %s: %s\n", name, sizes.Human(x.After), strings.Join(x.Parts, ", "))
		}
	})
	if err != nil {
		return err
	}
	c.Set(d)
	c.Printf("epoch %d to %d: %d added, %d removed, %d changed; %s to %s; %s read\n", d.From, d.To, d.Added, d.Removed, d.Changed,
		sizes.Human(d.BytesBefore), sizes.Human(d.BytesAfter), plural(uint64(d.NodesRead), "node"))
	return nil
}

func plural(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
