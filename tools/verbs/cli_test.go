package verbs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/osd"
	"ebofs/osd/daemon"
	"ebofs/osd/ebofsstore"
	"ebofs/osd/pg"
	"ebofs/tools/verb"
)

// TestMain lets the test binary be the program, for verbs that start one.
func TestMain(m *testing.M) {
	if os.Getenv("EBOFS_TEST_IS_PROGRAM") != "" {
		s, _ := verb.Process()
		os.Exit(Main(context.Background(), "test", os.Args, s))
	}
	os.Exit(m.Run())
}

// TestGolden replays the command lines of testdata/cli and compares what they
// print, for a person and for a program. Each file is one story in a directory
// of its own. Commands of a script:
//
//	run           each line of input is a command line; stdout follows, lines of
//	              stderr behind "! ", and the exit code if it is not 0
//	run shape     the same with every number as #: amounts that are the engine's
//	              own affair, tested elsewhere
//	file NAME=…   makes a file of the input
//	fill NAME=…   overwrites bytes=N at=N (from the end if negative) with 'Z', or zero,
//	              or text=…
//	osd NAME=…    makes the store in the image that of an OSD of CLUSTER=, with two
//	              placement groups, the second with objects
//	cut NAME=…    makes the file bytes=N long
//	hold NAME=…   has a session write to the store in the image from here on, to the
//	              end of the script or the next release
//
// Times and random ids are replaced; -rewrite writes the files anew.
func TestGolden(t *testing.T) {
	data, err := filepath.Abs("testdata/cli")
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, data, func(t *testing.T, path string) {
		t.Chdir(t.TempDir())
		release := func() {}
		defer func() { release() }()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "run":
				var b strings.Builder
				lines := strings.Split(strings.TrimSpace(d.Input), "\n")
				for _, line := range lines {
					if len(lines) > 1 {
						fmt.Fprintf(&b, "$ %s\n", line)
					}
					out := runLine(t, line)
					if d.HasArg("shape") {
						out = numbers.ReplaceAllString(out, "#")
					}
					b.WriteString(out)
				}
				return b.String()
			case "file":
				var name string
				d.ScanArgs(t, "name", &name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(d.Input), 0o644); err != nil {
					t.Fatal(err)
				}
				at := time.Unix(1700000000, 0)
				if err := os.Chtimes(name, at, at); err != nil {
					t.Fatal(err)
				}
				return ""
			case "fill":
				return fill(t, d)
			case "hold":
				release = hold(t, d)
				return ""
			case "release":
				release()
				release = func() {}
				return ""
			case "osd":
				asOSD(t, d)
				return ""
			case "cut":
				var name string
				var n int64
				d.ScanArgs(t, "name", &name)
				d.ScanArgs(t, "bytes", &n)
				if err := os.Truncate(name, n); err != nil {
					t.Fatal(err)
				}
				return ""
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

// hold stores an object whose content does not end until release is called.
func hold(t *testing.T, d *datadriven.TestData) (release func()) {
	var name string
	d.ScanArgs(t, "name", &name)
	r, w := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- Main(context.Background(), "1.0-test", []string{"ebofs", "object", name, "put", "held", "-"}, verb.Streams{In: r, Err: &errs, RunDir: "run"})
	}()
	// It is mounted once it reads.
	if _, err := w.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	return func() {
		w.Close()
		if code := <-ended; code != 0 || errs.Len() > 0 {
			t.Errorf("%s: exit %d: %s", d.Pos, code, errs.String())
		}
	}
}

// asOSD fills a store as an OSD does.
func asOSD(t *testing.T, d *datadriven.TestData) {
	ctx := context.Background()
	var name, cluster string
	d.ScanArgs(t, "name", &name)
	d.ScanArgs(t, "cluster", &cluster)
	fsid, err := ceph.ParseUUID(cluster)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := devices.OpenFile(name, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := ebofs.Open(ctx, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	st := ebofsstore.New(s)
	var x osd.Transaction
	daemon.Owner{OSD: 4, UUID: ceph.UUID{0: 0x50, 6: 0x40, 8: 0x80}, FSID: fsid}.Make(&x)
	for seed := range uint32(2) {
		pg.Create(&x, ceph.PG{Pool: 1, Seed: seed}, 2, pg.Info{Created: 7})
	}
	at := ceph.MakeTime(time.Unix(1700000000, 0))
	c, log := pg.Collection(ceph.PG{Pool: 1, Seed: 1}), map[string][]byte{}
	for i, name := range []string{"motd", "two\nlines"} {
		hash := uint32(i)<<1 | 1
		h := ceph.HObject{Pool: 1, Hash: hash, Name: name, Snap: ceph.NoSnap}
		x.Write(c, osd.ObjectID{Shard: ceph.NoShard, Pool: 1, Hash: hash, Name: name, Snap: uint64(ceph.NoSnap), Generation: 1<<64 - 1}, 0, []byte("hello, world\n"))
		e := pg.Entry{Version: ceph.EVersion{Version: uint64(i + 1), Epoch: 9}, Object: h, ReqID: ceph.ReqID{Name: ceph.EntityID{Type: ceph.TypeClient, Num: 4123}, Tid: uint64(i + 1)},
			UserVersion: uint64(i + 1), MTime: at, Stats: pg.Stats{Objects: int64(i + 1), Bytes: int64(13 * (i + 1)), Writes: int64(i + 1), WriteKB: int64(i + 1)}}
		var b denc.Encoder
		e.Encode(&b)
		log[fmt.Sprintf("%010d.%020d", 9, i+1)] = b.Bytes()
	}
	maps.Copy(log, pg.PackDups([]*pg.Entry{
		{Version: ceph.EVersion{Version: 8, Epoch: 8}, ReqID: ceph.ReqID{Name: ceph.EntityID{Type: ceph.TypeClient, Num: 4122}, Tid: 5}, UserVersion: 8},
		{Version: ceph.EVersion{Version: 9, Epoch: 8}, ReqID: ceph.ReqID{Name: ceph.EntityID{Type: ceph.TypeClient, Num: 4122}, Tid: 6}, UserVersion: 8, Result: int32(ceph.EEXIST)},
	}))
	x.OmapSet(c, osd.ObjectID{Shard: ceph.NoShard, Pool: 1, Hash: 1, Snap: uint64(ceph.NoSnap), Generation: 1<<64 - 1}, log)
	if err := osd.Apply(ctx, st, &x); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, d *datadriven.TestData) string {
	var name string
	var at, n int64
	d.ScanArgs(t, "name", &name)
	d.ScanArgs(t, "at", &at)
	d.ScanArgs(t, "bytes", &n)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at < 0 {
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		at += st.Size()
	}
	p := bytes.Repeat([]byte("Z"), int(n))
	if d.HasArg("zero") {
		clear(p)
	}
	if d.HasArg("text") {
		var text string
		d.ScanArgs(t, "text", &text)
		p = []byte(text)
	}
	if _, err := f.WriteAt(p, at); err != nil {
		t.Fatal(err)
	}
	return ""
}

// runLine runs one command line in process.
func runLine(t *testing.T, line string) string {
	argv, err := words(line)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	var in string
	if i := len(argv) - 2; i > 0 && argv[i] == "<<<" {
		in, argv = argv[i+1], argv[:i]
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	code := Main(context.Background(), "1.0-test", argv, verb.Streams{In: strings.NewReader(in), Out: &out, Err: &errs, RunDir: "run", Now: func() time.Time { return now }})
	var b strings.Builder
	b.WriteString(normal(out.String()))
	if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
		b.WriteString("\n")
	}
	for l := range strings.Lines(normal(errs.String())) {
		b.WriteString("! " + l)
	}
	if code != 0 {
		fmt.Fprintf(&b, "exit %d\n", code)
	}
	if strings.Contains(line, "--format json ") || strings.HasSuffix(line, "--format json") {
		checkEnvelope(t, line, out.Bytes(), code)
	}
	return b.String()
}

// checkEnvelope expects one JSON object with the fields every result has.
func checkEnvelope(t *testing.T, line string, out []byte, code int) {
	var v struct {
		Schema string           `json:"schema"`
		OK     *bool            `json:"ok"`
		Exit   *int             `json:"exit"`
		Error  *json.RawMessage `json:"error"`
	}
	d := json.NewDecoder(bytes.NewReader(out))
	if err := d.Decode(&v); err != nil || v.OK == nil || v.Exit == nil || *v.Exit != code || *v.OK != (code == 0) || !regexp.MustCompile(`^ebofs(\.[a-z]+)*/1$`).MatchString(v.Schema) {
		t.Errorf("%s: no envelope: %v: %s", line, err, out)
	}
	if d.More() {
		t.Errorf("%s: more than one document: %s", line, out)
	}
}

var (
	ids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	pids    = regexp.MustCompile(`(pid|kill) [0-9]+`)
	lockers = regexp.MustCompile(`locked by [^ ]+ `)
	builds  = regexp.MustCompile(`go1\.[0-9.]+( [a-z]+/[a-z0-9]+)?|"platform":"[a-z]+/[a-z0-9]+"`)
	numbers = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?`)
	nodes   = regexp.MustCompile(`[0-9]+ nodes`)
	commits = regexp.MustCompile(`(commit +)[0-9a-z]+( \(modified\))?`)
)

// normal replaces what differs from run to run. Ids given in the scripts begin
// with "5" and are kept.
func normal(s string) string {
	if dir, err := os.Getwd(); err == nil {
		s = strings.ReplaceAll(s, dir+"/", "<dir>/")
	}
	s = ids.ReplaceAllStringFunc(s, func(id string) string {
		if id[0] == '5' && strings.HasSuffix(id, "000000000000") {
			return id
		}
		return "<id>"
	})
	s = nodes.ReplaceAllString(s, "<n> nodes")
	s = pids.ReplaceAllString(s, "$1 <pid>")
	s = lockers.ReplaceAllString(s, "locked by <program> ")
	s = commits.ReplaceAllString(s, "${1}<commit>")
	return builds.ReplaceAllString(s, "<go>")
}

// words splits a line as a shell would: blanks, single quotes, double quotes
// with Go's escapes.
func words(line string) (ws []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		switch line[0] {
		case '\'':
			w, rest, ok := strings.Cut(line[1:], "'")
			if !ok {
				return nil, fmt.Errorf("%q: quote not closed", line)
			}
			ws, line = append(ws, w), rest
		case '"':
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, err
			}
			w, err := strconv.Unquote(q)
			if err != nil {
				return nil, err
			}
			ws, line = append(ws, w), line[len(q):]
		default:
			w, rest, _ := strings.Cut(line, " ")
			ws, line = append(ws, w), rest
		}
	}
	return ws, nil
}
