package kill

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

var (
	soak = flag.Duration("soak", 0, "kill children for so long")
	seed = flag.Uint64("seed", 1, "first seed")
)

const imageBytes = 256 << 20

// parent has the image and knows what is on it.
type parent struct {
	shape string // of the store
	image string
	kept  history.Picture // what the runs so far left
	seeds []uint64        // of the collections on it, oldest first

	acked, mounts int // for the report
}

func newParent(t testing.TB, shape string) *parent {
	t.Helper()
	p := &parent{shape: shape, image: filepath.Join(t.TempDir(), "image"), kept: history.Picture{}}
	dev, err := devices.OpenFile(p.image, devices.FileOptions{CreateBytes: imageBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if err := engine.Format(context.Background(), dev, shapes[shape]); err != nil {
		t.Fatal(err)
	}
	return p
}

// lines is what a child said.
type lines struct {
	queued  [workers]int // transactions of each worker
	refused [workers]map[int]bool
	acked   [workers]map[int]bool
	total   int
}

// spawn runs a child until it has reported so many commits, and some random time
// longer, and kills it. It returns all that the child said.
func (p *parent) spawn(what string, commits int, longer time.Duration) (*lines, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+p.shape+" "+what+" "+p.image)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := &lines{}
	for w := range workers {
		said.refused[w], said.acked[w] = map[int]bool{}, map[int]bool{}
	}
	kill := func() { _ = cmd.Process.Kill() }
	var timer *time.Timer
	if commits == 0 {
		timer = time.AfterFunc(longer, kill)
	}
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			if err != io.EOF {
				kill()
			}
			break // a line cut short was never said
		}
		var kind string
		var worker, i int
		if n, _ := fmt.Sscanf(line, "%s %d %d", &kind, &worker, &i); n != 3 {
			continue
		}
		switch kind {
		case "q":
			said.queued[worker] = i + 1
		case "n":
			said.refused[worker][i] = true
		case "a":
			said.acked[worker][i] = true
			if said.total++; said.total == commits {
				timer = time.AfterFunc(longer, kill)
			}
		}
	}
	err = cmd.Wait()
	if timer != nil {
		timer.Stop()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, fmt.Errorf("child failed: %s", bytes.TrimSpace(stderr.Bytes()))
	}
	return said, nil
}

// history of one worker, and the step that each of its transactions became.
func (l *lines) history(ctx context.Context, seed uint64, worker int) (*history.History, func(step int) bool, error) {
	h := history.New()
	var step []int
	for i := range l.queued[worker] {
		if l.refused[worker][i] {
			continue
		}
		if err := h.Submit(ctx, transaction(seed, worker, i)); err != nil {
			return nil, nil, err
		}
		step = append(step, i)
	}
	return h, func(s int) bool { return l.acked[worker][step[s-1]] }, nil
}

// run is one child, its death and what is found.
func (p *parent) run(ctx context.Context, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 6))
	said, err := p.spawn(fmt.Sprint(seed), 1+r.IntN(600), time.Duration(r.IntN(20_000))*time.Microsecond)
	if err != nil {
		return err
	}
	for range r.IntN(3) / 2 * (1 + r.IntN(3)) {
		p.mounts++
		if _, err := p.spawn("mount", 0, time.Duration(r.IntN(60_000))*time.Microsecond); err != nil {
			return err
		}
	}

	dev, err := devices.OpenFile(p.image, devices.FileOptions{})
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := engine.Check(ctx, dev, true, true); err != nil {
		return fmt.Errorf("before the mount: %w", err)
	}
	s, err := engine.Open(ctx, dev, shapes[p.shape])
	if err != nil {
		return err
	}
	found, err := history.Draw(ctx, s, history.Options{})
	if err != nil {
		return err
	}
	if err := p.compare(ctx, seed, said, found); err != nil {
		return err
	}
	// The oldest runs make room for the next.
	for p.seeds = append(p.seeds, seed); len(p.seeds) > 2; p.seeds = p.seeds[1:] {
		if err := drop(ctx, s, p.seeds[0], p.kept); err != nil {
			return fmt.Errorf("removing run %d: %w", p.seeds[0], err)
		}
	}
	if err := s.Close(ctx); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := engine.Check(ctx, dev, true, false); err != nil {
		return fmt.Errorf("after the mount: %w", err)
	}
	return nil
}

// compare checks the collections of the last run and of those before, and makes
// what was found what is to be kept.
func (p *parent) compare(ctx context.Context, seed uint64, said *lines, found history.Picture) error {
	for w := range workers {
		c := collection(seed, w)
		h, acked, err := said.history(ctx, seed, w)
		if err != nil {
			return err
		}
		one := history.Picture{}
		if found[c] != nil {
			one[c] = found[c]
		}
		if err := h.Check(one, h.Submitted(), acked); err != nil {
			return err
		}
		delete(found, c)
		for c, pic := range one {
			defer func() { p.kept[c] = pic }()
		}
	}
	for c, pic := range p.kept {
		if err := history.Same(c, found[c], pic); err != nil {
			return fmt.Errorf("of an earlier run: %w", err)
		}
	}
	if len(found) != len(p.kept) {
		return fmt.Errorf("%d collections of earlier runs, want %d", len(found), len(p.kept))
	}
	p.acked += said.total
	return nil
}

// drop removes the collections of a run.
func drop(ctx context.Context, s *engine.Store, seed uint64, kept history.Picture) error {
	for w := range workers {
		c := collection(seed, w)
		if kept[c] == nil {
			continue
		}
		t := new(osd.Transaction)
		for _, id := range slices.SortedFunc(maps.Keys(kept[c].Objects), osd.ObjectID.Compare) {
			t.Remove(c, id)
		}
		u := new(osd.Transaction)
		u.RmColl(c)
		if err := errors.Join(osd.Apply(ctx, s, t), osd.Apply(ctx, s, u)); err != nil {
			return err
		}
		delete(kept, c)
	}
	return nil
}

// TestKill kills a few children.
func TestKill(t *testing.T) {
	for shape, runs := range map[string]uint64{"plain": 4, "direct": 4, "raid": 4, "flash": 4} {
		t.Run(shape, func(t *testing.T) {
			if testing.Short() {
				runs = 1 + runs/4
			}
			p := newParent(t, shape)
			for seed := range runs {
				if err := p.run(context.Background(), seed+1); err != nil {
					t.Fatalf("run %d: %v", seed+1, err)
				}
			}
			t.Logf("%d runs, %d mounts killed, %d transactions acknowledged", runs, p.mounts, p.acked)
			if p.acked < int(runs) {
				t.Error("children were killed before they did anything")
			}
		})
	}
}

// TestSoak kills many, every third of them an import by the program.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	next, failures := *seed, 0
	names := slices.Sorted(maps.Keys(shapes))
	p, acked, mounts := newParent(t, names[*seed%uint64(len(names))]), 0, 0
	m := newImporter(t)
	tree := m.tree(t)
	for began := time.Now(); time.Since(began) < *soak && failures < 5; next++ {
		if next%3 == 0 {
			if err := m.run(tree, next); err != nil {
				failures++
				t.Errorf("import %d: %v", next, err)
			}
		} else if err := p.run(context.Background(), next); err != nil {
			failures++
			kept := fmt.Sprintf("%s/ebofs-kill-%d.image", os.TempDir(), next)
			t.Errorf("run %d: %v\n  image: %s", next, err, kept)
			if err := os.Rename(p.image, kept); err != nil {
				t.Error(err)
			}
			acked, mounts = acked+p.acked, mounts+p.mounts
			p = newParent(t, names[next%uint64(len(names))])
		}
	}
	fmt.Printf("soak: seeds %d-%d counts runs %d mounts killed %d acknowledged %d failures %d\n",
		*seed, next-1, next-*seed, mounts+p.mounts, acked+p.acked+m.acked, failures)
}
