package store

import (
	"fmt"
	"strings"

	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Preflight looks at the device or image at path before its store is used, and
// says in an operator's words what the engine could only say in its own: that
// it was truncated, is a log device, or carries somebody else's signature. What
// does not forbid reading is a note on stderr. Writing is refused once block 0 is
// no label any more: the device may belong to somebody else by now.
//
// What cannot be looked at is left to Open, which says why.
func Preflight(c *verb.Call, path string, write bool) error {
	d, err := probe.Look(path)
	if err != nil {
		return nil
	}
	if d.InUse && !write {
		who := ""
		for i, u := range d.Users {
			if i > 0 {
				who += ", "
			}
			who += u.What
		}
		c.Notef("%s: in use (%s); what is read may be of different moments", path, who)
	}
	refuse := func(code, hint, format string, args ...any) error {
		return &verb.Failure{Code: code, Message: path + ": " + fmt.Sprintf(format, args...), Hint: hint}
	}
	if write && d.ReadOnly {
		// A loop or dm device may be opened for writing all the same.
		return refuse(CodeReadOnly, "Nothing was written.", "read-only")
	}
	st := d.Store
	if st == nil {
		return nil
	}
	if int64(st.Bytes) > d.Bytes {
		return refuse("E-SIZE", truncatedHint(d), "truncated: %s (%d bytes), store %s has %s (%d bytes)", sizes.Human(uint64(d.Bytes)), d.Bytes, st.Short(), sizes.Human(st.Bytes), st.Bytes)
	}
	if st.Role == "log" {
		return refuse(CodeLog, "Nothing was written. Name the store's main device, with --log "+verb.Quote(path)+".", "holds the log of store %s, not the store", st.Short())
	}
	var over []string
	if d.Findings != nil {
		over = append(over, "it holds "+probe.Join(d.Findings))
	}
	if st.LabelsFound < st.LabelsWanted {
		over = append(over, fmt.Sprintf("%d of %d labels are left", st.LabelsFound, st.LabelsWanted))
	}
	if over == nil {
		return nil
	}
	what := strings.Join(over, ", ")
	// A label copy that rots is no reason to refuse work; a start of the device
	// that is not ours any more is.
	if write && (d.Findings != nil || !st.AtStart) {
		return refuse(probe.CodeSignature, "Nothing was written. Reading still works: "+c.Command("object", path, "export", "DIR"), "store %s was written over: %s", st.Short(), what)
	}
	verdict := "was written over"
	if d.Findings == nil && st.AtStart {
		verdict = "is damaged"
	}
	c.Notef("%s: store %s %s: %s", path, st.Short(), verdict, what)
	return nil
}

// truncatedHint says how an image gets its length back.
func truncatedHint(d *probe.Disk) string {
	if d.Block {
		return "Nothing was written. What lay beyond the end is gone; the rest is readable once the volume has its old size."
	}
	return fmt.Sprintf("Nothing was written. What lay beyond the end is gone; this makes the rest readable:\ntruncate -s %d %s", d.Store.Bytes, verb.Quote(d.Path))
}

// PreflightLog is Preflight for the log device of the store at path.
func PreflightLog(c *verb.Call, path, logPath string, write bool) error {
	d, err := probe.Look(logPath)
	if err != nil {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return &verb.Failure{Code: CodeLog, Message: logPath + ": " + fmt.Sprintf(format, args...), Hint: "Nothing was written."}
	}
	if write && d.ReadOnly {
		return &verb.Failure{Code: CodeReadOnly, Message: logPath + ": read-only", Hint: "Nothing was written."}
	}
	log := d.Store
	switch main, err := probe.Look(path); {
	case log == nil:
		return refuse("is no log device: holds no store's mark")
	case log.Role != "log":
		return refuse("is no log device: it is the %s device of store %s", log.Role, log.Short())
	case err == nil && main.Store != nil && main.Store.ID != log.ID:
		return refuse("is the log device of store %s, not of %s", log.Short(), main.Store.Short())
	case write && d.Findings != nil:
		return refuse("the log of store %s was written over: it holds %s", log.Short(), probe.Join(d.Findings))
	}
	return nil
}
