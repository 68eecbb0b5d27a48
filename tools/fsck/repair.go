package fsck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"ebofs/devices"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/repair"
	"ebofs/tools/probe"
	"ebofs/tools/progress"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// repaired is the part of the JSON about a repair.
type repaired struct {
	Mode       string `json:"mode"`   // "preen" or "all"
	Before     counts `json:"before"` // what the check before it found
	Undo       string `json:"undo,omitempty"`
	UndoBlocks uint64 `json:"undo_blocks,omitempty"`
	*repair.Result
}

// counts are the totals of a report.
type counts struct {
	Errors   uint64          `json:"errors"`
	Warnings uint64          `json:"warnings"`
	Problems []check.Problem `json:"problems"`
}

// writes says whether anything but a check was asked for.
func (j *job) writes() bool { return j.safe || j.all || j.applyUndo != "" }

// flags refuses what contradicts itself.
func (j *job) flags(epoch uint64) error {
	switch {
	case j.readOnly && j.writes():
		return verb.Usage("-n contradicts -p, -y and --apply-undo")
	case j.applyUndo != "" && (j.safe || j.all || j.undo != "" || j.noUndo):
		return verb.Usage("--apply-undo stands alone")
	case j.undo != "" && j.noUndo:
		return verb.Usage("--undo contradicts --no-undo")
	case (j.undo != "" || j.noUndo) && !j.safe && !j.all:
		return verb.Usage("--undo and --no-undo want -y or -p")
	case j.all && j.undo == "" && !j.noUndo:
		return verb.Usage("-y wants --undo FILE or --no-undo")
	case epoch != 0 && j.writes():
		return verb.Usage("--epoch: what a store was can only be checked")
	case j.dropEpochs && !j.all:
		return verb.Usage("--drop-epochs wants -y")
	case j.fsid != "" && !j.all:
		return verb.Usage("--fsid wants -y")
	case j.online && (j.writes() || j.logPath != ""):
		return verb.Usage("--online only checks, and the process knows its log: it goes without -p, -y, --apply-undo and --log")
	case j.resume != "" && !j.online:
		return verb.Usage("--resume wants --online")
	}
	return nil
}

// repairable says whether -y would do something about a problem of the report.
func repairable(r *check.Report) bool {
	for i := range r.Problems {
		switch r.Problems[i].Code {
		case check.DataDamaged, check.ObjectDamaged, check.LogMissing, check.LogDamage, check.DeviceShort, check.SuperOther:
		default:
			return true
		}
	}
	return false
}

// repair repairs the store after a check that gave rep, or failed with cause, and
// checks it again.
func (j *job) repair(ctx context.Context, c *verb.Call, path string, dev *devices.File, o check.Options, meter *progress.Meter, rep *check.Report, cause error) error {
	unsound := errors.Is(cause, layout.ErrNoSuperblock) || errors.Is(cause, check.ErrNoStore)
	if cause != nil && !(unsound && j.all) {
		return explain(c, path, cause)
	}
	did := &repaired{Mode: "preen", Result: &repair.Result{Actions: []repair.Action{}}}
	if j.all {
		did.Mode = "all"
	}
	ro := repair.Options{Deep: o.Level == check.Deep, Overwrite: j.all || j.force, DropEpochs: j.dropEpochs, LogDevice: o.LogDevice, Now: c.Now, Logger: c.Log}
	if j.all {
		ro.Mode = repair.All
	}
	if j.fsid != "" {
		id, err := layout.ParseUUID(j.fsid)
		if err != nil {
			return verb.Usage(fmt.Sprintf("--fsid %q: not a UUID", j.fsid))
		}
		ro.FSID = id
	}
	d, lookErr := probe.Look(path)
	strange := lookErr == nil && d.Findings != nil
	if cause != nil {
		// Without a superblock nothing proves that what is found there is not in use.
		ro.Overwrite = j.force || j.fsid != "" || !strange
	}
	if cause == nil {
		ro.Found = rep
		did.Before = counts{rep.Counts.Errors, rep.Counts.Warnings, rep.Problems}
		ro.ClearEnds = j.all && strange
		if rep.OK() && rep.Complete && rep.Clean && !ro.ClearEnds {
			c.Set(result{path, rep, did})
			j.print(c, path, rep)
			if j.undo != "" {
				c.Printf("%s: nothing to repair, no undo file written\n", path)
			}
			return nil
		}
		j.print(c, path, rep)
	} else {
		c.Printf("%s: %v\n", path, cause)
	}
	to := devices.Device(dev)
	var undo *repair.Undo
	if j.undo != "" {
		f, err := os.OpenFile(j.undo, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return &verb.Failure{Code: store.CodeExists, Message: j.undo + ": there is such a file already", Hint: "Nothing was written. It may be the way back from an earlier repair: give another name.", Err: err}
		}
		if err != nil {
			return err
		}
		undo = repair.NewUndo(dev, f)
		to = undo
		defer func() {
			if undo.Close(); undo.Blocks() == 0 {
				os.Remove(j.undo)
			}
			f.Close()
		}()
	}
	phase := ""
	ro.Progress = func(p string, done, total uint64) {
		if p != phase {
			phase = p
			meter.Phase(p, int64(total), false)
		}
		meter.Set(int64(done), 0)
	}
	res, err := repair.Run(ctx, to, ro)
	meter.Stop()
	did.Result = res
	if undo != nil {
		if did.UndoBlocks = undo.Blocks(); did.UndoBlocks > 0 {
			did.Undo = j.undo
		}
	}
	for i := range res.Actions {
		word := "repaired"
		if res.Actions[i].Lost {
			word = "lost    "
		}
		c.Printf("  %s  %s\n", word, res.Actions[i].What)
	}
	if res.Omitted > 0 {
		c.Printf("  and %d more\n", res.Omitted)
	}
	if res.Doubtful {
		c.Notef("%s: some of what was found could not be proven to be the newest: compare the objects with another copy", path)
	}
	for _, s := range res.Refused {
		c.Printf("  left      %s\n", s)
	}
	if did.Undo != "" {
		c.Printf("%s: the old contents of %s are kept in %s; to take the repair back:\n  %s\n", path, plural(did.UndoBlocks, "block"), j.undo, c.Command("fsck", "--apply-undo", j.undo, path))
	}
	c.Set(result{path, rep, did})
	if errors.Is(err, repair.ErrForeign) {
		return j.foreign(c, path, err, cause != nil)
	}
	if errors.Is(err, repair.ErrEpochs) {
		return &verb.Failure{Code: CodeEpochs, Message: fmt.Sprintf("%s: %v, and it drops them", path, err), Exit: exitLeft, Err: err,
			Hint: "No tree was touched. Save what they hold first: " + c.Command("object", path, "export", "--epoch", "E", "DIR") +
				"\nThen: " + c.Command("fsck", "-y", "--drop-epochs", "--undo", "FILE", path)}
	}
	if err != nil {
		return explain(c, path, err)
	}
	o.Progress = nil
	after, err := check.Run(ctx, dev, o)
	if err != nil {
		return explain(c, path, err)
	}
	after.Mode = "after the repair"
	c.Set(result{path, after, did})
	j.print(c, path, after)
	if undo != nil && did.UndoBlocks == 0 {
		c.Printf("%s: nothing was overwritten, no undo file written\n", path)
	}
	if o.Level != check.Deep && len(res.Actions) > 0 {
		c.Printf("%s: the data of objects was not verified; to do that: %s\n", path, c.Command("fsck", "--level", "deep", path))
	}
	code := 0
	if len(res.Actions) > 0 {
		code += exitDone
	}
	if !after.OK() || !after.Complete || res.Lost > 0 {
		code += exitLeft
	}
	if res.Lost > 0 {
		c.Printf("%s: %s\n", path, lostText(res))
	}
	c.Exit(code)
	return nil
}

// lostText is the last line of a repair that lost something.
func lostText(r *repair.Result) string {
	names := make(map[string]bool)
	var first []string
	for i := range r.Actions {
		for _, o := range r.Actions[i].Object {
			if r.Actions[i].Lost && !names[o.Key] {
				if names[o.Key] = true; len(first) < 3 {
					first = append(first, o.Name)
				}
			}
		}
	}
	var parts []string
	switch {
	case r.Gone == 1:
		parts = append(parts, "1 object is gone")
	case r.Gone > 1:
		parts = append(parts, fmt.Sprintf("%d objects are gone", r.Gone))
	}
	if n := len(names); n > 0 {
		s := plural(uint64(n), "object") + " damaged: " + strings.Join(first, ", ")
		if n > len(first) {
			s += ", …"
		}
		parts = append(parts, s)
	}
	if parts == nil {
		parts = append(parts, "see above")
	}
	return "NOT all is repaired, something is lost for good here: " + strings.Join(parts, "; ") + ". Restore it from another copy"
}

// foreign says what stands where the label should be, of a store that is known or
// one that is to be salvaged.
func (j *job) foreign(c *verb.Call, path string, err error, salvage bool) error {
	what := ""
	if d, err := probe.Look(path); err == nil && d.Findings != nil {
		what = ": " + probe.Join(d.Findings)
	}
	f := &verb.Failure{Code: probe.CodeSignature, Message: fmt.Sprintf("%s: %v%s", path, err, what), Err: err,
		Hint: "Nothing was written there. If the store is to stay and that is to go: " + c.Command("fsck", "-y", "--undo", "FILE", path)}
	if salvage {
		f.Hint = "Nothing was written. To destroy that and salvage the store that was here: " + c.Command("fsck", "-y", "--force", "--undo", "FILE", path) +
			"\nIf its id is known, --fsid UUID instead of --force salvages that one and no other."
	}
	return f
}

// takeBack writes an undo file back.
func (j *job) takeBack(ctx context.Context, c *verb.Call, path string, dev *devices.File) error {
	f, err := os.Open(j.applyUndo)
	if err != nil {
		return err
	}
	defer f.Close()
	state := "it is what it was before the repair"
	blocks, err := repair.ApplyUndo(ctx, readUndo{f}, dev)
	if errors.Is(err, repair.ErrChanged) && j.force {
		c.Notef("%s: %v", path, err)
		state = "what was written since the repair is destroyed as far as it lay there; check the rest: " + c.Command("fsck", "--level", "deep", path)
		blocks, err = repair.ForceUndo(ctx, readUndo{f}, dev)
	}
	if errors.Is(err, repair.ErrUndo) {
		hint := "Nothing was written."
		if errors.Is(err, repair.ErrChanged) {
			hint += " To destroy what was written since the repair: " + c.Command("fsck", "--force", "--apply-undo", j.applyUndo, path)
		}
		return &verb.Failure{Code: CodeUndo, Message: j.applyUndo + ": " + err.Error(), Hint: hint, Err: err}
	}
	if err != nil {
		return explain(c, path, err)
	}
	c.Set(result{Device: path, Repair: &repaired{Mode: "undo", Undo: j.applyUndo, UndoBlocks: blocks, Result: &repair.Result{Actions: []repair.Action{}}}})
	c.Printf("%s: %s written back from %s: %s\n", path, plural(blocks, "block"), j.applyUndo, state)
	return nil
}

// CodeEpochs is the code of a repair that would lose what kept epochs may hold.
const CodeEpochs = "E-EPOCHS"

// CodeUndo is the code of an undo file that cannot be applied.
const CodeUndo = "E-UNDO"

// readUndo is an undo file that is only read.
type readUndo struct{ *os.File }
