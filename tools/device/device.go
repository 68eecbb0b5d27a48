package device

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "device". extra are actions other packages bring.
func Verb(extra ...verb.Action) verb.Verb {
	return verb.Verb{
		Name: "device", Short: "list, examine, erase and measure disks", Schema: "ebofs.device/1",
		Long: `ls says of every disk whether a store could be made on it, or every reason why not. probe says what a device holds, by signatures of our own, whether or not blkid or udev are there, and how it wants to be written: the stripe a store would fill as a whole, and what of sysfs, an md array, LVM or a partition says so. wipe erases what makes a device recognisable, and refuses what mkfs refuses.

grow, add-log, trim and defrag change a store that nobody has mounted. Each may be interrupted at any moment, by a power cut too, and run again: the store has the old size or the new one, the old log or the new one, and all that was committed. grow takes the space a device or image has gained, or more of one that the store uses in part. add-log erases LOG, by the same rules as mkfs, and makes it the log; from then on every command wants it with --log. trim tells the device which blocks hold nothing. defrag moves data out of stripes that are used in part, so that large writes find whole ones; a store in use does so, too: ebofs admin DEV store defrag start.`,
		Actions: append([]verb.Action{
			{Name: "ls", Short: "every disk: usable, or every reason why not", Schema: "ebofs.device.ls/1", Rows: "disks", New: func(*pflag.FlagSet) verb.Run { return list }},
			{Name: "probe", Args: "DEV", Short: "what a device holds, who uses it, and its stripes", Schema: "ebofs.device.probe/1", New: func(fs *pflag.FlagSet) verb.Run {
				udev := fs.Bool("udev", false, "print the properties udev keeps, if it holds a store")
				return func(_ context.Context, c *verb.Call) error { return examine(c, *udev) }
			}},
			{Name: "wipe", Args: "DEV", Short: "erase signatures; nothing else is touched", Schema: "ebofs.device.wipe/1", Rows: "wiped", New: func(fs *pflag.FlagSet) verb.Run {
				var ask probe.Ask
				fs.BoolVarP(&ask.Force, "force", "f", false, "erase foreign signatures")
				fs.StringSliceVar(&ask.Destroy, "destroy", nil, "destroy `STORE`, named by the first 8 characters of its id or more")
				dry := fs.BoolP("dry-run", "N", false, "say what would be erased, write nothing")
				return func(ctx context.Context, c *verb.Call) error { return wipe(ctx, c, ask, *dry) }
			}},
			{Name: "grow", Args: "DEV", Short: "let a store use all of a device that has become larger", Schema: "ebofs.device.grow/1", New: growFlags},
			{Name: "add-log", Args: "DEV LOG", Short: "move the log of a store to a device of its own", Schema: "ebofs.device.addlog/1", New: addLogFlags},
			keepEpochs(),
			{Name: "trim", Args: "DEV", Short: "discard what a store does not use", Schema: "ebofs.device.trim/1", New: trimFlags},
			{Name: "defrag", Args: "DEV", Short: "bring free space together", Schema: "ebofs.device.defrag/1", New: defragFlags},
		}, extra...),
		Examples: []verb.Example{
			{Command: "ebofs device ls", Text: "which disks could hold a store"},
			{Command: "ebofs device probe /dev/sdb", Text: "what is on it"},
			{Command: "ebofs device wipe --force /dev/sdb", Text: "makes it nobody's"},
			{Command: "ebofs device grow -N /dev/vg/osd3", Text: "after lvextend: what there is to gain"},
			{Command: "ebofs device add-log /dev/sdb /dev/nvme0n1p4", Text: "the log on flash"},
			{Command: "ebofs device trim --rate 1GiB /dev/sdb", Text: "gives up a GiB a second at most"},
			{Command: "ebofs device defrag --score 0.1 --rate 50MiB /dev/sdb", Text: "moves 50 MiB a second at most"},
		},
		SeeAlso: []string{"mkfs"},
	}
}

// codeDiscard is the code of a device that does not discard; package codes has its page.
const codeDiscard = "E-DISCARD"

// plainText is an error of the engine about sizes, for a person.
func plainText(err error) string {
	text := err.Error()
	for _, kind := range []error{layout.ErrInvalid, ebofs.ErrInvalid, layout.ErrTooSmall, ebofs.ErrNoSpace} {
		text = strings.TrimSuffix(text, ": "+kind.Error())
	}
	return sizes.InText(text)
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

// row is one disk of "ls".
type row struct {
	Path       string   `json:"path"`
	Bytes      int64    `json:"bytes"`
	Model      string   `json:"model"`
	Serial     string   `json:"serial"`
	Rotational bool     `json:"rotational"`
	Usable     bool     `json:"usable"`
	Reasons    []string `json:"reasons"` // why not; empty if usable
}

func list(_ context.Context, c *verb.Call) error {
	disks, err := probe.Disks()
	if err != nil {
		return err
	}
	for _, l := range disks {
		r := describe(l, c)
		c.Row(r)
		size, verdict := "", "usable"
		if l.Disk != nil {
			size = sizes.Human(uint64(r.Bytes))
		}
		if !r.Usable {
			verdict = "no: " + strings.Join(r.Reasons, "; ")
		}
		model := r.Model
		if model == "" {
			model = "-"
		}
		c.Printf("%-16s %11s  %-24s %s\n", r.Path, size, model, verdict)
	}
	return nil
}

// describe lists every reason against a disk, not only the first.
func describe(l probe.Listed, c *verb.Call) row {
	r := row{Path: l.Path, Reasons: []string{}}
	if l.Err != nil {
		r.Reasons = append(r.Reasons, strings.TrimPrefix(l.Err.Error(), l.Path+": "))
		return r
	}
	d := l.Disk
	r.Bytes, r.Model, r.Serial, r.Rotational = d.Bytes, d.Model, d.Serial, d.Rotational
	if d.ReadOnly {
		r.Reasons = append(r.Reasons, "read-only")
	}
	if d.Bytes < layout.MinDeviceBytes {
		r.Reasons = append(r.Reasons, "smaller than "+sizes.Short(layout.MinDeviceBytes))
	}
	for _, u := range d.Users {
		r.Reasons = append(r.Reasons, u.What)
	}
	if d.InUse && d.Users == nil {
		r.Reasons = append(r.Reasons, "in use")
	}
	if d.Err != nil {
		r.Reasons = append(r.Reasons, d.Err.Error())
	}
	if d.Store != nil {
		r.Reasons = append(r.Reasons, "holds "+d.Store.Describe(c.Now()))
	}
	for _, f := range d.Findings {
		r.Reasons = append(r.Reasons, "holds "+f.String())
	}
	r.Usable = len(r.Reasons) == 0
	return r
}

func examine(c *verb.Call, udev bool) error {
	path := c.Args[0]
	d, err := probe.Look(path)
	if err != nil {
		f := probe.Explain(err)
		f.Hint = ""
		return f
	}
	if udev {
		properties(c, d)
		return nil
	}
	if d.Geometry, err = probe.LookGeometry(path); err != nil && d.Err == nil {
		d.Err = err
	}
	set(c, *d)
	facts := []string{sizes.Human(uint64(d.Bytes))}
	if d.Model != "" {
		facts = append([]string{d.Model}, facts...)
	}
	c.Printf("%s: %s\n", path, strings.Join(facts, ", "))
	if d.Err != nil {
		c.Printf("  cannot be read: %v\n", d.Err)
	}
	if g := d.Geometry; g != nil {
		c.Printf("  %v\n", g)
		if len(g.Reported) > 0 {
			c.Printf("    reported: %s\n", strings.Join(g.Reported, " · "))
		}
		for _, n := range g.Notes {
			c.Printf("    note: %s\n", sizes.InText(n))
		}
	}
	for _, u := range d.Users {
		c.Printf("  in use: %s\n", u.What)
	}
	if d.InUse && d.Users == nil {
		c.Printf("  in use\n")
	}
	if st := d.Store; st != nil {
		c.Printf("  holds %s\n", st.Describe(c.Now()))
		c.Printf("    id %s, %s device %d of %s, epoch %d, %d of %d labels, %d of 4 superblocks\n", st.ID, st.Role, st.Index, sizes.Human(st.Bytes), st.Epoch, st.LabelsFound, st.LabelsWanted, st.SlotsFound)
	}
	for _, f := range d.Findings {
		c.Printf("  holds %s\n", f.String())
		if f.UUID != "" {
			c.Printf("    id %s\n", f.UUID)
		}
	}
	for _, r := range d.Residue {
		c.Printf("  unknown data in the %s %s (sha256 %s)\n", r.Where, sizes.Short(uint64(r.Bytes)), r.SHA256[:16])
	}
	if d.Store == nil && d.Findings == nil && d.Residue == nil && d.Err == nil {
		c.Printf("  holds nothing known; both ends are zero\n")
	}
	if d.Err != nil {
		c.Exit(1)
	}
	return nil
}

// set makes d the JSON result; an empty list is a list.
func set(c *verb.Call, d probe.Disk) {
	if d.Users == nil {
		d.Users = []probe.User{}
	}
	if d.Findings == nil {
		d.Findings = []probe.Finding{}
	}
	if d.Residue == nil {
		d.Residue = []probe.Residue{}
	}
	c.Set(d)
}

// properties prints what a udev rule imports; nothing if there is no store.
func properties(c *verb.Call, d *probe.Disk) {
	st := d.Store
	if st == nil || st.Note == "no superblock left" {
		return
	}
	props := map[string]string{"ID_FS_TYPE": "ebofs", "ID_FS_USAGE": "other", "ID_FS_UUID": st.ID, "ID_FS_UUID_ENC": st.ID, "ID_FS_VERSION": "1", "EBOFS_ROLE": st.Role}
	if st.Text != "" {
		props["ID_FS_LABEL"], props["ID_FS_LABEL_ENC"] = plain(st.Text), encode(st.Text)
	}
	for _, k := range []string{"ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_VERSION", "ID_FS_UUID", "ID_FS_UUID_ENC", "ID_FS_LABEL", "ID_FS_LABEL_ENC", "EBOFS_ROLE"} {
		if v, ok := props[k]; ok {
			c.Printf("%s=%s\n", k, v)
		}
	}
	c.Set(map[string]any{"properties": props})
}

// plain is a label that is safe in a property: what is not a word character
// becomes an underscore.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if safe(r) {
			return r
		}
		return '_'
	}, s)
}

// encode is a label as device links spell it: other bytes as \xNN.
func encode(s string) string {
	var b strings.Builder
	for _, r := range []byte(s) {
		if safe(rune(r)) {
			b.WriteByte(r)
		} else {
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}

func safe(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("#+-.:=@_", r)
}

func wipe(ctx context.Context, c *verb.Call, ask probe.Ask, dry bool) (err error) {
	path := c.Args[0]
	ask.Now, ask.Marks = c.Now(), true
	ask.Command = func(flags ...string) string {
		return c.Command("device", append(append([]string{"wipe"}, flags...), path)...)
	}
	dev, d, warnings, err := store.Claim(ctx, path, ask)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if dry {
		if d.Store != nil {
			c.Row(probe.Wiped{What: d.Store.String()})
			c.Printf("%s: would erase %s\n", path, d.Store.String())
		}
		for _, f := range d.Findings {
			c.Row(probe.Wiped{What: f.String()})
			c.Printf("%s: would erase %s\n", path, f.String())
		}
		c.Notef("dry run: nothing was written")
		return nil
	}
	b := store.NewBytes(ctx, dev)
	gone, err := probe.Wipe(b, b.Size(), d.Sector, d.Name)
	if err = errors.Join(err, b.Close(), dev.Flush(ctx)); err != nil {
		f := probe.Explain(fmt.Errorf("%s: %w", path, err))
		f.Hint = "What it held may be erased in part."
		return f
	}
	for _, w := range gone {
		c.Row(w)
		c.Printf("%s: erased %s\n", path, w.What)
	}
	if gone == nil {
		c.Printf("%s: nothing to erase\n", path)
	}
	if d.Block && gone != nil {
		rereadPartitions(path)
	}
	return nil
}

// rereadPartitions asks the kernel to forget partitions that are gone. That it
// cannot is no failure: they vanish at the next boot.
func rereadPartitions(path string) {
	if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		_, _ = unix.IoctlRetInt(fd, unix.BLKRRPART)
		_ = unix.Close(fd)
	}
}
