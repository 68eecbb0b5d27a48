package damage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	metadata "ebofs/ebofs/image"
)

// imagesOfImages is how many damaged stores of a cell are saved and restored.
const imagesOfImages = 4

// TestImages: of a damaged store's image, restored, fsck finds what it finds of the
// store, whatever was damaged and how, and no name, value or data is in it.
func TestImages(t *testing.T) {
	ctx := context.Background()
	limit := imagesOfImages
	if testing.Short() {
		limit = 1
	}
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	tried := 0
	for _, unclean := range []bool{false, true} {
		z, err := newZoo(ctx, options, unclean)
		if err != nil {
			t.Fatal(err)
		}
		get := func(mem *devices.Mem) func(run) []byte {
			return func(r run) []byte {
				p, err := readRun(ctx, pool, mem, r.start, r.blocks)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
		}
		for _, class := range classes {
			if unclean != strings.HasPrefix(class, "log") {
				continue
			}
			for _, way := range ways {
				r := rand.New(rand.NewPCG(*seed, uint64(len(class)*100+len(way))))
				z.images(class, way, limit, r, get(z.mem), get(z.older), func(m image) {
					tried++
					tr := &trial{z: z, pool: pool}
					dev, err := tr.device(ctx, m)
					if err == nil {
						err = imageSame(ctx, dev)
					}
					if err != nil {
						t.Errorf("%s, %s, image %d at %d~%d: %v", class, way, m.number, m.at.start, m.at.blocks, err)
					}
				})
			}
		}
	}
	t.Logf("damaged images saved and restored: %d", tried)
}

// imageSame saves and restores the store on dev and compares what fsck says.
func imageSame(ctx context.Context, dev devices.Device) error {
	var file bytes.Buffer
	want, failed := problems(ctx, dev)
	if _, err := metadata.Save(ctx, dev, &file, metadata.SaveOptions{Seed: [32]byte{5}}); err != nil {
		if failed == "" {
			return fmt.Errorf("save: %w", err)
		}
		return nil
	}
	if err := secret(file.Bytes()); err != nil {
		return err
	}
	to := devices.NewMem(devices.MemOptions{Blocks: dev.Geometry().Blocks})
	if err := metadata.Restore(ctx, bytes.NewReader(file.Bytes()), map[uint8]metadata.Target{0: {Device: to, Fresh: true}}); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	got, again := problems(ctx, to)
	if (failed == "") != (again == "") {
		return fmt.Errorf("the store: %q, its image: %q", failed, again)
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("the store has\n  %s\nits image\n  %s", strings.Join(want, "\n  "), strings.Join(got, "\n  "))
	}
	return nil
}

// problems returns what a full check finds, without names and contents. A block that
// cannot be read is one that is damaged in a restored image.
func problems(ctx context.Context, dev devices.Device) (list []string, failed string) {
	rep, err := check.Run(ctx, dev, check.Options{Level: check.Full, Workers: 1, Replay: func(ctx context.Context) (devices.Device, error) {
		over := devices.NewOverlay(dev, 64<<20)
		s, err := ebofs.Open(ctx, over, ebofs.Options{Inline: true, ReplayImage: true, MemoryBytes: 64 << 20})
		if err != nil {
			return nil, err
		}
		return over, s.Close(ctx)
	}})
	if err != nil {
		return nil, err.Error()
	}
	for i := range rep.Problems {
		p := &rep.Problems[i]
		code := strings.Replace(string(p.Code), "-READ", "-CRC", 1)
		list = append(list, fmt.Sprintf("%s %s %d:%d~%d %d objects", code, p.Tree, p.Device, p.Address, p.Blocks, len(p.Objects)))
	}
	slices.Sort(list)
	return list, ""
}

// secret looks into an image for what must not be there.
func secret(file []byte) error {
	r, err := metadata.NewReader(bytes.NewReader(file))
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, s := range []string{"inline", "sparse", "omap", "attr0", "key0", "_head", "touched"} {
			if i := bytes.Index(e.Data, []byte(s)); i >= 0 {
				return fmt.Errorf("%q in an image, block %d: %q", s, e.Block, e.Data[max(0, i-30):min(len(e.Data), i+30)])
			}
		}
	}
}
