package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Ask is what somebody wants to do to a device.
type Ask struct {
	Force    bool     // foreign signatures may go, and unknown data in a file
	Marks    bool     // only signatures are erased: unknown data stays
	Destroy  []string // stores that may go, by the first 8 characters or more
	MinBytes int64    // smallest size that is of use
	Now      time.Time
	// Command returns the command line to print for other flags: the verb as it
	// was called, with flags before the device.
	Command func(flags ...string) string
}

// The codes of a refusal; package codes has their pages.
const (
	CodeNotDevice = "E-NOT-DEVICE"
	CodeReadOnly  = "E-READ-ONLY"
	CodeTooSmall  = "E-TOO-SMALL"
	CodeInUse     = "E-IN-USE"
	CodeStore     = "E-STORE"
	CodeNoStore   = "E-NO-STORE"
	CodeSignature = "E-SIGNATURE"
	CodeGeometry  = "E-GEOMETRY"
)

// Judge decides whether d may be written to as asked. The first row of the
// safety table that fires decides; nil means go on. Warnings are for stderr.
func Judge(d *Disk, ask Ask) (warnings []string, refusal *verb.Failure) {
	refuse := func(code, hint, format string, args ...any) ([]string, *verb.Failure) {
		return nil, &verb.Failure{Code: code, Message: d.Path + ": " + fmt.Sprintf(format, args...), Hint: hint}
	}
	switch {
	case d.ReadOnly:
		return refuse(CodeReadOnly, "Nothing was written.", "read-only")
	case d.Bytes < ask.MinBytes:
		return refuse(CodeTooSmall, "Nothing was written.", "too small: %s, needs at least %s", sizes.Human(uint64(d.Bytes)), sizes.Short(uint64(ask.MinBytes)))
	case d.InUse:
		f := InUse(d)
		f.Hint = strings.Replace(f.Hint, "Nothing was written.", "Nothing was written; --force does not change this.", 1)
		return nil, f
	case d.Err != nil:
		return nil, &verb.Failure{Code: verb.CodeIO, Message: fmt.Sprintf("%s: %v", d.Path, d.Err), Hint: "Nothing was written. What cannot be read is not taken for empty.", Err: d.Err}
	}
	stores := d.Stores()
	for _, id := range ask.Destroy {
		if !slices.ContainsFunc(stores, func(st *Store) bool { return st.IsStoreID(id) }) {
			held := "no store"
			if len(stores) > 0 {
				held = stores[0].Describe(ask.Now)
			}
			return refuse(CodeNoStore, "Nothing was written.", "--destroy %s: it holds %s", id, held)
		}
	}
	for _, st := range stores {
		if !slices.ContainsFunc(ask.Destroy, st.IsStoreID) {
			var flags []string
			for _, s := range stores {
				flags = append(flags, "--destroy", s.Short())
			}
			if d.Findings != nil {
				flags = append(flags, "--force")
			}
			what := Join(d.Findings) // which names the stores in partitions
			if d.Store != nil {
				what = d.Store.Describe(ask.Now) + and(d.Findings)
			}
			return refuse(CodeStore, "Nothing was written. To destroy exactly this store: "+ask.Command(flags...), "holds %s", what)
		}
	}
	if d.Findings != nil && !ask.Force {
		flags := []string{"--force"}
		for _, id := range ask.Destroy {
			flags = append(flags, "--destroy", id)
		}
		return refuse(CodeSignature, "Nothing was written. To erase it: "+ask.Command(flags...), "holds %s", Join(d.Findings))
	}
	if d.DataAt != nil && !ask.Force {
		return refuse(CodeSignature, "Nothing was written. If nobody needs it: "+ask.Command("--force"), "holds unknown data from byte %d on, and is a file: taken for somebody's", *d.DataAt)
	}
	for _, r := range d.Residue {
		warnings = append(warnings, fmt.Sprintf("%s: unknown data in the %s %s (sha256 %s), taken for nobody's", d.Path, r.Where, sizes.Short(uint64(r.Bytes)), r.SHA256[:16]))
	}
	return warnings, nil
}

// and names what else would be erased with a store.
func and(found []Finding) string {
	if found == nil {
		return ""
	}
	return ", and " + Join(found)
}

// Join lists findings in one phrase.
func Join(found []Finding) string {
	var all []string
	for _, f := range found {
		all = append(all, f.String())
	}
	if len(all) > 1 {
		return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
	}
	return strings.Join(all, "")
}

// InUse is the refusal for a device somebody uses.
func InUse(d *Disk) *verb.Failure {
	var who []string
	hint := "Nothing was written."
	for _, u := range d.Users {
		who = append(who, u.What)
	}
	if len(d.Users) > 0 && d.Users[0].Cure != "" {
		hint += " " + d.Users[0].First()
	}
	message := d.Path + ": in use"
	if who != nil {
		message += ": " + strings.Join(who, ", ")
	}
	return &verb.Failure{Code: CodeInUse, Message: message, Hint: hint, Err: unix.EBUSY}
}

// Explain turns an error of Look or of opening a device into a refusal. err
// names the path.
func Explain(err error) *verb.Failure {
	f := &verb.Failure{Code: verb.CodeIO, Message: err.Error(), Hint: "Nothing was written.", Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotDevice), errors.Is(err, ErrEmpty), errors.Is(err, devices.ErrNotDevice):
		f.Code = CodeNotDevice
	case errors.Is(err, devices.ErrInUse), errors.Is(err, unix.EBUSY):
		f.Code, f.Hint = CodeInUse, "Nothing was written."
	case errors.Is(err, devices.ErrReadOnly), errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		f.Code = CodeReadOnly
	case !errors.As(err, new(unix.Errno)):
		f.Code = CodeGeometry
	}
	return f
}
