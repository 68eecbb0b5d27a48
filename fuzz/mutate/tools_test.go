package mutate

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/tools/blockmap"
	"ebofs/tools/dump"
	"ebofs/tools/image"
	"ebofs/tools/object"
	"ebofs/tools/verb"
)

// audience is who reads what a command prints, and leaves after as many bytes: damage
// can make an object of any size.
type audience struct{ left int }

// Write returns an error once the audience has left.
func (a *audience) Write(p []byte) (int, error) {
	if a.left -= len(p); a.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// toolTarget is a fuzz target that runs a command line on an image file of a damaged
// store: one of commands, which are given its path. The first byte of the input says
// which, beside the store.
func toolTarget(f *testing.F, main func(context.Context, []string, verb.Streams) int, commands func(path string, s *Store) [][]string) {
	seed(f)
	limit := new(Limit)
	var files imageFiles
	f.Cleanup(func() { files.remove(f) })
	f.Fuzz(func(t *testing.T, p []byte) {
		s, changes, err := Of(p)
		if err != nil {
			t.Fatal(err)
		}
		if s == nil {
			return
		}
		path := files.of(t, s)
		list := commands(path, s)
		n := int(p[0]) / 2 % len(list)
		run := func(ctx context.Context) {
			if code := main(ctx, list[n], verb.Streams{In: bytes.NewReader(nil), Out: &audience{8 << 20}, Err: io.Discard, Program: "ebofs"}); code < 0 || code > 130 {
				t.Fatalf("%v: exit code %d", list[n], code)
			}
		}
		limit.Run(t, s, n, run, func(ctx context.Context) {
			files.change(t, path, changes)
			run(ctx)
			files.restore(t, path, s, changes)
		})
	})
}

// imageFiles are the stores as files, made once; what is damaged is made good again.
type imageFiles struct {
	mu    sync.Mutex
	dir   string
	paths map[*Store]string
}

func (f *imageFiles) of(t testing.TB, s *Store) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if path := f.paths[s]; path != "" {
		return path
	}
	if f.paths == nil {
		f.paths = make(map[*Store]string)
		dir, err := os.MkdirTemp("", "mutate")
		if err != nil {
			t.Fatal(err)
		}
		f.dir = dir
	}
	path := filepath.Join(f.dir, strconv.Itoa(len(f.paths))+".img")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(DeviceBytes); err != nil {
		t.Fatal(err)
	}
	const step = 256
	for b := uint64(0); b < DeviceBytes/devices.BlockSize; b += step {
		p, err := read(s.Mem, b, step)
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.Trim(p, "\x00")) == 0 {
			continue
		}
		if _, err := file.WriteAt(p, int64(b)*devices.BlockSize); err != nil {
			t.Fatal(err)
		}
	}
	f.paths[s] = path
	return path
}

// change writes changes into a file.
func (f *imageFiles) change(t testing.TB, path string, changes []Change) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range changes {
		if _, err := file.WriteAt(c.Data, int64(c.Start)*devices.BlockSize); err != nil {
			t.Fatal(err)
		}
	}
}

// restore takes changes back.
func (f *imageFiles) restore(t testing.TB, path string, s *Store, changes []Change) {
	was := make([]Change, len(changes))
	for i, c := range changes {
		p, err := read(s.Mem, c.Start, uint64(len(c.Data)/devices.BlockSize))
		if err != nil {
			t.Fatal(err)
		}
		was[i] = Change{c.Start, p}
	}
	f.change(t, path, was)
}

func (f *imageFiles) remove(t testing.TB) {
	if f.dir != "" {
		if err := os.RemoveAll(f.dir); err != nil {
			t.Error(err)
		}
	}
}

// FuzzDump runs every action of dump, the nodes of all trees included.
func FuzzDump(f *testing.F) {
	toolTarget(f, dump.Main, func(path string, s *Store) [][]string {
		list := [][]string{
			{path, "super"}, {path, "label"}, {path, "log"}, {path, "free"}, {path, "zones"}, {path, "epochs"},
			{path, "object", Object(Big).Name}, {path, "object", Object(3).Name}, {path, "extents", Object(Big).Name}, {path, "extents", Object(Big + 2).Name},
			{path, "--format", "json", "super"}, {path, "--format", "jsonl", "tree", "objects"},
		}
		for _, t := range []string{"collections", "objects", "trash", "refs", "owners"} {
			list = append(list, []string{path, "tree", t})
		}
		for _, class := range s.classes {
			first := s.all[s.places[class][0]]
			list = append(list, []string{path, "node", layout.MakeAddr(0, first.start).String()})
		}
		return list
	})
}

// FuzzMap draws the picture of a store, with a check of it and without.
func FuzzMap(f *testing.F) {
	toolTarget(f, blockmap.Main, func(path string, _ *Store) [][]string {
		return [][]string{{path}, {"--check", "full", path}, {"--format", "json", path}}
	})
}

// FuzzObject lists, reads and examines objects.
func FuzzObject(f *testing.F) {
	toolTarget(f, object.Main, func(path string, _ *Store) [][]string {
		list := [][]string{{path, "-c", string(Coll), "ls"}, {path, "-c", string(Coll), "ls", "--full"}}
		for _, n := range []int{0, Big, Big + 1, Big + 2, 5, 6, 900} {
			name := Object(n).Name
			for _, verb := range []string{"stat", "attr", "omap", "get"} {
				list = append(list, []string{path, "-c", string(Coll), verb, name})
			}
		}
		return list
	})
}

// FuzzImageVerb saves an image file by the verb.
func FuzzImageVerb(f *testing.F) {
	toolTarget(f, image.Main, func(path string, _ *Store) [][]string {
		return [][]string{{"save", "--force", path, path + ".image"}}
	})
}
