package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/cluster/ceph"
	"ebofs/osd"
	"ebofs/osd/daemon"
	"ebofs/osd/ebofsstore"
	"ebofs/osd/pg"
	"ebofs/osd/pgfile"
	"ebofs/tools/progress"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Codes of this verb; package codes has their pages.
const (
	codeFile    = "E-PG-FILE"
	codeData    = "E-PG-DATA"
	codeCluster = "E-CLUSTER"
	codeNoOwner = "E-NO-OSD"
)

// Verb describes "pg".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "pg", Args: "DEV", Short: "placement groups of a stopped store: list, show, carry to another, remove", Schema: "ebofs.pg/1",
		Long: `Works on the store on DEV, which no daemon may be using. PG is a pool's number and the group's in hexadecimal: 2.1f.

export writes a group with all its objects, its log and its statistics into FILE; import makes it in another store of the same cluster, whole or not at all. So what the disk of a dead OSD still holds is brought to one that lives. While an import runs, or a removal, the group has another name, which no daemon opens; what a kill leaves is shown by ls, is no group, and goes with rm or the next import. Snapshots of objects are carried as copies that share no blocks.

A pool whose number of groups has changed since the export has no place for them: the import is refused where another group holds their hashes. A group that the map puts on another OSD stays where it is and is not served; one of a pool that was deleted is removed by the OSD.`,
		Actions: []verb.Action{
			action("ls", "", "every group: objects, bytes, newest request, bounds of its log", "pgs", listFlags),
			action("info", "PG", "what a group says of itself, in the words of ceph pg query", "", infoFlags),
			action("log", "PG", "the requests that changed something, oldest first", "entries", logFlags),
			action("export", "PG FILE", "write a group into FILE (- is stdout)", "", exportFlags),
			action("import", "FILE", "make the group that FILE (- is stdin) holds", "", importFlags),
			action("rm", "PG", "remove a group with all its objects", "", removeFlags),
		},
		Flags: func(fs *pflag.FlagSet) {
			fs.String("log", "", "the log is on `DEV`")
			store.EpochFlag(fs)
		},
		Examples: []verb.Example{
			{Command: "ebofs pg /dev/sdb ls", Text: "what a stopped OSD holds"},
			{Command: "ebofs pg /dev/sdb info 2.1f --format json", Text: "one of them"},
			{Command: "ebofs pg /dev/sdb log 2.1f --last 20", Text: "its newest requests"},
			{Command: "ebofs pg /dev/sdb export 2.1f 2.1f.pg", Text: "into a file"},
			{Command: "ebofs pg /dev/sdc import 2.1f.pg", Text: "into the store of another OSD, stopped, too"},
			{Command: "ebofs pg /dev/sdb rm --force 2.1f", Text: "once it is somewhere else"},
		},
		SeeAlso: []string{"object", "dump", "fsck"},
	}
}

// job does an action on a mounted store.
type job interface {
	writes() bool
	run(ctx context.Context, c *verb.Call, s *session) error
}

// session is a mounted store as an OSD sees it.
type session struct {
	osd.ObjectStore
	path string
	c    *verb.Call
}

func action(name, args, short, rows string, flags func(*pflag.FlagSet) job) verb.Action {
	return verb.Action{Name: name, Args: args, Short: short, Schema: "ebofs.pg." + name + "/1", Rows: rows,
		New: func(fs *pflag.FlagSet) verb.Run {
			j := flags(fs)
			return func(ctx context.Context, c *verb.Call) error { return with(ctx, c, j) }
		}}
}

// with mounts the store, runs j and closes the store.
func with(ctx context.Context, c *verb.Call, j job) (err error) {
	path, epoch := c.Args[0], store.AtEpoch(c.Flags)
	if epoch != 0 && j.writes() {
		return verb.Usage("--epoch: what a store was can only be read")
	}
	if k, ok := j.(interface{ check(*verb.Call) error }); ok {
		if err := k.check(c); err != nil {
			return err
		}
	}
	logPath, _ := c.Flags.GetString("log")
	mounted, err := store.Mount(ctx, c, path, store.Mode{Write: j.writes(), LogPath: logPath, AtEpoch: epoch})
	if err != nil {
		return err
	}
	defer func() {
		switch closeErr := mounted.Close(context.WithoutCancel(ctx)); {
		case err == nil:
			err = store.Explain(c, path, closeErr)
		case closeErr != nil:
			c.Notef("%v", store.Explain(c, path, closeErr))
		}
	}()
	return store.Explain(c, path, j.run(ctx, c, &session{ObjectStore: ebofsstore.New(mounted.Store), path: path, c: c}))
}

// owner reads whose store it is.
func (s *session) owner(ctx context.Context) (daemon.Owner, error) {
	o, err := daemon.ReadOwner(ctx, s)
	if errors.Is(err, daemon.ErrNoOwner) || err == nil && o.FSID.IsZero() {
		return o, &verb.Failure{Code: codeNoOwner, Message: s.path + ": no OSD has used this store, so it belongs to no cluster", Hint: "Nothing was written. Start its OSD once.", Err: err}
	}
	return o, err
}

// found is a group of the store, or what is left of one.
type found struct {
	pg    ceph.PG
	phase pg.Phase
	coll  osd.CollectionID
}

// groups lists the groups and leftovers.
func (s *session) groups(ctx context.Context) ([]found, error) {
	all, err := s.Collections(ctx)
	var list []found
	for _, c := range all {
		if g, p, ok := pg.ParseCollection(c); ok {
			list = append(list, found{g, p, c})
		}
	}
	return list, err
}

// whole returns the group a word of the command line names.
func (s *session) whole(ctx context.Context, word string) (pg.Stored, error) {
	id, err := parse(word)
	if err != nil {
		return pg.Stored{}, err
	}
	r, err := pg.ReadStored(ctx, s, pg.Collection(id), id)
	if errors.Is(err, osd.ErrNotFound) {
		err = s.missing(id, err)
	}
	return r, err
}

func (s *session) missing(id ceph.PG, err error) error {
	return &verb.Failure{Code: store.CodeNotFound, Message: fmt.Sprintf("%s: no pg %v", s.path, id), Hint: "Those it has: " + s.c.Command("pg", s.path, "ls"), Err: err}
}

func parse(word string) (ceph.PG, error) {
	id, err := ceph.ParsePG(word)
	if err != nil {
		return id, verb.Usage(err.Error())
	}
	return id, nil
}

// explainFile turns an error about the file at path into a failure.
func explainFile(s *session, path string, h *pgfile.Header, err error) error {
	bare := func(kind error) string { return strings.TrimSuffix(err.Error(), ": "+kind.Error()) }
	switch {
	case errors.Is(err, context.Canceled):
		return &verb.Failure{Code: verb.CodeCancelled, Message: s.path + ": interrupted", Hint: "Nothing of the group is in the store.", Err: err}
	case errors.Is(err, pgfile.ErrCorrupt):
		return &verb.Failure{Code: codeFile, Message: fmt.Sprintf("%s: damaged: %s", path, bare(pgfile.ErrCorrupt)), Hint: "Nothing of it is in the store.", Err: err}
	case errors.Is(err, pgfile.ErrNoFile), errors.Is(err, pgfile.ErrNewer):
		return &verb.Failure{Code: codeFile, Message: fmt.Sprintf("%s: %v", path, err), Hint: "Nothing of it is in the store.", Err: err}
	case errors.Is(err, pgfile.ErrCluster):
		return &verb.Failure{Code: codeCluster, Message: fmt.Sprintf("%s: %s", path, bare(pgfile.ErrCluster)), Hint: "Nothing was written.", Err: err}
	case errors.Is(err, pgfile.ErrExists):
		return &verb.Failure{Code: store.CodeExists, Message: fmt.Sprintf("%s: %v", s.path, err),
			Hint: "Nothing was written. To remove that one first: " + s.c.Command("pg", s.path, "rm", "--force", h.PG.String()), Err: err}
	case errors.Is(err, pgfile.ErrOverlap):
		return &verb.Failure{Code: store.CodeExists, Message: fmt.Sprintf("%s: %v", s.path, err),
			Hint: "Nothing was written. The pool has another number of groups by now.", Err: err}
	}
	return err
}

// meter shows how far an action is.
func meter(c *verb.Call, path, phase string, bytes int64) *progress.Meter {
	m := progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + path, Status: c.Status})
	m.Phase(phase, bytes, true)
	return m
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}
