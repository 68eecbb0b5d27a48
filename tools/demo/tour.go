package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ebofs/ebofs/layout"
	"ebofs/tools/blockmap"
	"ebofs/tools/dump"
	"ebofs/tools/fsck"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// toured is the JSON of a tour.
type toured struct {
	Directory    string  `json:"directory"`
	Conf         string  `json:"conf"`
	OSDs         int     `json:"osds"`
	ReadySeconds float64 `json:"ready_seconds"`
	Named        string  `json:"named"` // object that fsck named after its bytes were flipped
	Health       string  `json:"health"`
	Page         string  `json:"page,omitempty"` // file with the picture of the status page
	Seconds      float64 `json:"seconds"`
}

// guide is a tour on its way.
type guide struct {
	*lab
	r     toured
	mon   *process
	osd   []*process
	photo struct {
		name string
		sum  [32]byte
		osd  int
		key  string
	}
}

// tour shows what a cluster does.
func (l *lab) tour(ctx context.Context) (err error) {
	if missing := l.clients("ceph", "rados", "rbd"); missing != "" {
		return &verb.Failure{Code: "E-DEMO", Message: missing, Hint: "Nothing was done. Without it: " + l.c.Command("demo", "--store")}
	}
	if l.dir, err = filepath.Abs(l.dir); err != nil {
		return err
	}
	g := &guide{lab: l, osd: make([]*process, l.osds)}
	defer func() {
		for _, p := range append(g.osd, g.mon) {
			if p != nil {
				err = errors.Join(err, p.stop(syscall.SIGTERM))
			}
		}
	}()
	for _, step := range []func(context.Context) error{g.begin, g.objects, g.disk, g.kill, g.flip, g.mend, g.picture, g.shoot} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Canceled
			}
			return err
		}
	}
	g.r.Directory, g.r.Conf, g.r.OSDs, g.r.Seconds = l.dir, l.cluster.Conf(), l.osds, l.c.Now().Sub(l.began).Seconds()
	l.c.Set(g.r)
	l.c.Printf("\nDone in %s. The cluster is stopped and stays; %s starts it again, %s deletes it.\n", sizes.Duration(l.c.Now().Sub(l.began)),
		l.c.Command("demo", l.flags()...), l.c.Command("demo", append(l.flags(), "--remove")...))
	return nil
}

// begin makes and starts the cluster.
func (g *guide) begin(ctx context.Context) error {
	g.title("a cluster: a monitor and %d OSDs on formatted images, each a process", g.osds)
	if err := g.make(ctx, true); err != nil {
		return err
	}
	start := g.c.Now()
	var err error
	if g.mon, err = g.start("mon", "a"); err != nil {
		return err
	}
	for i := range g.osd {
		if g.osd[i], err = g.start("osd", strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if err := g.wait(ctx, func(s status) bool { return s.OSDs.Up == g.osds }); err != nil {
		return err
	}
	g.r.ReadySeconds = g.c.Now().Sub(start).Seconds()
	g.c.Printf("   all up in %s; for other terminals: export CEPH_CONF=%s\n", sizes.Duration(g.c.Now().Sub(start)), verb.Quote(g.cluster.Conf()))
	for _, args := range [][]string{
		{"osd", "pool", "create", "demo", "32"}, {"osd", "pool", "application", "enable", "demo", "rados"},
	} {
		if _, err := g.client(ctx, "ceph", args...); err != nil {
			return err
		}
	}
	return g.wait(ctx, status.clean)
}

// objects writes and reads with the stock client.
func (g *guide) objects(ctx context.Context) error {
	g.title("objects, written and read by the stock client")
	p := make([]byte, 3<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(p)
	g.photo.name, g.photo.sum = "photo", sha256.Sum256(p)
	file := filepath.Join(g.dir, "photo")
	if err := os.WriteFile(file, p, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"-p", "demo", "put", "photo", file}, {"-p", "demo", "stat", "photo"}, {"-p", "demo", "get", "photo", file + ".back"},
	} {
		if _, err := g.client(ctx, "rados", args...); err != nil {
			return err
		}
	}
	if err := g.same(file+".back", g.photo.sum); err != nil {
		return err
	}
	if _, err := g.ask(ctx, false, "rados", "-p", "demo", "bench", "20", "write", "-b", "4096", "-t", "16", "--max-objects", "1000", "--no-cleanup", "--run-name", "tour"); err != nil {
		return err
	}
	if _, err := g.ask(ctx, false, "rados", "-p", "demo", "bench", "10", "seq", "-t", "16", "--run-name", "tour"); err != nil {
		return err
	}
	g.c.Printf("   1000 objects of 4 KiB written by rados bench, and read back with their contents compared\n")
	return nil
}

// same compares a file with what it must hold.
func (g *guide) same(path string, want [32]byte) error {
	p, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if sha256.Sum256(p) != want {
		return g.failed("%s is not what was written", path)
	}
	g.c.Printf("   SHA-256 as written: %x…\n", want[:6])
	return nil
}

// disk takes a disk image through rbd.
func (g *guide) disk(ctx context.Context) error {
	g.title("a block device image")
	if _, err := g.ask(ctx, false, "ceph", "osd", "pool", "create", "rbd", "32"); err != nil {
		return err
	}
	file := filepath.Join(g.dir, "photo")
	for _, args := range [][]string{
		{"pool", "init", "rbd"}, {"import", "--no-progress", file, "disk"}, {"snap", "create", "--no-progress", "disk@monday"},
		{"info", "disk"}, {"export", "--no-progress", "disk@monday", filepath.Join(g.dir, "disk.back")},
	} {
		if _, err := g.client(ctx, "rbd", args...); err != nil {
			return err
		}
	}
	p, err := os.ReadFile(filepath.Join(g.dir, "disk.back"))
	if err != nil {
		return err
	}
	if sha256.Sum256(p[:min(len(p), 3<<20)]) != g.photo.sum {
		return g.failed("the exported image is not what was imported")
	}
	g.c.Printf("   the exported snapshot is what was imported\n")
	return nil
}

// kill kills an OSD under load.
func (g *guide) kill(ctx context.Context) error {
	g.title("kill -9 of an OSD under load")
	load := make(chan error, 1)
	go func() {
		_, err := g.ask(ctx, false, "rados", "-p", "demo", "bench", "4", "write", "-b", "4096", "-t", "16", "--no-cleanup", "--run-name", "killed")
		load <- err
	}()
	if err := pause(ctx, 1500*time.Millisecond); err != nil {
		<-load
		return err
	}
	g.c.Printf("   rados bench writes; then:\n   $ kill -9 %d   # osd.0\n", g.osd[0].cmd.Process.Pid)
	if err := g.osd[0].stop(syscall.SIGKILL); err != nil {
		return err
	}
	var err error
	if g.osd[0], err = g.start("osd", "0"); err != nil {
		return err
	}
	if err := <-load; err != nil {
		return err
	}
	if _, err := g.ask(ctx, false, "rados", "-p", "demo", "bench", "10", "seq", "-t", "16", "--run-name", "killed"); err != nil {
		return err
	}
	g.c.Printf("   the client went on by itself when osd.0 was back; all it wrote was read back and compared\n")
	return g.wait(ctx, status.clean)
}

// flip stops the OSD that has the photo, changes three bytes of it on the disk, and
// has the store checked.
func (g *guide) flip(ctx context.Context) error {
	g.title("three bytes flipped on a disk, behind everybody's back")
	if err := g.locate(ctx); err != nil {
		return err
	}
	i := g.photo.osd
	if err := g.osd[i].stop(syscall.SIGTERM); err != nil {
		return err
	}
	g.osd[i] = nil
	at, err := g.invert(ctx)
	if err != nil {
		return err
	}
	g.c.Printf("   osd.%d is stopped; 3 bytes at %d of %s are inverted: in the middle of %q\n", i, at, filepath.Base(g.image(i)), g.photo.name)
	var out bytes.Buffer
	g.c.Printf("   $ %s\n", g.c.Command("fsck", "--level", "deep", g.image(i)))
	s := g.c.Streams
	s.Out, s.OutTerminal = &out, false
	code := fsck.Main(ctx, []string{"--level", "deep", g.image(i)}, s)
	g.c.Printf("%s", indented(out.String()))
	if code != 4 || !strings.Contains(out.String(), g.photo.name) {
		return g.failed("fsck ended with %d and did not name %q", code, g.photo.name)
	}
	g.r.Named = g.photo.name
	return nil
}

// locate asks the cluster where the photo is.
func (g *guide) locate(ctx context.Context) error {
	out, err := g.ask(ctx, false, "ceph", "osd", "map", "demo", g.photo.name, "--format", "json")
	if err != nil {
		return err
	}
	var m struct {
		Pool   int    `json:"pool_id"`
		Raw    string `json:"raw_pgid"`
		Acting []int  `json:"acting"`
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return err
	}
	_, hex, _ := strings.Cut(m.Raw, ".")
	hash, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(m.Acting) != 1 || m.Acting[0] >= len(g.osd) {
		return g.failed("`ceph osd map` says %s", out)
	}
	g.photo.osd, g.photo.key = m.Acting[0], fmt.Sprintf("%d:%08x:::%s:head", m.Pool, hash, g.photo.name)
	return nil
}

// invert inverts three bytes in the middle of the photo and returns where they are.
func (g *guide) invert(ctx context.Context) (int64, error) {
	image := g.image(g.photo.osd)
	var out, errs bytes.Buffer
	s := g.c.Streams
	s.Out, s.Err, s.OutTerminal, s.ErrTerminal = &out, &errs, false, false
	if code := dump.Main(ctx, []string{image, "extents", g.photo.key, "--format", "json"}, s); code != 0 {
		return 0, g.failed("where %s lies cannot be seen: %s", g.photo.key, errs.String())
	}
	var d struct {
		Extents []struct {
			Address string `json:"address"` // device:block
			Blocks  uint64 `json:"blocks"`
		} `json:"extents"`
	}
	if err := json.Unmarshal(out.Bytes(), &d); err != nil || len(d.Extents) == 0 {
		return 0, g.failed("where %s lies: %v: %s", g.photo.key, err, out.String())
	}
	x := d.Extents[len(d.Extents)/2]
	_, block, _ := strings.Cut(x.Address, ":")
	b, err := strconv.ParseUint(block, 10, 40)
	if err != nil {
		return 0, g.failed("where %s lies: %q", g.photo.key, x.Address)
	}
	at := int64(b+x.Blocks/2)*layout.BlockSize + 1000
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	var p [3]byte
	_, err = f.ReadAt(p[:], at)
	for i := range p {
		p[i] ^= 0xff
	}
	if err == nil {
		_, err = f.WriteAt(p[:], at)
	}
	return at, errors.Join(err, f.Close())
}

// mend puts the bytes back: there is no other copy to repair from.
func (g *guide) mend(ctx context.Context) error {
	g.title("the bytes put back, and everything clean again")
	if _, err := g.invert(ctx); err != nil {
		return err
	}
	if err := g.verbRun(ctx, "fsck", fsck.Main, "--level", "deep", g.image(g.photo.osd)); err != nil {
		return err
	}
	var err error
	if g.osd[g.photo.osd], err = g.start("osd", strconv.Itoa(g.photo.osd)); err != nil {
		return err
	}
	if err := g.wait(ctx, func(s status) bool { return s.clean() && s.OSDs.Up == g.osds && s.Health.Status == "HEALTH_OK" }); err != nil {
		return err
	}
	file := filepath.Join(g.dir, "photo.back")
	if _, err := g.client(ctx, "rados", "-p", "demo", "get", "photo", file); err != nil {
		return err
	}
	if err := g.same(file, g.photo.sum); err != nil {
		return err
	}
	_, err = g.client(ctx, "ceph", "-s")
	g.r.Health = "HEALTH_OK"
	return err
}

// picture draws what a device is used for.
func (g *guide) picture(ctx context.Context) error {
	g.title("what the device of osd.0 is used for")
	if err := g.osd[0].stop(syscall.SIGTERM); err != nil {
		return err
	}
	g.osd[0] = nil
	return g.verbRun(ctx, "map", blockmap.Main, "--rows", "12", "--png", filepath.Join(g.dir, "map.png"), g.image(0))
}

// shoot goes on with the cluster in one process, and takes a picture of its page.
func (g *guide) shoot(ctx context.Context) (err error) {
	g.title("the same cluster in one process, and its status page")
	for i, p := range append(g.osd, g.mon) {
		if p == nil {
			continue
		}
		if err := p.stop(syscall.SIGTERM); err != nil {
			return err
		}
		if i < len(g.osd) {
			g.osd[i] = nil
		}
	}
	g.mon = nil
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, g.cluster.Stop(stop))
	}()
	if err := g.cluster.Start(ctx); err != nil {
		return err
	}
	if err := g.cluster.WaitClean(ctx); err != nil {
		return err
	}
	if g.shot == "" {
		g.shot = filepath.Join(g.dir, "page.png")
	}
	page, err := g.page()
	if err != nil || page == nil {
		return err
	}
	defer func() { err = errors.Join(err, page.Close()) }()
	g.c.Printf("   %s while rados bench writes\n", page.URL())
	if _, err := g.ask(ctx, false, "rados", "-p", "demo", "bench", "4", "write", "-b", "4096", "-t", "16", "--no-cleanup", "--run-name", "page"); err != nil {
		return err
	}
	switch err := g.screenshot(ctx, page.URL(), g.shot); {
	case errors.Is(err, errNoBrowser):
		g.c.Printf("   %v\n", err)
	case err != nil:
		return err
	default:
		g.r.Page = g.shot
	}
	return nil
}

// status is what a demo looks at of `ceph status`.
type status struct {
	Health struct {
		Status string `json:"status"`
	} `json:"health"`
	OSDs struct {
		Up int `json:"num_up_osds"`
	} `json:"osdmap"`
	PGs struct {
		N      int `json:"num_pgs"`
		States []struct {
			Name  string `json:"state_name"`
			Count int    `json:"count"`
		} `json:"pgs_by_state"`
	} `json:"pgmap"`
}

func (s status) clean() bool {
	n := 0
	for _, st := range s.PGs.States {
		if st.Name == "active+clean" {
			n += st.Count
		}
	}
	return n == s.PGs.N
}

// wait asks the monitor until good is true.
func (g *guide) wait(ctx context.Context, good func(status) bool) error {
	var last string
	for range 120 {
		out, err := g.ask(ctx, false, "ceph", "-s", "--format", "json")
		if err != nil {
			return err
		}
		var s status
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			return err
		}
		if good(s) {
			return nil
		}
		last = out
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
	return g.failed("the cluster does not become well: %s", last)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
