package damage

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/fuzz/engine"
	"ebofs/internal/invariants"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the table of verdicts anew")
	soak    = flag.Duration("soak", 0, "try random images for so long")
	seed    = flag.Uint64("seed", 1, "first seed")
	cell    = flag.String("cell", "", `only this cell, "class/way", or the cells that begin so`)
)

// TestMain lets the heap grow: every image opens a store or two.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(engine.Whole(m.Run()))
}

// classes are the rows, in the order of the table.
var classes = []string{
	"label, first", "label, other copies", "superblock, newest", "superblock, older",
	"root record", "zone table", "zone bitmap",
	"log, header of a batch", "log, records", "log, tail",
	"collections, leaf",
	"objects, inner node", "objects, leaf", "onode", "inline data",
	"attrs, inner node", "attrs, leaf", "attrs, long value",
	"omap, inner node", "omap, leaf", "omap, long value",
	"extents, inner node", "extents, leaf", "data", "data, shared",
	"refs, leaf",
}

// floor is how many images are tried at least.
const floor = 25_000

// result is what a cell came to.
type result struct {
	images, found int
	worst         reach
	mended        int   // images that were repaired, or tried to
	refused       int   // of those: the repair ended with an error and changed nothing
	left          reach // what was lost for good, at worst
	errs          []error
}

// from says what the class was repaired from, at worst.
func (r *result) from(class string) string {
	switch {
	case r.mended == 0:
		return "not tried"
	case r.left == believed:
		return "believed"
	case r.refused > 0:
		return "refused"
	case r.left == nothing:
		return sources[class]
	case r.left == tail:
		return "another copy"
	}
	return "another copy of " + r.left.String()
}

// sources are what this device has of a class besides the block itself.
var sources = map[string]string{
	"label, first": "its copies", "label, other copies": "its copies", "superblock, newest": "its copies", "superblock, older": "its copies",
	"collections, leaf": "its objects, lost+found",
	"root record":       "a search for the trees", "zone table": "a recount", "zone bitmap": "a recount", "refs, leaf": "a recount",
	"objects, inner node": "its leaves", "attrs, inner node": "its leaves", "omap, inner node": "its leaves", "extents, inner node": "its leaves",
}

// few is how many images of a cell are repaired, at about equal distances. One is
// enough where the whole device is searched.
func few(class string) int {
	switch sources[class] {
	case "a search for the trees", "its leaves":
		return 1
	}
	return 2
}

// thorough is how many images of a cell share one that is also written to.
const thorough = 20

// tryCell tries the images of one cell. share is the part of them: one in so many.
func (z *zoo) tryCell(ctx context.Context, class, way string, share int, seed uint64) (res result) {
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	t := &trial{z: z, pool: pool, buf: make([]byte, 256<<10)}
	get := func(mem *devices.Mem) func(run) []byte {
		return func(r run) []byte {
			p, err := readRun(ctx, pool, mem, r.start, r.blocks)
			if err != nil {
				panic(err)
			}
			return p
		}
	}
	r := rand.New(rand.NewPCG(seed, uint64(cellNumber(class, way))))
	limit := max(1, budget[way]/share)
	z.images(class, way, limit, r, get(z.mem), get(z.older), func(m image) {
		if len(res.errs) > 2 {
			return
		}
		v, err := t.try(ctx, m, m.number%thorough == 0 || limit <= 8 || z.unclean && m.number%4 == 0)
		if res.images++; v.found {
			res.found++
		}
		res.worst = max(res.worst, v.reach)
		if err == nil && m.number%((limit+1)/few(class)) == 0 && (share == 1 || cellNumber(class, way)%3 == 0) {
			refused, left, e := t.mend(ctx, m)
			if res.mended++; refused {
				res.refused++
			}
			res.left = max(res.left, left)
			err = e
		}
		if err != nil {
			res.errs = append(res.errs, fmt.Errorf("%s, %s, image %d at %d~%d: %w", class, way, m.number, m.at.start, m.at.blocks, err))
		}
	})
	return res
}

func cellNumber(class, way string) int {
	return slices.Index(classes, class)*100 + slices.Index(ways, way)
}

// matrix tries all cells and returns the table.
func matrix(t *testing.T, options engine.Options, share int, seed uint64) (table map[string]result) {
	ctx := context.Background()
	zoos := map[bool]*zoo{}
	for _, unclean := range []bool{false, true} {
		z, err := newZoo(ctx, options, unclean)
		if err != nil {
			t.Fatal(err)
		}
		zoos[unclean] = z
	}
	type job struct{ class, way string }
	jobs := make(chan job)
	table = map[string]result{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range jobs {
				res := zoos[strings.HasPrefix(j.class, "log")].tryCell(ctx, j.class, j.way, share, seed)
				mu.Lock()
				table[j.class+"/"+j.way] = res
				mu.Unlock()
			}
		})
	}
	for _, class := range classes {
		if len(zoos[strings.HasPrefix(class, "log")].rows[class]) == 0 {
			t.Errorf("the zoo has no %s", class)
			continue
		}
		for _, way := range ways {
			if strings.HasPrefix(class+"/"+way, *cell) {
				jobs <- job{class, way}
			}
		}
	}
	close(jobs)
	wg.Wait()
	return table
}

// TestMatrix tries every cell and compares the verdicts with the golden table.
func TestMatrix(t *testing.T) {
	share := 1
	switch {
	case invariants.Enabled:
		share = 1000
	case testing.Short():
		share = 100
	}
	table := matrix(t, options, share, 1)
	var b strings.Builder
	fmt.Fprintf(&b, "# What damage of each kind costs; see the package comment. After -rewrite the diff is\n# the review. found by: fsck, always; fsck or none, where the rest lay in no use.\n# repaired from, at worst: what else this device has, and then nothing is lost;\n# another copy of what is marked or gone; refused, the repair changes nothing.\n#\n")
	fmt.Fprintf(&b, "%-24s %-15s %-14s %-35s %s\n", "# class", "way", "found by", "contained to, at worst", "repaired from")
	images := 0
	for _, class := range classes {
		for _, way := range ways {
			res, ok := table[class+"/"+way]
			if !ok || res.images == 0 && res.errs == nil {
				continue
			}
			images += res.images
			for _, err := range res.errs {
				t.Errorf("%v\n  repeat: go test ./fuzz/damage -run TestMatrix -args -cell %q", err, class+"/"+way)
			}
			found := "nobody"
			if res.found == res.images {
				found = "fsck"
			} else if res.found > 0 {
				found = "fsck or none"
			}
			fmt.Fprintf(&b, "%-24s %-15s %-14s %-35s %s\n", class, way, found, res.worst, res.from(class))
		}
	}
	fmt.Printf("corruption images: %d\n", images)
	if share > 1 || *cell != "" {
		return
	}
	if images < floor {
		t.Errorf("%d images, want %d", images, floor)
	}
	path := filepath.Join("testdata", "verdicts.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := strings.Split(string(want), "\n")
	for i, line := range strings.Split(b.String(), "\n") {
		if i >= len(w) || w[i] != line {
			t.Errorf("line %d of the table is now\n  %s\nand was\n  %s\nif that is right: go test ./fuzz/damage -args -rewrite", i+1, line, at(w, i))
		}
	}
}

// TestWholeStripes tries a share of all cells on stores that write whole stripes
// only. What is in which block is another there, so it is the invariants that count,
// not the table.
func TestWholeStripes(t *testing.T) {
	share := 50
	if testing.Short() || invariants.Enabled {
		share = 1000
	}
	images := 0
	for _, res := range matrix(t, options.OnFlash(), share, 1) {
		images += res.images
		for _, err := range res.errs {
			t.Error(err)
		}
	}
	fmt.Printf("corruption images: %d\n", images)
	if share == 50 && images < 500 {
		t.Errorf("only %d images", images)
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(none)"
}

// TestSoak goes on with other images.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	next, images, failures := *seed, 0, 0
	for began := time.Now(); time.Since(began) < *soak; next++ {
		for _, res := range matrix(t, options, 20, next+1) {
			images += res.images
			failures += len(res.errs)
			for _, err := range res.errs {
				t.Error(err)
			}
		}
	}
	fmt.Printf("soak: seeds %d-%d counts images %d failures %d\n", *seed, next-1, images, failures)
}
