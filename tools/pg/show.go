package pg

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/cluster/ceph"
	"ebofs/osd/pg"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// list is "ls".
type list struct{}

func listFlags(*pflag.FlagSet) job { return list{} }

func (list) writes() bool { return false }

// row is a group in "ls".
type row struct {
	PG         string `json:"pgid"`
	Phase      string `json:"phase"` // "head": whole
	Objects    int64  `json:"num_objects"`
	Bytes      int64  `json:"num_bytes"`
	LastUpdate string `json:"last_update"`
	LogStart   string `json:"log_start"`
	LogSize    int    `json:"log_size"`
}

func (list) run(ctx context.Context, c *verb.Call, s *session) error {
	all, err := s.groups(ctx)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		c.Printf("%-8s %10s %12s  %-14s %s\n", "PG", "OBJECTS", "BYTES", "LAST UPDATE", "LOG")
	}
	for _, g := range all {
		r := row{PG: g.pg.String(), Phase: string(g.phase)}
		if g.phase != pg.Whole {
			c.Row(r)
			c.Printf("%-8s %s was interrupted; what is left is no group: %s\n", r.PG, map[pg.Phase]string{pg.Importing: "an import", pg.Removing: "a removal"}[g.phase], c.Command("pg", s.path, "rm", r.PG))
			continue
		}
		st, err := pg.ReadStored(ctx, s, g.coll, g.pg)
		if err != nil {
			return err
		}
		now := st.Status()
		r.Objects, r.Bytes, r.LastUpdate, r.LogStart, r.LogSize = now.Stats.Objects, now.Stats.Bytes, now.Last.String(), now.LogStart.String(), now.LogEntries
		c.Row(r)
		bounds := "empty"
		if r.LogSize > 0 {
			bounds = fmt.Sprintf("%s..%s, %d requests", r.LogStart, r.LastUpdate, r.LogSize)
		}
		c.Printf("%-8s %10d %12s  %-14s %s\n", r.PG, r.Objects, sizes.Human(uint64(max(0, r.Bytes))), r.LastUpdate, bounds)
	}
	return nil
}

// info is "info".
type info struct{}

func infoFlags(*pflag.FlagSet) job { return info{} }

func (info) writes() bool { return false }

// infoResult has the names of Ceph's pg query.
type infoResult struct {
	PG          string `json:"pgid"`
	LastUpdate  string `json:"last_update"`
	UserVersion uint64 `json:"last_user_version"`
	History     struct {
		Created ceph.Epoch `json:"epoch_created"`
	} `json:"history"`
	Stats struct {
		Version  string  `json:"version"`
		LogStart string  `json:"log_start"`
		LogSize  int     `json:"log_size"`
		LogDups  int     `json:"log_dups_size"`
		Sum      statSum `json:"stat_sum"`
	} `json:"stats"`
	Bits    uint8  `json:"bits"` // how many low bits of the hash are the group's
	OSD     int32  `json:"osd"`
	OSDID   string `json:"osd_fsid"`
	Cluster string `json:"cluster_fsid"`
}

type statSum struct {
	Bytes       int64 `json:"num_bytes"`
	Objects     int64 `json:"num_objects"`
	Clones      int64 `json:"num_object_clones"`
	Whiteouts   int64 `json:"num_whiteouts"`
	OmapObjects int64 `json:"num_objects_omap"`
	Reads       int64 `json:"num_read"`
	ReadKB      int64 `json:"num_read_kb"`
	Writes      int64 `json:"num_write"`
	WriteKB     int64 `json:"num_write_kb"`
}

func (info) run(ctx context.Context, c *verb.Call, s *session) error {
	st, err := s.whole(ctx, c.Args[1])
	if err != nil {
		return err
	}
	o, err := s.owner(ctx)
	if err != nil {
		return err
	}
	now, n := st.Status(), st.Status().Stats
	r := infoResult{PG: st.PG.String(), LastUpdate: now.Last.String(), UserVersion: st.LastUser(), Bits: st.Spec.Bits, OSD: o.OSD, OSDID: o.UUID.String(), Cluster: o.FSID.String()}
	r.History.Created = now.Created
	r.Stats.Version, r.Stats.LogStart, r.Stats.LogSize, r.Stats.LogDups = r.LastUpdate, now.LogStart.String(), now.LogEntries, now.Dups
	r.Stats.Sum = statSum{n.Bytes, n.Objects, n.Clones, n.Whiteouts, n.OmapObjects, n.Reads, n.ReadKB, n.Writes, n.WriteKB}
	c.Set(r)
	c.Printf("pg %s of osd.%d, cluster %s\n", r.PG, r.OSD, r.Cluster)
	c.Printf("created in epoch %d, %d bits of the hash\n", r.History.Created, r.Bits)
	c.Printf("last update %s, last version seen by a client %d\n", r.LastUpdate, r.UserVersion)
	c.Printf("log of %d requests from %s, %d older ones known by their answers\n", now.LogEntries, r.Stats.LogStart, now.Dups)
	c.Printf("%d objects (%d clones, %d with omap, %d whiteouts), %s\n", n.Objects, n.Clones, n.OmapObjects, n.Whiteouts, sizes.Human(uint64(max(0, n.Bytes))))
	c.Printf("%d reads of %d KiB, %d writes of %d KiB\n", n.Reads, n.ReadKB, n.Writes, n.WriteKB)
	return nil
}

// logs is "log".
type logs struct{ last int }

func logFlags(fs *pflag.FlagSet) job {
	j := &logs{}
	fs.IntVar(&j.last, "last", 0, "the newest `N` only; 0: all")
	return j
}

func (*logs) writes() bool { return false }

func (j *logs) check(*verb.Call) error {
	if j.last < 0 {
		return verb.Usage("--last: 0 or more")
	}
	return nil
}

// entry is a request in the log, with Ceph's names.
type entry struct {
	Version string `json:"version"`
	Prior   string `json:"prior_version"`
	Op      string `json:"op"`     // "modify", "error": nothing was changed, or "dup": its entry is trimmed
	Object  string `json:"object"` // of a dup not known any more
	ReqID   string `json:"reqid"`
	Result  int32  `json:"return_code"`
	User    uint64 `json:"user_version"`
	MTime   string `json:"mtime"`
	// Ops are the operations; known of requests that had a result to remember.
	Ops []string `json:"ops"`
}

func (j *logs) run(ctx context.Context, c *verb.Call, s *session) error {
	st, err := s.whole(ctx, c.Args[1])
	if err != nil {
		return err
	}
	list := make([]*pg.Entry, 0, len(st.Entries))
	for i := range st.Entries {
		list = append(list, &st.Entries[i])
	}
	dups := st.Dups()
	if j.last > 0 {
		dups = dups[max(0, len(dups)-max(0, j.last-len(list))):]
		list = list[max(0, len(list)-j.last):]
	}
	for _, e := range dups {
		r := newEntry(e)
		r.Op, r.Prior, r.Object, r.MTime = "dup", "", "", ""
		r.show(c)
	}
	for _, e := range list {
		r := newEntry(e)
		r.show(c)
	}
	return nil
}

func newEntry(e *pg.Entry) entry {
	r := entry{Version: e.Version.String(), Prior: e.Prior.String(), Op: "modify", Object: e.Object.String(), ReqID: e.ReqID.String(), Result: e.Result, User: e.UserVersion, MTime: e.MTime.String(), Ops: []string{}}
	if e.Result < 0 {
		r.Op = "error"
	}
	for _, code := range e.Codes {
		r.Ops = append(r.Ops, code.String())
	}
	return r
}

func (r *entry) show(c *verb.Call) {
	c.Row(*r)
	what := r.Op
	if len(r.Ops) > 0 {
		what += " (" + strings.Join(r.Ops, " ") + ")"
	}
	if r.Result != 0 {
		what += " = " + strconv.Itoa(int(r.Result))
	}
	object := "-"
	if r.Object != "" {
		object = printable(r.Object)
	}
	c.Printf("%-12s %-26s %s  %s\n", r.Version, r.ReqID, object, what)
}

// printable is s as one word on a line.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
