package mkfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "mkfs".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "mkfs", Args: "DEV", Short: "make a store on a disk, partition or image file", Schema: "ebofs.mkfs/1", Link: "mkfs.ebofs",
		Long: `Formats DEV. Nothing is written unless DEV is free: a device that is in use, read-only or too small is refused whatever the flags; one that holds another format, and a file that holds any data at all, is refused without --force; one that holds a store is refused unless --destroy names that store.

DEV may be an image file; with --size a missing one is made.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			m := &job{}
			fs.BoolVarP(&m.ask.Force, "force", "f", false, "erase foreign signatures, or a file's data; never overrides \"in use\" or a store")
			fs.StringSliceVar(&m.ask.Destroy, "destroy", nil, "destroy `STORE`, named by the first 8 characters of its id or more")
			fs.BoolVarP(&m.dry, "dry-run", "N", false, "check and print everything, write nothing")
			fs.StringVarP(&m.o.Label, "label", "L", "", "`TEXT` to know it by, at most 64 bytes")
			fs.StringVar(&m.uuid, "uuid", "", "id of the store, instead of a random `UUID`")
			fs.Var(&m.size, "size", "use only so much of DEV; makes a missing image file of that `SIZE`")
			fs.Var(&m.stripe, "stripe", "`SIZE` of what is written as a whole, instead of what DEV reports: any multiple of 4 KiB up to 64 MiB; of a RAID the data of one row")
			fs.Var(&m.unit, "unit", "`SIZE` of the least DEV writes without reading first, a part of the stripe: of a RAID the chunk")
			fs.Var(&m.align, "align", "first stripe boundary, so `SIZE` from the start of DEV, instead of what partition and array say")
			fs.StringVar(&m.geometry, "geometry", "auto", "`KIND`: hard, partial stripes are expensive and never written (RAID-5, QLC); soft, they are not; auto, as DEV reports")
			fs.Var(&m.slack, "slack", "`SHARE` of the space that is never reported as free on hard geometry, 5% to 20%; 8% unless given: more makes a full store faster")
			fs.StringVar(&m.logPath, "log", "", "keep the log on `DEV`, all of it")
			fs.Var(&m.logSize, "log-size", "`SIZE` of the log, instead of a 32nd of DEV within 64 MiB to 4 GiB")
			fs.IntVar(&m.o.KeepEpochs, "keep-epochs", 0, "keep the last `N` checkpoints readable, at most 64, while there is space")
			verb.Later(fs, "gpt", "", "make one partition with our type, which everyone sees")
			fs.BoolVar(&m.noDiscard, "no-discard", false, "do not discard DEV first")
			fs.StringVar(&m.cluster, "cluster-uuid", "", "`UUID` of the cluster the store belongs to")
			fs.Int64Var(&m.osd, "osd-id", -1, "`ID` of its OSD; wants --cluster-uuid")
			fs.BoolVarP(&m.quiet, "quiet", "q", false, "print nothing on success")
			return m.run
		},
		Examples: []verb.Example{
			{Command: "mkfs.ebofs --size 1GiB disk.img", Text: "an image file to try things on"},
			{Command: "mkfs.ebofs -N /dev/sdb", Text: "says what would be made, or what is in the way"},
			{Command: "mkfs.ebofs --geometry hard --stripe 320KiB --unit 64KiB /dev/sdb", Text: "a controller's RAID-5 of six disks that does not report itself"},
			{Command: "mkfs.ebofs -L rack7-3 --log /dev/nvme0n1p4 /dev/sdb", Text: "data on a disk, log on flash"},
		},
		SeeAlso: []string{"fsck", "device", "object"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

// job is one run.
type job struct {
	ask                   probe.Ask
	o                     ebofs.FormatOptions
	size, stripe, logSize sizes.Size
	unit, align, slack    sizes.Size
	geometry              string
	uuid, cluster         string
	osd                   int64
	logPath               string
	dry, noDiscard, quiet bool

	path string
	made bool // the image file is new
}

func (m *job) run(ctx context.Context, c *verb.Call) (err error) {
	m.path = c.Args[0]
	start := c.Now()
	if err := m.options(c); err != nil {
		return err
	}
	// A new image is of no use without a store on it.
	defer func() {
		if m.made && (err != nil || m.dry) {
			err = errors.Join(err, os.Remove(m.path))
		}
	}()
	if err := m.makeImage(); err != nil {
		return err
	}
	m.ask.MinBytes = layout.MinDeviceBytes
	dev, disk, err := m.claim(ctx, c, m.path, m.ask)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	var logDev *devices.File
	if m.logPath != "" {
		if logDev, err = m.claimLog(ctx, c); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, logDev.Close()) }()
		m.o.LogDevice = logDev
	}
	if m.size.Given() {
		m.o.SizeBytes = m.size.Of(dev.Geometry().Bytes())
	}
	info, err := ebofs.PlanFormat(dev, m.o)
	if err != nil {
		return m.planFailure(err)
	}
	if m.slack.Percent > 0 && !info.Hard {
		return verb.Usage("--slack: soft geometry needs none; see --geometry")
	}
	m.o.UUID, m.o.DeviceUUID = info.UUID, info.DeviceUUID
	r := m.result(dev, disk, &info)
	if m.dry {
		m.print(c, r, disk)
		c.Set(r)
		c.Notef("dry run: nothing was written")
		return nil
	}
	for _, d := range []*devices.File{dev, logDev} {
		if d == nil {
			continue
		}
		if err := m.clean(ctx, c, d, r); err != nil {
			return m.lost(ctx, d.Path(), err)
		}
	}
	if _, err := ebofs.Format(ctx, dev, m.o); err != nil {
		return m.lost(ctx, m.path, err)
	}
	r.Seconds = c.Now().Sub(start).Seconds()
	c.Set(r)
	if !m.quiet {
		m.print(c, r, disk)
	}
	return nil
}

// lost is the failure for what went wrong once something had been written to path.
func (m *job) lost(ctx context.Context, path string, err error) error {
	f := probe.Explain(fmt.Errorf("%s: %w", path, err))
	if ctx.Err() != nil {
		f.Code, f.Message = verb.CodeCancelled, path+": interrupted"
	}
	f.Hint = "There is no store on it now; what it held before is gone, at least in part."
	if m.made && path == m.path {
		f.Hint = ""
	}
	return f
}

// options checks and translates the flags.
func (m *job) options(c *verb.Call) error {
	m.o.Now = c.Now
	m.o.OSD = m.osd
	for _, id := range []struct {
		flag, text string
		to         *[16]byte
	}{{"--uuid", m.uuid, &m.o.UUID}, {"--cluster-uuid", m.cluster, &m.o.Cluster}} {
		if id.text == "" {
			continue
		}
		u, err := layout.ParseUUID(id.text)
		if err != nil || u.IsZero() {
			return verb.Usage(fmt.Sprintf("%s %q: not a UUID", id.flag, id.text))
		}
		*id.to = u
	}
	if m.osd >= 0 && m.cluster == "" {
		return verb.Usage("--osd-id wants --cluster-uuid")
	}
	if len(m.o.Label) > layout.MaxLabelText {
		return verb.Usage(fmt.Sprintf("--label: %d bytes, at most %d", len(m.o.Label), layout.MaxLabelText))
	}
	for _, f := range []struct {
		flag string
		size sizes.Size
	}{{"--stripe", m.stripe}, {"--unit", m.unit}, {"--align", m.align}, {"--log-size", m.logSize}} {
		if f.size.Percent > 0 {
			return verb.Usage(f.flag + ": no percentage here")
		}
	}
	if m.o.KeepEpochs < 0 || m.o.KeepEpochs > layout.MaxKept {
		return verb.Usage(fmt.Sprintf("--keep-epochs: 0 to %d", layout.MaxKept))
	}
	for _, f := range []struct {
		flag  string
		bytes uint64
		least uint64
	}{{"stripe", m.stripe.Bytes, layout.BlockSize}, {"unit", m.unit.Bytes, layout.BlockSize}, {"align", m.align.Bytes, 0}} {
		if c.Flags.Changed(f.flag) && (f.bytes%layout.BlockSize != 0 || f.bytes < f.least || f.bytes > layout.MaxStripeBytes) {
			return verb.Usage(fmt.Sprintf("--%s: a multiple of 4 KiB, at most %s", f.flag, sizes.Short(layout.MaxStripeBytes)))
		}
	}
	m.o.StripeBytes, m.o.UnitBytes, m.o.LogBytes = uint32(m.stripe.Bytes), uint32(m.unit.Bytes), m.logSize.Bytes
	if c.Flags.Changed("align") {
		m.o.AlignBytes = &m.align.Bytes
	}
	if c.Flags.Changed("slack") {
		if m.slack.Bytes != 0 || m.slack.Percent < 5 || m.slack.Percent > 20 || m.slack.Percent != math.Trunc(m.slack.Percent) {
			return verb.Usage("--slack: a whole percentage, 5% to 20%")
		}
		m.o.SlackPercent = uint8(m.slack.Percent)
	}
	switch hard := m.geometry == "hard"; m.geometry {
	case "hard", "soft":
		m.o.Hard = &hard
	case "auto":
	default:
		return verb.Usage(fmt.Sprintf("--geometry %q: not hard, soft or auto", m.geometry))
	}
	m.ask.Now = c.Now()
	m.ask.Command = func(flags ...string) string { return m.command(c, flags) }
	return nil
}

// command is the command line as it was given, with other flags of the safety table.
func (m *job) command(c *verb.Call, flags []string) string {
	return c.Command("mkfs", append(append(c.Given("force", "destroy", "dry-run", "quiet", "format"), flags...), m.path)...)
}

// makeImage makes a missing image file of --size, so that it can be looked at
// like any other.
func (m *job) makeImage() error {
	_, err := os.Stat(m.path)
	if m.size.Bytes == 0 || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := os.OpenFile(m.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	m.made = true
	if err := errors.Join(f.Truncate(int64(m.size.Bytes)), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}

// claim takes a device by the safety table, for a dry run too: what it would
// refuse is refused.
func (m *job) claim(ctx context.Context, c *verb.Call, path string, ask probe.Ask) (*devices.File, *probe.Disk, error) {
	dev, disk, warnings, err := store.Claim(ctx, path, ask)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	for _, n := range dev.Notes() {
		c.Notef("%s: %s", path, n)
	}
	return dev, disk, nil
}

func (m *job) claimLog(ctx context.Context, c *verb.Call) (*devices.File, error) {
	a, errA := os.Stat(m.path)
	b, errB := os.Stat(m.logPath)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return nil, verb.Usage("--log: it is the device itself")
	}
	ask := m.ask
	ask.MinBytes = layout.MinLogDeviceBytes
	// A store named in --destroy may have been on the main device only.
	if d, err := probe.Look(m.logPath); err == nil {
		ask.Destroy = nil
		for _, st := range d.Stores() {
			for _, id := range m.ask.Destroy {
				if st.IsStoreID(id) {
					ask.Destroy = append(ask.Destroy, id)
				}
			}
		}
	}
	dev, _, err := m.claim(ctx, c, m.logPath, ask)
	return dev, err
}

// planFailure names what is wrong with sizes and geometry.
func (m *job) planFailure(err error) error {
	text := sizes.InText(err.Error())
	for _, kind := range []error{layout.ErrInvalid, ebofs.ErrInvalid} {
		text = strings.TrimSuffix(text, ": "+kind.Error())
	}
	f := &verb.Failure{Code: "E-GEOMETRY", Message: m.path + ": " + text, Hint: "Nothing was written.", Err: err}
	if errors.Is(err, layout.ErrTooSmall) {
		f.Code = probe.CodeTooSmall
	}
	return f
}
