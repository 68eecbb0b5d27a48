package mkfs

import (
	"fmt"
	"strings"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Result is the JSON of a run; sizes in bytes, places in bytes from the start.
type Result struct {
	Store          string        `json:"store"`
	DeviceUUID     string        `json:"device_uuid"`
	Device         string        `json:"device"`
	Model          string        `json:"model"`
	Label          string        `json:"label"`
	Bytes          uint64        `json:"bytes"`
	BlockBytes     uint64        `json:"block_bytes"`
	StripeBytes    uint64        `json:"stripe_bytes"`
	UnitBytes      uint64        `json:"unit_bytes"`
	AlignBytes     uint64        `json:"align_bytes"`
	Hard           bool          `json:"hard"`
	StripeFrom     string        `json:"stripe_from"`
	Zones          uint64        `json:"zones"`
	ZoneBytes      uint64        `json:"zone_bytes"`
	LogBytes       uint64        `json:"log_bytes"`
	LogDevice      string        `json:"log_device"`
	ReserveBytes   uint64        `json:"reserve_bytes"`
	SlackPercent   uint8         `json:"slack_percent"`
	KeepEpochs     int           `json:"keep_epochs"`
	Labels         []uint64      `json:"labels"`
	Superblocks    []uint64      `json:"superblocks"`
	Wiped          []probe.Wiped `json:"wiped"`
	DiscardedBytes uint64        `json:"discarded_bytes"`
	DiscardSeconds float64       `json:"discard_seconds"`
	Seconds        float64       `json:"seconds"`
	DryRun         bool          `json:"dry_run"`
}

// result describes what is, or would be, made.
func (m *job) result(dev *devices.File, disk *probe.Disk, info *ebofs.Info) *Result {
	p := &info.Placement
	r := &Result{
		Store: info.UUID.String(), DeviceUUID: info.DeviceUUID.String(), Device: m.path, Model: disk.Model, Label: m.o.Label,
		Bytes: info.Blocks * layout.BlockSize, BlockBytes: layout.BlockSize,
		StripeBytes: uint64(p.StripeBlocks) * layout.BlockSize, UnitBytes: uint64(info.Unit), AlignBytes: p.AlignBlocks * layout.BlockSize, Hard: info.Hard, StripeFrom: dev.GeometryFrom(),
		Zones: uint64(p.Zones), ZoneBytes: uint64(p.ZoneBlocks) * layout.BlockSize,
		LogBytes: info.LogBlocks * layout.BlockSize, LogDevice: m.logPath, ReserveBytes: info.Reserve * layout.BlockSize, SlackPercent: p.SlackPercent, KeepEpochs: m.o.KeepEpochs,
		Wiped: []probe.Wiped{}, DryRun: m.dry,
	}
	if m.o.StripeBytes != 0 || m.o.UnitBytes != 0 || m.o.AlignBytes != nil || m.o.Hard != nil {
		r.StripeFrom = "options"
	}
	for _, b := range p.Labels {
		r.Labels = append(r.Labels, b*layout.BlockSize)
	}
	for _, b := range p.Slots {
		r.Superblocks = append(r.Superblocks, b*layout.BlockSize)
	}
	return r
}

// print says what was made in three lines.
func (m *job) print(c *verb.Call, r *Result, disk *probe.Disk) {
	facts := []string{sizes.Human(r.Bytes)}
	if disk.Block {
		facts[0] += " / " + sizes.Decimal(r.Bytes)
	}
	if r.Model != "" {
		facts = append([]string{r.Model}, facts...)
	}
	if disk.Rotational {
		facts = append(facts, "rotational")
	}
	c.Printf("store %s on %s (%s)\n", r.Store, m.path, strings.Join(facts, ", "))
	log := sizes.Short(r.LogBytes)
	if m.logPath != "" {
		log += " on " + m.logPath
	}
	c.Printf("block %s · stripe %s, from %s · zones %d × %s · log %s · reserve %s\n", sizes.Short(r.BlockBytes), probe.Stripe(r.StripeBytes, r.UnitBytes, r.AlignBytes, r.Hard), from(r.StripeFrom),
		r.Zones, sizes.Short(r.ZoneBytes), log, sizes.Short(r.ReserveBytes))
	line := "label at 0"
	if n := len(r.Labels); n > 1 {
		places := []string{"1", "10", "100", "1000"}[:n-1]
		line = "labels at 0, and 3 MiB behind " + strings.Join(places, ", ") + " GiB"
	}
	if r.Hard {
		line = fmt.Sprintf("slack %d%% · ", r.SlackPercent) + line
	}
	line += " · superblocks 3 and 4 MiB from both ends"
	if r.KeepEpochs > 0 {
		line += fmt.Sprintf(" · epochs to keep: %d", r.KeepEpochs)
	}
	if r.DiscardedBytes > 0 {
		line += fmt.Sprintf(" · discarded %s in %s", sizes.Human(r.DiscardedBytes), sizes.Duration(time.Duration(r.DiscardSeconds*float64(time.Second))))
	}
	c.Printf("%s\n", line)
}

// from names the source of the stripe size in a sentence.
func from(source string) string {
	if source == "default" {
		return "the default"
	}
	return source
}
