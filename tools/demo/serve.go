package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ebofs/tools/daemon"
	"ebofs/tools/local"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// lab is a demo of a cluster.
type lab struct {
	*place
	osds, port int
	http, shot string
	cluster    *local.Cluster
}

// imageBytes and memory of each OSD of a demo.
const (
	imageBytes = 1 << 30
	memory     = 256 << 20
)

// make makes the cluster, or finds the one that an earlier demo made.
func (l *lab) make(ctx context.Context, fresh bool) error {
	if err := l.idle(); err != nil {
		return err
	}
	if err := l.prepare(fresh); err != nil {
		return err
	}
	var err error
	l.cluster, err = local.Make(ctx, local.Options{
		Dir: l.dir, OSDs: l.osds, OSDBytes: imageBytes, Port: l.port, Memory: memory,
		Tuning: daemon.Tuning{Fast: true, Report: 500 * time.Millisecond}, Log: l.c.Log, Now: l.c.Now,
	})
	if err != nil {
		return err
	}
	if n := len(l.cluster.OSDs); n != l.osds {
		if l.c.Flags.Changed("osds") {
			return &verb.Failure{Code: "E-DEMO", Message: fmt.Sprintf("%s: this demo has %d OSDs, not %d", l.dir, n, l.osds),
				Hint: "Nothing was started. For another number: " + l.c.Command("demo", append(l.flags(), "--remove")...)}
		}
		l.osds = n
	}
	return nil
}

// served is the JSON of a demo that ran until it was interrupted.
type served struct {
	Directory    string  `json:"directory"`
	Conf         string  `json:"conf"`
	OSDs         int     `json:"osds"`
	ReadySeconds float64 `json:"ready_seconds"`
	Page         string  `json:"page,omitempty"` // address of the status page
}

// serve runs the cluster in this process.
func (l *lab) serve(ctx context.Context) (err error) {
	if err := l.make(ctx, false); err != nil {
		return err
	}
	store.TuneHeap(int64(l.osds) * memory)
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, l.cluster.Stop(stop))
	}()
	if err := l.cluster.Start(ctx); err != nil {
		return daemon.Explain(l.c, err)
	}
	if _, err := l.cluster.Command(ctx, "osd pool create", "pool", "demo", "pg_num", 32); err != nil {
		return err
	}
	if _, err := l.cluster.Command(ctx, "osd pool application enable", "pool", "demo", "app", "rados"); err != nil {
		return err
	}
	if err := l.cluster.WaitClean(ctx); err != nil {
		return err
	}
	ready := l.c.Now().Sub(l.began)
	page, err := l.page()
	if err != nil {
		return err
	}
	url := ""
	if page != nil {
		defer func() { err = errors.Join(err, page.Close()) }()
		url = page.URL()
	}
	l.c.Printf("A cluster in %s: a monitor, %d OSDs of %s, pool demo; ready in %s.\n\n", l.dir, l.osds, sizes.Human(imageBytes), sizes.Duration(ready))
	l.c.Printf("   export CEPH_CONF=%s\n", verb.Quote(l.cluster.Conf()))
	l.c.Printf("   ceph -s\n   rados -p demo put motd /etc/os-release && rados -p demo get motd -\n\n")
	if url != "" {
		l.c.Printf("Its status page: %s\n\n", url)
	}
	if l.shot != "" {
		if err := l.screenshot(ctx, url, l.shot); err != nil {
			return err
		}
	}
	if missing := l.clients("ceph", "rados"); missing != "" {
		l.c.Printf("%s\n", missing)
	}
	l.c.Printf("Ctrl-C stops it; run again it goes on. %s deletes it.\n", l.c.Command("demo", append(l.flags(), "--remove")...))
	l.c.Flush()
	<-ctx.Done()
	l.c.Set(served{l.dir, l.cluster.Conf(), l.osds, ready.Seconds(), url})
	return nil
}

// flags are those that name this demo's directory.
func (l *lab) flags() []string {
	if l.dir == "ebofs-demo" {
		return nil
	}
	return []string{"--dir", l.dir}
}

// clients says how to install the stock clients, if one is missing.
func (l *lab) clients(names ...string) string {
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			return fmt.Sprintf("%s is not installed: apt-get install ceph-common", n)
		}
	}
	return ""
}

// image is the path of the device of an OSD.
func (l *lab) image(i int) string { return filepath.Join(l.dir, fmt.Sprintf("osd.%d.img", i)) }

// indented puts three blanks before each line of a text.
func indented(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("   " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}
