package dump

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Slot is one superblock slot.
type Slot struct {
	Name       string     `json:"name"`
	Block      uint64     `json:"block"`
	OK         bool       `json:"ok"`
	Newest     bool       `json:"newest"`
	Error      string     `json:"error,omitempty"`
	Generation uint64     `json:"generation,omitempty"`
	Epoch      uint64     `json:"epoch,omitempty"`
	Clean      bool       `json:"clean"`
	Written    *time.Time `json:"written,omitempty"`
	Root       string     `json:"root,omitempty"` // of the root record
}

// Ring is where a log lies.
type Ring struct {
	Address     string `json:"address"`
	Blocks      uint64 `json:"blocks"`
	Incarnation uint64 `json:"incarnation"`
	TailBlock   uint64 `json:"tail_block"`
	TailSeq     uint64 `json:"tail_seq"`
}

// Device is one entry of the device table.
type Device struct {
	Index  int    `json:"index"`
	UUID   string `json:"uuid"`
	Role   string `json:"role"`
	Blocks uint64 `json:"blocks"`
}

// Tree is a tree as its root describes it.
type Tree struct {
	Name    string `json:"name"`
	Items   uint64 `json:"items"`
	Bytes   uint64 `json:"bytes"`
	Kind    string `json:"kind"` // "empty", "inline" or "node"
	Address string `json:"address,omitempty"`
	Level   uint8  `json:"level"`
	Epoch   uint64 `json:"epoch,omitempty"`
}

// TreeOf describes a root.
func TreeOf(name string, r btree.Root) Tree {
	t := Tree{Name: name, Items: r.Count, Bytes: r.Bytes, Kind: "empty"}
	switch r.Kind {
	case btree.RootInline:
		t.Kind = "inline"
	case btree.RootNode:
		t.Kind, t.Address, t.Level, t.Epoch = "node", layout.Addr(r.Ptr.Addr).String(), r.Ptr.Level, r.Ptr.Epoch
	}
	return t
}

func (t Tree) String() string {
	switch t.Kind {
	case "empty":
		return "empty"
	case "inline":
		return fmt.Sprintf("%d items, %s, inline", t.Items, sizes.Human(t.Bytes))
	}
	return fmt.Sprintf("%d items, %s, node %s level %d epoch %d", t.Items, sizes.Human(t.Bytes), t.Address, t.Level, t.Epoch)
}

// Root is the root record.
type Root struct {
	Address      string          `json:"address"`
	Blocks       uint32          `json:"blocks"`
	Cut          uint64          `json:"cut"` // last transaction contained
	NextObjectID uint64          `json:"next_object_id"`
	Trees        []Tree          `json:"trees"`
	Counters     layout.Counters `json:"counters"`
	ZoneTables   []string        `json:"zone_tables"`
	SpaceLog     []string        `json:"space_log"`
}

// Super is the result of "super".
type Super struct {
	Store       string    `json:"store"`
	Device      string    `json:"device_uuid"`
	Role        string    `json:"role"`
	Label       string    `json:"label"`
	Cluster     string    `json:"cluster,omitempty"`
	OSD         *int64    `json:"osd,omitempty"`
	Created     time.Time `json:"created"`
	Generation  uint64    `json:"generation"`
	Epoch       uint64    `json:"epoch"`
	Clean       bool      `json:"clean"`
	Features    []string  `json:"features"`
	Blocks      uint64    `json:"blocks"`
	BlockBytes  uint32    `json:"block_bytes"`
	StripeBytes uint32    `json:"stripe_bytes"`
	UnitBytes   uint32    `json:"unit_bytes"`
	AlignBytes  uint64    `json:"align_bytes"`
	Hard        bool      `json:"hard"`
	Slack       uint8     `json:"slack_percent"`
	ZoneStart   uint64    `json:"zone_start"`
	ZoneEnd     uint64    `json:"zone_end"`
	ZoneBlocks  uint32    `json:"zone_blocks"`
	Zones       uint32    `json:"zones"`
	Rings       []Ring    `json:"rings"`
	Devices     []Device  `json:"devices"`
	Slots       []Slot    `json:"slots"`
	Root        *Root     `json:"root"` // null if unreadable
	RootError   string    `json:"root_error,omitempty"`
}

var slotNames = [...]string{"H0", "H1", "Z0", "Z1"}

// ReadSlots describes the superblock slots.
func (m *Image) ReadSlots() []Slot {
	var out []Slot
	for i := range m.Found.Slots {
		f := &m.Found.Slots[i]
		s := Slot{Name: slotNames[i%4], Block: f.Addr.Block(), OK: f.Err == nil}
		if f.Err != nil {
			s.Error = f.Err.Error()
		} else {
			sb := &f.Super
			s.Generation, s.Epoch, s.Clean = sb.Generation, sb.Epoch, sb.Clean()
			if w := sb.Written; sb.Role != layout.RoleLog { // mkfs writes a log device's once, and they name nothing
				s.Written, s.Root, s.Newest = &w, sb.Root.String(), sb.Generation == m.Super.Generation
			}
		}
		out = append(out, s)
	}
	return out
}

// ReadSuper describes superblock and root record.
func (m *Image) ReadSuper(ctx context.Context) Super {
	sb := &m.Super
	s := Super{
		Store: sb.FSID.String(), Device: sb.DeviceUUID.String(), Role: sb.Role.String(), Label: sb.Text, Created: sb.Created,
		Generation: sb.Generation, Epoch: sb.Epoch, Clean: sb.Clean(), Features: append([]string{}, sb.Features.Names()...),
		Blocks: sb.Blocks, BlockBytes: layout.BlockSize, StripeBytes: sb.StripeBytes, UnitBytes: sb.UnitBytes, AlignBytes: sb.AlignBytes, Hard: sb.Hard(), Slack: sb.Placement().SlackPercent,
		ZoneStart: sb.ZoneStart, ZoneEnd: sb.ZoneEnd, ZoneBlocks: sb.ZoneBlocks, Zones: sb.Zones, Slots: m.ReadSlots(), Rings: []Ring{}, Devices: []Device{},
	}
	if !sb.Cluster.IsZero() {
		s.Cluster = sb.Cluster.String()
	}
	if sb.OSD >= 0 {
		s.OSD = &sb.OSD
	}
	for _, r := range sb.Rings {
		s.Rings = append(s.Rings, Ring{r.Start.String(), r.Blocks, r.Incarnation, r.TailBlock, r.TailSeq})
	}
	for i, d := range sb.Devices {
		s.Devices = append(s.Devices, Device{i, d.UUID.String(), d.Role.String(), d.Blocks})
	}
	if sb.Role == layout.RoleLog {
		s.RootError = "the device holds the log alone"
		return s
	}
	roots, err := m.Roots(ctx)
	if err != nil {
		s.RootError = err.Error()
		return s
	}
	r := &roots.Record
	s.Root = &Root{Address: sb.Root.Addr.String(), Blocks: sb.Root.Blocks, Cut: r.Cut, NextObjectID: r.NextObjectID, Counters: r.Counters, ZoneTables: []string{}, SpaceLog: []string{}}
	for k := layout.TreeCollections; k <= layout.TreeOwners; k++ {
		s.Root.Trees = append(s.Root.Trees, TreeOf(k.String(), *r.Root(k)))
	}
	for _, t := range r.ZoneTables {
		s.Root.ZoneTables = append(s.Root.ZoneTables, t.String())
	}
	for _, l := range r.SpaceLog {
		s.Root.SpaceLog = append(s.Root.SpaceLog, fmt.Sprintf("%v, %d entries", l.Ref, l.Entries))
	}
	return s
}

func showSuper(ctx context.Context, c *verb.Call, m *Image) error {
	s := m.ReadSuper(ctx)
	c.Set(s)
	if m.Super.Role == layout.RoleLog {
		c.Printf("store       %s\ndevice      %s, its log: %s\n", s.Store, s.Device, sizes.Human(s.Blocks*layout.BlockSize))
		for _, sl := range s.Slots {
			c.Printf("slot %s     block %d: %s\n", sl.Name, sl.Block, sl.describe())
		}
		c.Printf("What the log holds: %s\n", c.Command("dump", "MAIN", "log", "--log", c.Args[0]))
		return nil
	}
	state := "in use or not closed"
	if s.Clean {
		state = "closed cleanly"
	}
	c.Printf("store       %s\n", s.Store)
	if s.Label != "" {
		c.Printf("label       %s\n", s.Label)
	}
	if s.OSD != nil || s.Cluster != "" {
		osd := "none"
		if s.OSD != nil {
			osd = fmt.Sprint("osd.", *s.OSD)
		}
		c.Printf("cluster     %s, %s\n", s.Cluster, osd)
	}
	c.Printf("created     %s\n", s.Created.Format(time.RFC3339))
	c.Printf("state       generation %d, epoch %d, %s\n", s.Generation, s.Epoch, state)
	c.Printf("features    %s\n", strings.Join(s.Features, ", "))
	hard := "soft"
	slack := ""
	if s.Hard {
		hard, slack = "hard", fmt.Sprintf(", slack %d%%", s.Slack)
	}
	c.Printf("geometry    %s in blocks of %s; stripe %s %s, unit %s, aligned at %s%s\n", sizes.Human(s.Blocks*layout.BlockSize), sizes.Human(layout.BlockSize),
		sizes.Human(uint64(s.StripeBytes)), hard, sizes.Human(uint64(s.UnitBytes)), sizes.Human(s.AlignBytes), slack)
	c.Printf("zones       %d of %s, blocks %d up to %d\n", s.Zones, sizes.Human(uint64(s.ZoneBlocks)*layout.BlockSize), s.ZoneStart, s.ZoneEnd)
	for i, r := range s.Rings {
		c.Printf("log %d       %s at %s; incarnation %d, replayed from batch %d at block %d of it\n", i, sizes.Human(r.Blocks*layout.BlockSize), r.Address, r.Incarnation, r.TailSeq, r.TailBlock)
	}
	for _, d := range s.Devices {
		c.Printf("device %d    %s, %s, %s\n", d.Index, d.UUID, d.Role, sizes.Human(d.Blocks*layout.BlockSize))
	}
	for _, sl := range s.Slots {
		c.Printf("slot %s     block %d: %s\n", sl.Name, sl.Block, sl.describe())
	}
	if s.Root == nil {
		c.Printf("root        %s\n", s.RootError)
		return nil
	}
	c.Printf("root        %s, %s; contains transactions up to %d; object ids up to %d\n", s.Root.Address, sizes.Human(uint64(s.Root.Blocks)*layout.BlockSize), s.Root.Cut, s.Root.NextObjectID)
	for _, t := range s.Root.Trees {
		c.Printf("  %-12s %s\n", t.Name, t)
	}
	n := &s.Root.Counters
	c.Printf("  counters     %d collections, %d objects of %s; data %s, nodes %s; %d removed objects waiting\n", n.Collections, n.Objects, sizes.Human(n.LogicalBytes),
		sizes.Human(n.DataBlocks*layout.BlockSize), sizes.Human(n.MetaBlocks*layout.BlockSize), n.TrashObjects)
	for _, t := range s.Root.ZoneTables {
		c.Printf("  zone table   %s\n", t)
	}
	for _, t := range s.Root.SpaceLog {
		c.Printf("  space log    %s\n", t)
	}
	return nil
}

func (s *Slot) describe() string {
	if !s.OK {
		return s.Error
	}
	d := fmt.Sprintf("generation %d, epoch %d", s.Generation, s.Epoch)
	if s.Written != nil {
		d += fmt.Sprintf(", root %s, written %s", s.Root, s.Written.Format(time.RFC3339))
	}
	if s.Clean {
		d += ", clean"
	}
	if s.Newest {
		d += ", newest"
	}
	return d
}

// Label is one place for a label.
type Label struct {
	Block   uint64     `json:"block"`
	OK      bool       `json:"ok"`
	Error   string     `json:"error,omitempty"`
	Store   string     `json:"store,omitempty"`
	Device  string     `json:"device_uuid,omitempty"`
	Index   uint8      `json:"index"`
	Role    string     `json:"role,omitempty"`
	Blocks  uint64     `json:"blocks,omitempty"`
	Created *time.Time `json:"created,omitempty"`
	Slots   []uint64   `json:"slots,omitempty"`
	Text    string     `json:"text"`
}

// ReadLabels describes the label and its copies.
func (m *Image) ReadLabels() []Label {
	var out []Label
	for _, f := range m.Found.Labels {
		l := Label{Block: f.Block, OK: f.Err == nil}
		if f.Err != nil {
			l.Error = f.Err.Error()
		} else {
			v := f.Label
			l.Store, l.Device, l.Index, l.Role, l.Blocks, l.Created, l.Slots, l.Text = v.FSID.String(), v.DeviceUUID.String(), v.Index, v.Role.String(), v.Blocks, &v.Created, v.Slots[:], v.Text
		}
		out = append(out, l)
	}
	return out
}

func showLabel(ctx context.Context, c *verb.Call, m *Image) error {
	for _, l := range m.ReadLabels() {
		c.Row(l)
		if !l.OK {
			c.Printf("block %d: %s\n", l.Block, l.Error)
			continue
		}
		c.Printf("block %d: store %s, device %d %s (%s), %d blocks, created %s, slots %d %d %d %d", l.Block, l.Store, l.Index, l.Device, l.Role, l.Blocks,
			l.Created.Format(time.RFC3339), l.Slots[0], l.Slots[1], l.Slots[2], l.Slots[3])
		if l.Text != "" {
			c.Printf(", %q", l.Text)
		}
		c.Printf("\n")
	}
	return nil
}
