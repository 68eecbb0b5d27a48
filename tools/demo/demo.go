package demo

import (
	"context"

	"github.com/spf13/pflag"

	"ebofs/tools/verb"
)

// Verb describes "demo".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "demo", Short: "a whole cluster on this machine; or one store, killed and checked", Schema: "ebofs.demo/1",
		Long: `Makes a directory with three formatted images and starts a monitor and three OSDs on them in one process, on loopback. It prints how to use it with the stock clients (package ceph-common) and where its status page is, and runs until it is interrupted. Run again, it goes on with what is there; --remove deletes it.

With --tour it shows what happens: the daemons are processes of their own, stock clients write and read through them, one is killed with SIGKILL under load, of another three bytes are flipped on its disk, and fsck says which object that is; at the end a screenshot is taken of the status page, if Chromium is installed.

With --store it shows one store alone: it imports a tree of files by a child process that is killed with SIGKILL half-way, mounts the store again, compares every acknowledged object with its SHA-256, finishes the import, checks everything and draws the map.

Needs no configuration and touches nothing else.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			p := &place{}
			s, l := &story{place: p}, &lab{place: p}
			var tour, alone, remove bool
			fs.StringVar(&p.dir, "dir", "ebofs-demo", "`DIRECTORY` to work in")
			fs.BoolVar(&tour, "tour", false, "show what a cluster does, and end")
			fs.BoolVar(&alone, "store", false, "show what one store does, and end")
			fs.BoolVar(&remove, "remove", false, "delete what an earlier demo made, and nothing else")
			fs.IntVar(&l.osds, "osds", 3, "`N` OSDs")
			fs.IntVar(&l.port, "port", 0, "`PORT` of the monitor; default: one that is free")
			fs.StringVar(&l.http, "http", "", "serve the status page at `ADDR`, or none; default: 127.0.0.1:9283, or the next port that is free")
			fs.StringVar(&l.shot, "screenshot", "", "take a picture of the status page into `FILE`, by Chromium; with --tour: DIRECTORY/page.png unless this says otherwise")
			fs.StringVar(&s.tree, "tree", "", "with --store: import the files below `DIR`; default: the source of Go")
			fs.Var(&s.size, "size", "with --store: `SIZE` of the image; default: 1GiB, or as much as the tree needs")
			fs.BoolVar(&s.noLoop, "no-loop", false, "with --store: use the image itself, also as root")
			return func(ctx context.Context, c *verb.Call) error {
				p.c, p.began = c, c.Now()
				switch {
				case tour && alone || remove && (tour || alone):
					return verb.Usage("--tour, --store and --remove are different things: give one of them")
				case l.osds < 1 || l.osds > 32:
					return verb.Usage("--osds: from 1 to 32")
				case remove:
					return p.removeAll()
				case alone:
					return s.run(ctx)
				case tour:
					return l.tour(ctx)
				}
				return l.serve(ctx)
			}
		},
		Examples: []verb.Example{
			{Command: "ebofs demo --tour", Text: "the whole story, under a minute"},
			{Command: "ebofs demo --store --tree /usr/share --dir /tmp/demo", Text: "one store, other files, another place"},
			{Command: "ebofs demo --remove", Text: "tidies up"},
		},
		SeeAlso: []string{"mon", "osd", "mkfs", "fsck", "map"},
	}
}
