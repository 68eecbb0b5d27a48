package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// DefaultCollection is where objects go if none is named.
const DefaultCollection = "files"

// common are the flags of every action.
type common struct {
	collection string
	logPath    string
	memory     sizes.Size
}

// Verb describes "object".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "object", Args: "DEV", Short: "list, read and write objects; import and export trees of files", Schema: "ebofs.object/1",
		Long: `Works on the store on DEV, which no daemon may be using. Reading actions write nothing, not even on a store that was not closed.

NAME is an object's name; one that is not unique by its name alone is given as "ls --full" prints it. rm names what is not there and then removes nothing. Few names (1000 at most) go all together or not at all, unless the store is full: that has room for the checkpoint of few removes at a time, and rm takes as many as it can together, at last one by one.

import keeps mode, modification time and links' targets in attributes, so that export restores the tree.`,
		Actions: []verb.Action{
			action("ls", "", "names of objects, one a line", "objects", listFlags),
			action("get", "NAME [FILE]", "an object's bytes to FILE or stdout", "", getFlags),
			action("put", "NAME FILE", "the bytes of FILE (- is stdin) to an object, replacing it", "", putFlags),
			action("clone", "NAME TO", "a copy of an object with its attributes and map, replacing TO; blocks are shared until changed", "", cloneFlags),
			action("rm", "NAME...", "remove objects", "removed", rmFlags),
			action("stat", "NAME", "size, attributes, extents", "", statFlags),
			action("attr", "NAME [KEY]", "list attributes, print one, set or remove one", "attrs", attrFlags),
			action("omap", "NAME [KEY]", "list keys of the map, print one, set or remove one", "keys", omapFlags),
			action("import", "DIR", "a tree of files to objects", "", importFlags),
			action("export", "[DIR]", "objects back to a tree of files, or compare them with a journal", "", exportFlags),
		},
		Flags: func(fs *pflag.FlagSet) {
			fs.StringP("collection", "c", DefaultCollection, "`COLLECTION` of the object")
			fs.String("log", "", "the log is on `DEV`")
			fs.Var(new(sizes.Size), "memory", "`SIZE` of the engine's caches; default 512MiB")
			store.EpochFlag(fs)
		},
		Examples: []verb.Example{
			{Command: "ebofs object disk.img import /usr/share/doc", Text: "a tree to objects"},
			{Command: "ebofs object disk.img ls", Text: "their names"},
			{Command: "ebofs object disk.img get bash/copyright > copyright", Text: "one of them"},
			{Command: "ebofs object disk.img get --epoch 41 bash/copyright > copyright", Text: "as it was, on a store that keeps epochs"},
			{Command: "ebofs object disk.img clone bash/copyright old", Text: "a copy that shares its blocks"},
			{Command: "ebofs object disk.img export /tmp/doc", Text: "the tree again"},
		},
		SeeAlso: []string{"mkfs", "dump"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

// job does an action on a mounted store.
type job interface {
	// write says whether the store is to be changed.
	write(c *verb.Call) bool
	run(ctx context.Context, c *verb.Call, s *session) error
}

func action(name, args, short, rows string, flags func(*pflag.FlagSet) job) verb.Action {
	return verb.Action{Name: name, Args: args, Short: short, Schema: "ebofs.object." + name + "/1", Rows: rows,
		New: func(fs *pflag.FlagSet) verb.Run {
			j := flags(fs)
			return func(ctx context.Context, c *verb.Call) error { return with(ctx, c, j) }
		}}
}

// checker is a job that can refuse its command line before the store is opened.
type checker interface{ check(c *verb.Call) error }

// with mounts the store, runs j and closes the store.
func with(ctx context.Context, c *verb.Call, j job) (err error) {
	var o common
	o.collection, _ = c.Flags.GetString("collection")
	o.logPath, _ = c.Flags.GetString("log")
	if m, ok := c.Flags.Lookup("memory").Value.(*sizes.Size); ok {
		o.memory = *m
	}
	if o.memory.Percent > 0 {
		return verb.Usage("--memory: no percentage here")
	}
	if k, ok := j.(checker); ok {
		if err := k.check(c); err != nil {
			return err
		}
	}
	path, epoch := c.Args[0], store.AtEpoch(c.Flags)
	if epoch != 0 && j.write(c) {
		return verb.Usage("--epoch: what a store was can only be read")
	}
	mounted, err := store.Mount(ctx, c, path, store.Mode{Write: j.write(c), LogPath: o.logPath, AtEpoch: epoch, MemoryBytes: int64(o.memory.Bytes)})
	if err != nil {
		return err
	}
	s := &session{Session: mounted, c: c, coll: ebofs.CollectionID(o.collection), writes: j.write(c)}
	defer func() {
		// What is committed stays committed; closing only spares the next mount
		// its replay, so an interrupt does not cut it short.
		switch closeErr := mounted.Close(context.WithoutCancel(ctx)); {
		case err == nil:
			err = store.Explain(c, path, closeErr)
		case closeErr != nil:
			c.Notef("%v", store.Explain(c, path, closeErr))
		}
	}()
	return store.Explain(c, path, j.run(ctx, c, s))
}

// session is a mounted store and the collection in use.
type session struct {
	*store.Session
	c      *verb.Call
	coll   ebofs.CollectionID
	writes bool
	pool   int64 // of coll, once known
	shard  int8  // likewise
}

// open makes sure that the collection exists and learns its pool. A session
// that writes first removes what killed ones left half written.
func (s *session) open(ctx context.Context) error {
	spec, err := s.CollectionSpec(s.coll)
	if errors.Is(err, ebofs.ErrNotFound) {
		f := &verb.Failure{Code: store.CodeNotFound, Message: fmt.Sprintf("%s: no collection %q", s.Path, s.coll), Err: err}
		if all, err := s.Collections(ctx); err == nil && len(all) > 0 {
			f.Hint = "There is " + some(all) + "; name one with --collection."
		}
		return f
	}
	if err != nil {
		return err
	}
	s.pool, s.shard = spec.Pool, spec.Shard
	if !s.writes {
		return nil
	}
	if err := s.sweep(ctx); err != nil && s.Err() != nil {
		return err
	} else if err != nil {
		s.c.Notef("%s: what an interrupted import left could not be removed: %v", s.Path, err)
	}
	return nil
}

// create is open, but makes a missing collection of a pool of its own.
func (s *session) create(ctx context.Context) error {
	if s.CollectionExists(s.coll) {
		return s.open(ctx)
	}
	all, err := s.Collections(ctx)
	if err != nil {
		return err
	}
	pool := int64(1)
	for _, id := range all {
		spec, err := s.CollectionSpec(id)
		if err != nil {
			return err
		}
		pool = max(pool, spec.Pool+1)
	}
	t := ebofs.NewTxn()
	t.MkColl(s.coll, ebofs.CollSpec{Shard: layout.NoShard, Pool: pool})
	if err := s.Apply(ctx, t); err != nil {
		return err
	}
	return s.open(ctx)
}

func some(all []ebofs.CollectionID) string {
	const shown = 5
	var names []string
	for i, id := range all {
		if i == shown {
			names = append(names, fmt.Sprintf("and %d more", len(all)-shown))
			break
		}
		names = append(names, strconv.Quote(string(id)))
	}
	return strings.Join(names, ", ")
}

// id returns the object a word of the command line means: a plain object of
// that name, or one whose full text form it is.
func (s *session) id(ctx context.Context, word string) (ebofs.ObjectID, error) {
	plain := ebofs.NewObjectID(s.pool, word)
	if err := plain.Check(); err != nil {
		return plain, err
	}
	if ok, err := s.Exists(ctx, s.coll, plain); err != nil || ok {
		return plain, err
	}
	if full, err := layout.ParseObjectKey(word); err == nil && !isTemp(&full) {
		if ok, err := s.Exists(ctx, s.coll, full); err != nil || ok {
			return full, err
		}
	}
	return plain, &verb.Failure{Code: store.CodeNotFound, Message: fmt.Sprintf("%s: no object %q in collection %q", s.Path, word, s.coll), Err: ebofs.ErrNotFound}
}

// name is the shortest word that means the object.
func (s *session) name(id *ebofs.ObjectID) string {
	if plain := ebofs.NewObjectID(s.pool, id.Name); plain == *id {
		return id.Name
	}
	return id.String()
}

// each lists the collection in pages, but for temporary objects.
func (s *session) each(ctx context.Context, all func(*ebofs.ObjectID) error) error {
	const page = 1000
	fn := func(id *ebofs.ObjectID) error {
		if isTemp(id) {
			return nil
		}
		return all(id)
	}
	var from *ebofs.ObjectID
	for {
		ids, next, err := s.List(ctx, s.coll, from, nil, page)
		if errors.Is(err, ebofs.ErrCorrupt) {
			// What is damaged is named at the end; the rest is listed.
			return s.ListSound(ctx, s.coll, from, fn)
		}
		if err != nil {
			return err
		}
		for i := range ids {
			if err := fn(&ids[i]); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		from = next
	}
}

// printable is s as one word on a line: quoted if it would break the line.
func printable(s string) string {
	if !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) >= 0 {
		return strconv.Quote(s)
	}
	return s
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
