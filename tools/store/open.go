package store

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/online"
	"ebofs/internal/asok"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Open opens the device or image at path. For writing it is the caller's alone
// until closed; an image behind a loop device is refused, too.
func Open(path string, write bool) (*devices.File, error) {
	if write {
		if users := probe.Behind(path); users != nil {
			return nil, probe.InUse(&probe.Disk{Path: path, Users: users, InUse: true})
		}
	}
	dev, err := devices.OpenFile(path, devices.FileOptions{ReadOnly: !write})
	if errors.Is(err, devices.ErrInUse) {
		if d, lookErr := probe.Look(path); lookErr == nil && d.InUse {
			return nil, probe.InUse(d)
		}
	}
	if err != nil {
		f := probe.Explain(err)
		if !write {
			f.Hint = ""
		}
		return nil, f
	}
	return dev, nil
}

// Claim takes the device or image at path for destroying what is on it, if the
// safety table allows what is asked. It returns the device with exclusive use,
// what was found on it, and warnings.
func Claim(ctx context.Context, path string, ask probe.Ask) (*devices.File, *probe.Disk, []string, error) {
	d, err := probe.Look(path)
	if err != nil {
		return nil, nil, nil, probe.Explain(err)
	}
	if _, refusal := probe.Judge(d, ask); refusal != nil {
		return nil, d, nil, refusal
	}
	dev, err := Open(path, true)
	if err != nil {
		return nil, d, nil, err
	}
	// Look again, now that nobody else can write.
	b := NewBytes(ctx, dev)
	d.Report = probe.Examine(b, b.Size(), d.Sector, d.Name)
	d.InUse, d.Users = false, nil
	// Disks come with what their last owner left; a file is somebody's.
	if !d.Block && !ask.Force && !ask.Marks && d.Err == nil && d.Store == nil && d.Findings == nil {
		at, found, err := probe.FirstData(ctx, path)
		if d.Err = err; found {
			d.DataAt = &at
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, nil, errors.Join(err, b.Close(), dev.Close())
	}
	warnings, refusal := probe.Judge(d, ask)
	if err := b.Close(); err != nil && refusal == nil {
		return nil, d, nil, errors.Join(err, dev.Close())
	}
	if refusal != nil {
		dev.Close()
		return nil, d, nil, refusal
	}
	return dev, d, warnings, nil
}

// EpochFlag adds the flag of the verbs that can look at an earlier epoch.
func EpochFlag(fs *pflag.FlagSet) {
	fs.Uint64("epoch", 0, "look at the store as checkpoint `N` left it; dump DEV epochs says which there are")
}

// AtEpoch is the epoch that flag asks for, 0 for the newest.
func AtEpoch(fs *pflag.FlagSet) uint64 {
	n, _ := fs.GetUint64("epoch")
	return n
}

// FindEpoch is ebofs.Find for the epoch that the flag asks for.
func FindEpoch(ctx context.Context, c *verb.Call, dev devices.Device) (ebofs.Found, error) {
	f, err := ebofs.Find(ctx, dev)
	if n := AtEpoch(c.Flags); err == nil && n != 0 {
		f.Super, err = ebofs.FindEpoch(ctx, dev, &f.Super, n)
	}
	return f, err
}

// Session is a mounted store with its devices.
type Session struct {
	*ebofs.Store
	Path string
	dev  *devices.File
	log  *devices.File

	c     *verb.Call
	heard *heard

	commands *online.Commands // with socket; nil: it has none
	socket   *asok.Server
}

// Mode says what a store is mounted for.
type Mode struct {
	Write   bool
	LogPath string // its log device; "" if it has none
	AtEpoch uint64 // see ebofs.Options; 0: as it is now
	// MemoryBytes is the engine's budget; 0: DefaultMemory.
	MemoryBytes int64
}

// DefaultMemory is the budget of a tool. A tool shares its machine with others
// and runs once, so it takes less than a daemon.
const DefaultMemory = 512 << 20

// Mount opens the store at path. Its errors are failures ready to print.
func Mount(ctx context.Context, c *verb.Call, path string, m Mode) (*Session, error) {
	s := &Session{Path: path, c: c, heard: &heard{}}
	err := Preflight(c, path, m.Write)
	if err == nil && m.LogPath != "" {
		err = PreflightLog(c, path, m.LogPath, m.Write)
	}
	if err != nil {
		return nil, err
	}
	if s.dev, err = Open(path, m.Write); err != nil {
		return nil, err
	}
	if m.LogPath != "" {
		if s.log, err = Open(m.LogPath, m.Write); err != nil {
			s.dev.Close()
			return nil, err
		}
	}
	o := ebofs.Options{ReadOnly: !m.Write, AtEpoch: m.AtEpoch, MemoryBytes: m.MemoryBytes, Logger: slog.New(losses{c.Log.Handler(), s.heard}), Now: c.Now}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemory
	}
	TuneHeap(o.MemoryBytes)
	if s.log != nil {
		o.LogDevice = s.log
	}
	if s.Store, err = ebofs.Open(ctx, s.dev, o); err != nil {
		if errors.Is(err, ebofs.ErrInvalid) { // an option of ours
			text := strings.TrimSuffix(err.Error(), ": "+ebofs.ErrInvalid.Error())
			err = &verb.Failure{Code: verb.CodeUsage, Message: path + ": " + sizes.InText(text), Err: err}
		}
		return nil, errors.Join(Explain(c, path, err), s.closeDevices())
	}
	if why := s.Degraded(); why != "" {
		c.Notef("%s: %s; showing what can be read", path, why)
	}
	if m.Write && c.RunDir != "" {
		if err := s.serve(); err != nil {
			c.Notef("%s: no admin socket: %v; going on without", path, err)
		}
	}
	return s, nil
}

// Device returns the main device.
func (s *Session) Device() devices.Device { return s.dev }

// Close closes the store, checkpointing if it was opened for writing, and its
// devices.
func (s *Session) Close(ctx context.Context) error {
	s.hangUp()
	err := s.Store.Close(ctx)
	if err == nil {
		err = s.heard.failure(s.c, s.Path, s.Metrics().GivenUp)
	}
	return errors.Join(err, s.closeDevices())
}

func (s *Session) closeDevices() error {
	err := s.dev.Close()
	if s.log != nil {
		err = errors.Join(err, s.log.Close())
	}
	return err
}

// The codes of what a store refuses; package codes has their pages.
const (
	CodeFormat    = "E-FORMAT"
	CodeLog       = "E-LOG-DEVICE"
	CodeNotFound  = "E-NOT-FOUND"
	CodeExists    = "E-EXISTS"
	CodeNoSpace   = "E-NO-SPACE"
	CodeCorrupt   = "E-CORRUPT"
	CodeLost      = "E-LOST"
	CodeName      = "E-NAME"
	CodeNoData    = "E-NO-DATA"
	CodeReadOnly  = probe.CodeReadOnly
	CodeNoStore   = probe.CodeNoStore
	CodeCancelled = verb.CodeCancelled
)

// Explain turns an error about the store at path into a failure. A nil error
// stays nil.
func Explain(c *verb.Call, path string, err error) error {
	var already *verb.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already), errors.Is(err, context.Canceled):
		return err
	}
	text := err.Error()
	if !strings.HasPrefix(text, path+":") {
		text = path + ": " + text
	}
	f := &verb.Failure{Code: verb.CodeFailed, Message: text, Err: err}
	switch {
	case errors.Is(err, ebofs.ErrNoStore):
		f.Code, f.Hint = CodeNoStore, "What it holds instead: "+c.Command("device", "probe", path)
	case errors.Is(err, layout.ErrNewer), errors.Is(err, layout.ErrFeature):
		f.Code, f.Hint = CodeFormat, "Nothing was written. What this program reads: "+c.Command("version")
	case errors.Is(err, ebofs.ErrLogMissing):
		f.Code, f.Hint = CodeLog, "Nothing was written. Give it with --log DEV."
	case errors.Is(err, ebofs.ErrNotFound):
		f.Code = CodeNotFound
	case errors.Is(err, ebofs.ErrExists):
		f.Code = CodeExists
	case errors.Is(err, ebofs.ErrNoSpace):
		c.Log.Info("store is full", "err", err)
		f.Code, f.Message = CodeNoSpace, path+": the store is full"
		f.Hint = "What is stored stays, and removing works: what is still free is reserved for that. How full it is: " + c.Command("map", path)
	case errors.Is(err, layout.ErrTooLong), errors.Is(err, ebofs.ErrTooLarge):
		f.Code = CodeName
	case errors.Is(err, ebofs.ErrCorrupt), errors.Is(err, btree.ErrCorrupt), errors.Is(err, layout.ErrNoSuperblock), errors.Is(err, layout.ErrDisagree):
		f.Code, f.Hint = CodeCorrupt, "All that is damaged: "+c.Command("fsck", "--level", "deep", path)
	case errors.Is(err, ebofs.ErrNoData):
		f.Code = CodeNoData
	case errors.Is(err, ebofs.ErrReadOnly), errors.Is(err, devices.ErrReadOnly):
		f.Code = CodeReadOnly
	}
	return f
}
