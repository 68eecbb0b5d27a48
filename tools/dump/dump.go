package dump

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"ebofs/ebofs/layout"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "dump".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "dump", Args: "DEV", Short: "show the structures on a device", Schema: "ebofs.dump/1",
		Long: `Shows what the store on DEV consists of, as of its newest checkpoint, or with --epoch as a kept one left it: the log of an unclean store is shown by "log" and not applied. Nothing is written.

Addresses are DEVICE:BLOCK or BLOCK, in blocks of 4 KiB. OID is an object's name, or its full form as "object ls --full" prints it. NAME of a tree is one of collections, objects, trash, refs (how often blocks are mapped that clones share).`,
		Actions: []verb.Action{
			action("super", "", "superblock slots and root record", "", nil, showSuper),
			action("label", "", "labels and their copies", "labels", nil, showLabel),
			action("log", "", "the log: where it lies and what the next mount replays", "records", logFlags, showLog),
			action("tree", "NAME", "the entries of a tree", "entries", nil, showTree),
			action("node", "ADDR", "one tree node", "items", nil, showNode),
			action("object", "OID", "an object's metadata", "", nil, showObject),
			action("extents", "OID", "where an object's bytes lie", "extents", extentFlags, showExtents),
			action("free", "", "free space and how it is cut up", "", nil, showFree),
			action("zones", "", "the zones", "zones", nil, showZones),
			action("epochs", "", "the checkpoints there are: newest, kept, and what else superblock slots know", "epochs", nil, showEpochs),
			action("diff", "EPOCH EPOCH", "objects added, removed and changed between two checkpoints", "changes", nil, showDiff),
		},
		Flags: func(fs *pflag.FlagSet) {
			fs.String("log", "", "the log is on `DEV`")
			store.EpochFlag(fs)
		},
		Examples: []verb.Example{
			{Command: "ebofs dump disk.img super", Text: "geometry, features, newest checkpoint"},
			{Command: "ebofs dump disk.img --format json free", Text: "free_bytes for a program"},
			{Command: "ebofs dump disk.img extents bash/copyright", Text: "the blocks of an object"},
			{Command: "ebofs dump disk.img --format jsonl tree objects", Text: "every object, one a line"},
			{Command: "ebofs dump disk.img diff 41 44", Text: "what changed, on a store that keeps epochs"},
		},
		SeeAlso: []string{"fsck", "map", "object"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

// show is one action on an opened image.
type show func(ctx context.Context, c *verb.Call, m *Image) error

func action(name, args, short, rows string, flags func(*pflag.FlagSet), do show) verb.Action {
	return verb.Action{Name: name, Args: args, Short: short, Schema: "ebofs.dump." + name + "/1", Rows: rows,
		New: func(fs *pflag.FlagSet) verb.Run {
			if flags != nil {
				flags(fs)
			}
			return func(ctx context.Context, c *verb.Call) error { return with(ctx, c, name, do) }
		}}
}

// with opens the devices, runs the action and closes them.
func with(ctx context.Context, c *verb.Call, action string, do show) (err error) {
	path := c.Args[0]
	dev, err := store.Open(path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	m, err := Open(ctx, dev)
	if err != nil {
		return store.Explain(c, path, err)
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if sb := &m.Super; sb.Role == layout.RoleLog && action != "super" && action != "label" {
		return &verb.Failure{Code: store.CodeLog, Message: fmt.Sprintf("%s: holds the log of store %s, not the store", path, sb.FSID.Short()),
			Hint: "Name the store's main device, with --log " + verb.Quote(path) + "."}
	}
	if n := store.AtEpoch(c.Flags); n != 0 {
		if slices.Contains([]string{"label", "log", "epochs", "diff"}, action) {
			return verb.Usage("--epoch: " + action + " is not of one checkpoint")
		}
		if err := m.At(ctx, n); err != nil {
			return store.Explain(c, path, err)
		}
	}
	if logPath, _ := c.Flags.GetString("log"); logPath != "" {
		log, err := store.Open(logPath, false)
		if err != nil {
			return err
		}
		defer log.Close()
		m.Log = log
	}
	return store.Explain(c, path, do(ctx, c, m))
}
