package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"

	"ebofs/ebofs/image"
	"ebofs/tools/progress"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// codeImage is a file that is no sound image; package codes has its page.
const codeImage = "E-IMAGE"

// Verb describes "image".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "image", Short: "save and restore the metadata of a store", Schema: "ebofs.image/1",
		Long: `save writes what a store consists of into FILE: labels, superblocks, checkpoint, bitmaps, tree nodes, log; sound or damaged, closed or not. The bytes of objects are never in it, nor the values of attributes and omap keys. Names of objects, collections, attributes and omap keys and the label's text are scrambled unless --plain-names is given: what is equal, begins alike or sorts first still does, so that the trees keep their shape. So a sick store can be shown to somebody who must not see what it holds.

restore makes a store of FILE on DEV, a file that does not exist yet, or a device that mkfs would take. fsck says of it what it says of the original; dump, map and a read-only look at it work; reading data is refused, and so is writing.

What an image still tells: sizes, counts, times, ids of store and cluster, the order of names and how long they are, where they begin alike and how many ways each beginning goes on, NUL bytes in object names, pool, snapshot and hash of each object (who guesses a name can compare its hash), and where data lies.`,
		Actions: []verb.Action{
			{Name: "save", Args: "DEV FILE", Short: "write the structure of a store into a file", Schema: "ebofs.image.save/1", New: func(fs *pflag.FlagSet) verb.Run {
				j := &saving{}
				fs.StringVar(&j.logPath, "log", "", "the log is on `DEV`")
				fs.BoolVar(&j.plain, "plain-names", false, "do not scramble names; values and data are left out all the same")
				fs.BoolVarP(&j.force, "force", "f", false, "replace FILE")
				return j.run
			}},
			{Name: "restore", Args: "FILE DEV", Short: "make a store without data of such a file", Schema: "ebofs.image.restore/1", New: func(fs *pflag.FlagSet) verb.Run {
				j := &restoring{}
				fs.StringVar(&j.logPath, "log", "", "put the log device of the image on `DEV`")
				fs.BoolVarP(&j.ask.Force, "force", "f", false, "erase foreign signatures, or a file's data; never overrides \"in use\" or a store")
				fs.StringSliceVar(&j.ask.Destroy, "destroy", nil, "destroy `STORE`, named by the first 8 characters of its id or more")
				return j.run
			}},
		},
		Examples: []verb.Example{
			{Command: "ebofs image save /dev/sdb sdb.image", Text: "to be sent to somebody"},
			{Command: "ebofs image restore sdb.image sick.img", Text: "a sparse file, as large as the device was"},
			{Command: "fsck.ebofs sick.img", Text: "finds what it found on /dev/sdb"},
		},
		SeeAlso: []string{"fsck", "dump", "map"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

// meter shows how far an action is.
func meter(c *verb.Call, path string) *progress.Meter {
	return progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + path, Status: c.Status, Device: path})
}

// explainFile turns an error about an image file into a failure.
func explainFile(c *verb.Call, path string, err error) error {
	var system *fs.PathError
	switch {
	case errors.As(err, &system), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, image.ErrNoImage), errors.Is(err, image.ErrCorrupt):
		return &verb.Failure{Code: codeImage, Message: fmt.Sprintf("%s: %v", path, err), Hint: "Nothing was written.", Err: err}
	}
	return store.Explain(c, path, err)
}
