package pg

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"

	"ebofs/osd/pg"
	"ebofs/osd/pgfile"
	"ebofs/tools/output"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// moved is the JSON of "export" and "import".
type moved struct {
	PG      string  `json:"pgid"`
	File    string  `json:"file"`
	Objects int64   `json:"objects"` // clones included
	Bytes   int64   `json:"bytes"`
	Cluster string  `json:"cluster_fsid"`
	OSD     int32   `json:"osd"` // it comes from
	Made    string  `json:"made"`
	Seconds float64 `json:"seconds"`
}

// export is "export".
type export struct{ force bool }

func exportFlags(fs *pflag.FlagSet) job {
	j := &export{}
	fs.BoolVarP(&j.force, "force", "f", false, "replace FILE")
	return j
}

func (*export) writes() bool { return false }

func (j *export) check(c *verb.Call) error {
	path := c.Args[2]
	if path == "-" {
		if !c.Plain() {
			return verb.Usage("--format: stdout is the file")
		}
		return nil
	}
	logPath, _ := c.Flags.GetString("log")
	if err := output.Check(path, c.Args[0], logPath); err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && !j.force {
		return &verb.Failure{Code: store.CodeExists, Message: path + ": there is such a file already", Hint: "Nothing was written. Give another name, or --force.", Err: fs.ErrExist}
	}
	return nil
}

func (j *export) run(ctx context.Context, c *verb.Call, s *session) error {
	st, err := s.whole(ctx, c.Args[1])
	if err != nil {
		return err
	}
	o, err := s.owner(ctx)
	if err != nil {
		return err
	}
	start, path := c.Now(), c.Args[2]
	h := pgfile.Header{Cluster: o.FSID, OSDID: o.UUID, OSD: o.OSD, PG: st.PG, Made: start}
	m := meter(c, s.path, "export", max(0, st.Status().Stats.Bytes))
	defer m.Stop()
	if path == "-" {
		_, err := pgfile.Export(ctx, s, h, c.Binary(), m.Add)
		return err
	}
	f, err := output.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	sum, err := pgfile.Export(ctx, s, h, b, m.Add)
	if err == nil {
		err = b.Flush()
	}
	m.Stop()
	if err := f.Done(store.Explain(c, s.path, err)); err != nil {
		return err
	}
	report(c, path, &h, sum, start, "%s: pg %s: %d objects, %s in %s\n", path)
	return nil
}

// report prints and sets the result. One of the objects in a file is the group's
// log.
func report(c *verb.Call, file string, h *pgfile.Header, sum pgfile.Summary, start time.Time, format, what string) {
	r := moved{PG: h.PG.String(), File: file, Objects: sum.Objects - 1, Bytes: sum.Bytes, Cluster: h.Cluster.String(), OSD: h.OSD, Made: h.Made.UTC().Format(time.RFC3339), Seconds: c.Now().Sub(start).Seconds()}
	c.Set(r)
	c.Printf(format, what, r.PG, r.Objects, sizes.Human(uint64(r.Bytes)), sizes.Duration(time.Duration(r.Seconds*float64(time.Second))))
}

// importing is "import".
type importing struct{}

func importFlags(*pflag.FlagSet) job { return importing{} }

func (importing) writes() bool { return true }

// check reads the header before the store is opened.
func (importing) check(c *verb.Call) error {
	if c.Args[1] == "-" {
		return nil
	}
	f, err := os.Open(c.Args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := pgfile.NewReader(f); err != nil {
		return &verb.Failure{Code: codeFile, Message: fmt.Sprintf("%s: %v", c.Args[1], err), Hint: "Nothing was written.", Err: err}
	}
	return nil
}

func (importing) run(ctx context.Context, c *verb.Call, s *session) error {
	o, err := s.owner(ctx)
	if err != nil {
		return err
	}
	path, in, size := c.Args[1], c.In, int64(0)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			size = st.Size()
		}
		in = io.Reader(f)
	}
	start := c.Now()
	r, err := pgfile.NewReader(in)
	if err != nil {
		return explainFile(s, path, nil, err)
	}
	m := meter(c, s.path, "import", size)
	defer m.Stop()
	sum, err := pgfile.Import(ctx, s, o.FSID, r, m.Add)
	m.Stop()
	if err != nil {
		return explainFile(s, path, &r.Header, err)
	}
	report(c, path, &r.Header, sum, start, "%s: pg %s imported: %d objects, %s in %s\n", s.path)
	return nil
}

// removal is "rm".
type removal struct{ force bool }

func removeFlags(fs *pflag.FlagSet) job {
	j := &removal{}
	fs.BoolVarP(&j.force, "force", "f", false, "remove a group that holds objects; what is no group any more goes without")
	return j
}

func (*removal) writes() bool { return true }

// removed is its JSON.
type removed struct {
	PG      string `json:"pgid"`
	Objects int64  `json:"objects"`
}

func (j *removal) run(ctx context.Context, c *verb.Call, s *session) error {
	id, err := parse(c.Args[1])
	if err != nil {
		return err
	}
	all, err := s.groups(ctx)
	if err != nil {
		return err
	}
	r, there := removed{PG: id.String()}, false
	m := meter(c, s.path, "remove", 0)
	defer m.Stop()
	for _, g := range all {
		if g.pg != id {
			continue
		}
		there = true
		if g.phase == pg.Whole && !j.force {
			m.Stop()
			return j.refuse(ctx, c, s, g)
		}
		err := pg.Remove(ctx, s, id, g.phase, func(n int) {
			r.Objects += int64(n)
			m.Add(int64(n), 0)
		})
		if err != nil {
			return err
		}
	}
	m.Stop()
	if !there {
		return s.missing(id, nil)
	}
	c.Set(r)
	c.Printf("%s: pg %s removed: %d objects with that of its log\n", s.path, r.PG, r.Objects)
	return nil
}

// refuse says what would go.
func (*removal) refuse(ctx context.Context, c *verb.Call, s *session, g found) error {
	what := "what cannot be read"
	if st, err := pg.ReadStored(ctx, s, g.coll, g.pg); err == nil {
		n := st.Status().Stats
		what = fmt.Sprintf("%d objects, %s, last changed by %v", n.Objects, sizes.Human(uint64(max(0, n.Bytes))), st.Status().Last)
	}
	id := g.pg.String()
	return &verb.Failure{Code: codeData, Message: fmt.Sprintf("%s: pg %s holds %s", s.path, id, what),
		Hint: fmt.Sprintf("Nothing was removed. To keep a copy: %s\nTo remove it: %s", c.Command("pg", s.path, "export", id, id+".pg"), c.Command("pg", s.path, "rm", "--force", id))}
}
