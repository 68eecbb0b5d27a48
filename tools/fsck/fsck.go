package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/repair"
	"ebofs/tools/probe"
	"ebofs/tools/progress"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Exit codes of fsck(8) that this verb gives; the first two add up.
const (
	exitDone   = 1 // problems repaired
	exitLeft   = 4 // problems left
	exitFailed = 8 // could not check
	exitUsage  = 16
	exitCancel = 32
)

// Verb describes "fsck".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "fsck", Args: "DEV", Short: "check a store and repair it", Schema: "ebofs.fsck/1", Link: "fsck.ebofs",
		Long: `Checks the store on DEV, which must not be in use unless --online is given, and writes nothing unless it is told to repair.

  quick  labels, superblocks, log, root record, totals
  full   + every tree node, every object, every block has one owner
  deep   + the checksum of every block of data

Of a store that was not closed, trees and data are checked as the next mount will find them: the log is replayed in RAM, up to 512 MiB of it.

A store that keeps epochs has each of them checked as well, at the same level; --epoch checks one alone. One that is damaged costs nothing of the store as it is.

Each problem has a code, which "ebofs man CODE" explains, says where it is, what was expected and found, and which objects it costs.

-p does what is safe without asking: it replays the log, restores labels and superblocks from sound copies, rebuilds counters. -y does everything: what is left of damaged trees is put together anew, free space is counted anew, and what is lost is marked, so that reads of it fail and nothing old or empty is taken for it. Without any superblock it searches the whole device for what the store wrote. Give --level deep to have all data verified, too. A repair drops kept epochs. If something is lost that they may hold, -y refuses until --drop-epochs is given: read them with --epoch first.

If something is lost, the last line says how many objects are gone, and the exit code has 4 in it even if what is left is clean.

--online checks a store that is in use: the process that has it keeps its newest checkpoint from being written over and checks that, slowly, through its admin socket. Everything that was committed when the check began is in it. When the store runs short of space the check goes on at a newer checkpoint; the report then says what was checked at which epoch. An interrupt stops the check. With --resume FILE what was found so far is kept, and the same command goes on: trees are walked again, data of objects that was verified is not read again.

--undo keeps what a repair overwrites in a file, on another device. --apply-undo writes it back: the device is then what it was, byte for byte. It refuses, and writes nothing, if the store was written to since the repair, which would be lost; --force does it all the same. A repair that was interrupted can be run again, with another undo file; they are applied newest first.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			j := &job{}
			fs.StringVar(&j.level, "level", "full", "`quick|full|deep`: how thoroughly")
			fs.BoolVarP(&j.readOnly, "no-change", "n", false, "change nothing, which is the default")
			fs.BoolVarP(&j.force, "force", "f", false, "check although the store was closed cleanly, which is the default; with -p: write the label over something else; with -y and no superblock: salvage the store, destroying what is at the start now; with --apply-undo: destroy what was written since the repair")
			fs.BoolVarP(&j.safe, "preen", "p", false, "repair what is safe without asking")
			fs.BoolVarP(&j.safe, "auto", "a", false, "the same as -p")
			fs.BoolVarP(&j.all, "yes", "y", false, "do all repairs; wants --undo or --no-undo")
			fs.BoolVar(&j.dropEpochs, "drop-epochs", false, "with -y: drop kept epochs although something is lost that they may hold")
			fs.StringVar(&j.undo, "undo", "", "keep what repairs overwrite in the new `FILE`")
			fs.BoolVar(&j.noUndo, "no-undo", false, "repair without a way back")
			fs.StringVar(&j.applyUndo, "apply-undo", "", "take back the repair kept in `FILE`")
			fs.StringVar(&j.fsid, "fsid", "", "with -y and no superblock: salvage the store of this `UUID`")
			fs.BoolVar(&j.online, "online", false, "have the process that uses the store check it")
			fs.Var(&j.rate, "rate", "read at most `SIZE` a second; default with --online: 32MiB, 0 is no limit")
			fs.StringVar(&j.resume, "resume", "", "with --online: keep how far it is in `FILE`, and go on from there")
			fs.StringVar(&j.logPath, "log", "", "the log is on `DEV`")
			store.EpochFlag(fs)
			fs.BoolVarP(&j.verbose, "verbose", "v", false, "also print what was counted")
			fs.IntVarP(&j.progressFD, "progress-fd", "C", -1, "write \"phase done total device\" lines to descriptor `FD`")
			fs.Var(&j.memory, "memory", "`SIZE` of the maps of blocks; default 64MiB")
			return j.run
		},
		Codes: verb.Codes{Failure: exitFailed, Usage: exitUsage, Cancelled: exitCancel},
		Exits: []verb.Exit{
			{Code: 0, Text: "clean"}, {Code: exitDone, Text: "problems repaired; added to the next"}, {Code: exitLeft, Text: "problems left, or something is lost"}, {Code: exitFailed, Text: "could not check: I/O error, in use, no store, unknown format"},
			{Code: exitUsage, Text: "wrong usage, or not in this release"}, {Code: exitCancel, Text: "interrupted"},
		},
		Examples: []verb.Example{
			{Command: "fsck.ebofs /dev/sdb", Text: "all metadata"},
			{Command: "fsck.ebofs --level deep --format json /dev/sdb", Text: "data too, for a program"},
			{Command: "ebofs man E-NODE-CRC", Text: "what a code means"},
			{Command: "fsck.ebofs -y --undo sdb.undo /dev/sdb", Text: "repair, with a way back"},
			{Command: "fsck.ebofs --online --level deep --resume sdb.check /dev/sdb", Text: "while it is in use, data too; again after an interrupt goes on"},
			{Command: "fsck.ebofs --apply-undo sdb.undo /dev/sdb", Text: "the way back"},
		},
		SeeAlso: []string{"mkfs", "dump", "map", "admin"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

type job struct {
	level      string
	logPath    string
	verbose    bool
	progressFD int
	memory     sizes.Size
	rate       sizes.Size
	online     bool
	resume     string

	readOnly, force, safe, all, noUndo, dropEpochs bool
	undo, applyUndo, fsid                          string
}

// result is the JSON: the report of package check and the device.
type result struct {
	Device string `json:"device"`
	*check.Report
	Repair *repaired `json:"repair,omitempty"`
}

func (j *job) run(ctx context.Context, c *verb.Call) (err error) {
	path := c.Args[0]
	level, err := check.ParseLevel(j.level)
	if err != nil {
		return verb.Usage("--level: " + err.Error())
	}
	if j.memory.Percent > 0 || j.rate.Percent > 0 {
		return verb.Usage("--memory and --rate: no percentage here")
	}
	if err := j.flags(store.AtEpoch(c.Flags)); err != nil {
		return err
	}
	if j.online {
		return j.checkOnline(ctx, c, path, level)
	}
	if d, err := probe.Look(path); err == nil && d.InUse {
		f := probe.InUse(d)
		f.Hint = "Nothing was written. A store is checked when nobody uses it."
		if d.Users != nil && d.Users[0].Cure != "" {
			f.Hint += " " + d.Users[0].First()
		}
		if _, _, err := store.Socket(c, path, ""); err == nil && !j.writes() {
			f.Hint = "Nothing was written. To have it checked while it is in use: " + c.Command("fsck", "--online", path)
		}
		return f
	}
	if !j.writes() {
		if err := store.Preflight(c, path, false); err != nil {
			return err
		}
	}
	dev, err := store.Open(path, j.writes())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if j.applyUndo != "" {
		return j.takeBack(ctx, c, path, dev)
	}
	o := check.Options{Level: level, Now: c.Now, MemoryBytes: int64(j.memory.Bytes)}
	if j.logPath != "" {
		log, err := store.Open(j.logPath, false)
		if err != nil {
			return err
		}
		defer log.Close()
		o.LogDevice = log
	}
	o.Replay = replay(dev, o.LogDevice)
	if store.AtEpoch(c.Flags) != 0 {
		found, err := store.FindEpoch(ctx, c, dev)
		if err != nil {
			return explain(c, path, err)
		}
		o.Super, o.Replay = &found.Super, nil
	}
	lines, err := j.lines()
	if err != nil {
		return err
	}
	meter := progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + path, Status: c.Status, Lines: lines, Device: path})
	defer meter.Stop()
	shown := shown{meter: meter}
	o.Progress = shown.show
	from := devices.Device(dev)
	if j.rate.Bytes > 0 {
		from = devices.NewThrottle(dev, int64(j.rate.Bytes))
	}
	rep, err := check.Run(ctx, from, o)
	meter.Stop()
	if j.writes() {
		return j.repair(ctx, c, path, dev, o, meter, rep, err)
	}
	if rep != nil {
		c.Set(result{path, rep, nil})
		if rep.Store != "" {
			j.print(c, path, rep)
		}
	}
	if err != nil {
		return explain(c, path, err)
	}
	if !rep.OK() || !rep.Complete {
		c.Exit(exitLeft)
	}
	return nil
}

// shown is what a meter shows of a check.
type shown struct {
	meter *progress.Meter
	phase string
}

func (s *shown) show(p check.Progress) {
	name := p.Phase
	if p.Pass > 0 {
		name = fmt.Sprintf("%s, pass %d", p.Phase, p.Pass+1)
	}
	if name != s.phase {
		s.phase = name
		s.meter.Phase(name, int64(p.Total), false)
	}
	s.meter.SetTotal(int64(p.Total))
	s.meter.Set(int64(p.Done), 0)
}

// lines opens the descriptor of -C.
func (j *job) lines() (io.Writer, error) {
	if j.progressFD < 0 {
		return nil, nil
	}
	if _, err := unix.FcntlInt(uintptr(j.progressFD), unix.F_GETFD, 0); err != nil {
		return nil, verb.Usage(fmt.Sprintf("-C %d: %v", j.progressFD, err))
	}
	return os.NewFile(uintptr(j.progressFD), "progress"), nil
}

// explain gives a check that could not be made its code.
func explain(c *verb.Call, path string, err error) error {
	salvage := "\nIf there was one, this searches the whole device for what it wrote: " + c.Command("fsck", "-y", "--undo", "FILE", path)
	if errors.Is(err, check.ErrNoStore) || errors.Is(err, repair.ErrNothing) {
		f := &verb.Failure{Code: store.CodeNoStore, Message: path + ": no store here", Hint: "What it holds instead: " + c.Command("device", "probe", path), Err: err}
		if !errors.Is(err, repair.ErrNothing) {
			f.Hint += salvage
		}
		return f
	}
	e := store.Explain(c, path, err)
	var f *verb.Failure
	if errors.As(e, &f) && f.Code == store.CodeCorrupt {
		f.Hint = "Nothing was written. What is left of it: " + c.Command("device", "probe", path)
		if errors.Is(err, layout.ErrNoSuperblock) {
			f.Hint += salvage
		}
	}
	return e
}

// print is the report for a person.
func (j *job) print(c *verb.Call, path string, r *check.Report) {
	state := ""
	if !r.Clean && r.Mode != "online" {
		state = ", not closed cleanly"
	}
	c.Printf("%s: checking store %s at epoch %d, %s%s\n", path, layoutShort(r.Store), r.Epoch, r.Mode, state)
	width := 0
	for _, ph := range r.Phases {
		width = max(width, len(ph.Name))
	}
	next := 0
	for _, ph := range r.Phases {
		verdict := "ok"
		switch {
		case ph.Problems == 1:
			verdict = "1 problem"
		case ph.Problems > 1:
			verdict = fmt.Sprintf("%d problems", ph.Problems)
		}
		if ph.Note != "" {
			verdict += ", " + ph.Note
		}
		c.Printf("%s: %-*s  %s\n", path, width, ph.Name, verdict)
		for n := uint64(0); n < ph.Problems && next < len(r.Problems); n, next = n+1, next+1 {
			c.Printf("  %s\n", r.Problems[next].String())
		}
	}
	for ; next < len(r.Problems); next++ {
		c.Printf("  %s\n", r.Problems[next].String())
	}
	if r.Omitted > 0 {
		c.Printf("  and %d more\n", r.Omitted)
	}
	if len(r.Parts) > 1 {
		for _, p := range r.Parts {
			c.Printf("%s: epoch %d: %s\n", path, p.Epoch, partText(p))
		}
	}
	if j.verbose {
		n := &r.Counts
		c.Printf("%s: %d collections, %d objects (%s), %d attributes, %d omap keys\n", path, n.Collections, n.Objects, sizes.Human(n.Bytes), n.Attrs, n.OmapKeys)
		c.Printf("%s: %d nodes, blocks: %d metadata, %d data, %d own, %d free; %d checksums of data, %s read in %.1f s\n", path, n.Nodes, n.MetaBlocks, n.DataBlocks, n.OwnBlocks, n.FreeBlocks, n.DataChecked, sizes.Human(n.BytesRead), r.Seconds)
	}
	c.Printf("%s: %s\n", path, summary(r))
	if len(r.Problems) > 0 {
		c.Printf("Meaning and cure:  %s\n", c.Command("man", string(r.Problems[0].Code)))
		if !j.writes() && repairable(r) {
			c.Printf("Repair:  %s\n", c.Command("fsck", "-y", "--undo", filepath.Base(path)+".undo", path))
		}
	}
}

func layoutShort(id string) string {
	if u, err := layout.ParseUUID(id); err == nil {
		return u.Short()
	}
	return id
}

// partText says what was checked at one epoch.
func partText(p check.Part) string {
	s := "trees"
	if p.Data {
		s += ", data"
		if p.From != "" {
			s += " behind " + p.From
		}
		if p.To != "" {
			s += " up to " + p.To
		}
	}
	if p.EndZone > p.FirstZone {
		s += fmt.Sprintf(", space of zones %d to %d", p.FirstZone, p.EndZone-1)
	}
	return s
}

// summary is the last line: how many, who can repair them, what they cost.
func summary(r *check.Report) string {
	total := r.Counts.Errors + r.Counts.Warnings
	if total == 0 {
		s := fmt.Sprintf("clean, %s", plural(r.Counts.Objects, "object"))
		if r.Level == check.Quick.String() {
			s = "clean; level quick looks at no object and no tree"
		}
		if n := r.Counts.LogReplayed; r.Mode == "online" {
			s += fmt.Sprintf(", as of epoch %d", r.Epoch)
		} else if n > 0 {
			s += fmt.Sprintf(", with %s the next mount for writing replays", plural(n, "log record"))
		} else if n := r.Counts.LogRecords; n > 0 {
			s += fmt.Sprintf(", as of the last checkpoint; %s behind it, not looked into, come back with the next mount for writing", plural(n, "log record"))
		}
		if !r.Complete {
			s = "nothing found, but not everything could be looked at"
		}
		return s
	}
	by := map[string]int{}
	objects := map[string]bool{}
	var lost uint64
	for _, p := range r.Problems {
		by[p.Repair]++
		if p.Repair != check.RepairPeer {
			continue
		}
		for _, o := range p.Objects {
			objects[o.Key] = true
			lost += o.Length
		}
	}
	var parts []string
	if n := by[check.RepairHere]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d repairable here", n))
	}
	if n := by[check.RepairPeer]; n > 0 {
		s := fmt.Sprintf("%d needs another copy", n)
		if n > 1 {
			s = fmt.Sprintf("%d need another copy", n)
		}
		if len(objects) > 0 {
			s += fmt.Sprintf(" (%s", plural(uint64(len(objects)), "object"))
			if lost > 0 {
				s += ", " + sizes.Human(lost)
			}
			s += ")"
		}
		parts = append(parts, s)
	}
	if n := by[check.RepairNone]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d nobody can repair", n))
	}
	s := plural(total, "problem") + ": " + strings.Join(parts, ", ")
	if !r.Complete {
		s += "; not everything could be looked at"
	}
	return s
}

func plural(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
