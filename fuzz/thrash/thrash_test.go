package thrash

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ebofs/devices"
)

var (
	soak = flag.Duration("soak", 0, "thrash for so long")
	seed = flag.Uint64("seed", 1, "first seed of it")
)

const diskBytes = 256 << 20

// thrasher is a disk, the program, and a tree to import.
type thrasher struct {
	disk    *disk
	program string
	tree    string
	journal string
	fresh   bool // the disk holds no store yet

	kills, cuts, stores, acked int
}

func newThrasher(t testing.TB) *thrasher {
	t.Helper()
	dir := t.TempDir()
	h := &thrasher{disk: newDisk(t, diskBytes), program: filepath.Join(dir, "ebofs"), tree: filepath.Join(dir, "tree"), journal: filepath.Join(dir, "journal"), fresh: true}
	if out, err := exec.Command("go", "build", "-o", h.program, "ebofs/tools/ebofs").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	r := rand.New(rand.NewPCG(1, 8))
	for i := range 1500 {
		p := make([]byte, r.IntN(3000))
		if i%25 == 0 {
			p = make([]byte, r.IntN(1_000_000))
		}
		for j := range p {
			p[j] = byte(r.Uint32())
		}
		name := filepath.Join(h.tree, fmt.Sprint("dir", i%13), fmt.Sprintf("file %d", i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, p, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// run runs the program to its end.
func (h *thrasher) run(args ...string) error {
	out, err := exec.Command(h.program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ebofs %q: %w\n%s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

// cycle imports for a while, stops it, and looks at what is there.
func (h *thrasher) cycle(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 3))
	if h.fresh {
		if err := errors.Join(h.disk.off(), h.disk.on(devices.NewMem(devices.MemOptions{Blocks: diskBytes / devices.BlockSize}))); err != nil {
			return err
		}
		args := []string{"mkfs", "--quiet", "--log-size", "16MiB", h.disk.path()}
		if h.stores%2 == 1 { // whole stripes only
			args = append(args, "--geometry", "hard", "--stripe", "320KiB", "--unit", "64KiB")
		}
		if err := h.run(args...); err != nil {
			return err
		}
		if err := os.WriteFile(h.journal, nil, 0o600); err != nil {
			return err
		}
		h.fresh, h.stores = false, h.stores+1
	}
	cut := r.IntN(13) < 3
	done, err := h.interrupt(h.lines()+1+r.IntN(400), time.Duration(r.IntN(20_000))*time.Microsecond, cut)
	if err != nil {
		return err
	}
	if cut && !done {
		h.cuts++
		if err := h.disk.powered(seed); err != nil {
			return err
		}
	} else if !done {
		h.kills++
	}
	for _, args := range [][]string{
		{"fsck", "--level", "deep", "-n", h.disk.path()}, // as it was left
		{"object", h.disk.path(), "export", "--verify", h.journal},
	} {
		if err := h.run(args...); err != nil {
			return err
		}
	}
	if h.fresh = done; done {
		h.acked += h.lines()
	}
	return nil
}

// lines counts what imports have reported.
func (h *thrasher) lines() int {
	p, err := os.ReadFile(h.journal)
	if err != nil {
		return 0
	}
	return bytes.Count(p, []byte("\n"))
}

// interrupt imports until so many objects are reported, and stops it a while
// later; done says that it had ended before.
func (h *thrasher) interrupt(objects int, longer time.Duration, cut bool) (done bool, err error) {
	cmd := exec.Command(h.program, "object", h.disk.path(), "import", "--resume", "--acked", h.journal, h.tree)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	finished := func(err error) (bool, error) {
		if err != nil {
			return false, fmt.Errorf("import: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
		}
		return true, nil
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for h.lines() < objects {
		select {
		case err := <-ended:
			return finished(err)
		case <-tick.C:
		}
	}
	select {
	case err := <-ended:
		return finished(err)
	case <-time.After(longer):
	}
	if cut {
		h.disk.cut()
	}
	_ = cmd.Process.Kill()
	<-ended
	return false, nil
}

// TestThrash goes through a hundred kills and thirty power cuts.
func TestThrash(t *testing.T) {
	kills, cuts := 100, 30
	if testing.Short() {
		kills, cuts = 4, 1
	}
	h := newThrasher(t)
	for seed := uint64(1); h.kills < kills || h.cuts < cuts; seed++ {
		if err := h.cycle(seed); err != nil {
			t.Fatalf("cycle %d: %v", seed, err)
		}
		if seed == 500 {
			t.Fatalf("%d kills and %d cuts in %d cycles: imports end too soon", h.kills, h.cuts, seed)
		}
	}
	fmt.Printf("kills: %d power cuts: %d stores: %d acknowledged: %d\n", h.kills, h.cuts, h.stores, h.acked)
}

// TestSoak does the same for long.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	h := newThrasher(t)
	next, failures := *seed, 0
	for began := time.Now(); time.Since(began) < *soak && failures < 5; next++ {
		if err := h.cycle(next); err != nil {
			failures++
			t.Errorf("cycle %d: %v", next, err)
			h.fresh = true
		}
	}
	fmt.Printf("soak: seeds %d-%d counts kills %d cuts %d stores %d failures %d\n", *seed, next-1, h.kills, h.cuts, h.stores, failures)
}
