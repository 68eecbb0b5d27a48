package repair

import (
	"bytes"
	"fmt"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs"
)

// TestInterrupted crashes a repair at each of its writes and flushes, with what was
// not flushed lost, kept and torn, and some of the repairs of what that left once
// more. The repair is run again: the result is as good as that of one that was not
// interrupted. Until then nothing is worse than before the first. And the two undo
// files, newest first, bring back the image before the first.
func TestInterrupted(t *testing.T) {
	o, x := sample(), cloned()
	base, wantLog := unclean(t)
	cases := []struct {
		name string
		dev  *devices.Mem
		want map[string]*content
		harm func(dev devices.Device)
		lost bool // something is lost in any case
	}{
		{"label and slots", o.dev, o.want, func(d devices.Device) { change(t, d, 0, 1, clearAll); change(t, d, 768, 1, clearAll) }, false},
		{"zone table", o.dev, o.want, func(d devices.Device) { p := place1("zone table"); change(t, d, p.block, p.blocks, clearAll) }, false},
		{"objects inner", o.dev, o.want, func(d devices.Device) { p := place1("objects inner"); change(t, d, p.block, p.blocks, clearAll) }, false},
		{"extents inner", o.dev, o.want, func(d devices.Device) { p := place1("extents inner"); change(t, d, p.block, p.blocks, clearAll) }, false},
		{"extents leaf", o.dev, o.want, func(d devices.Device) { p := place1("extents leaf"); change(t, d, p.block, p.blocks, clearAll) }, true},
		{"superblocks", o.dev, o.want, func(d devices.Device) { destroy(t, d, clearAll) }, false},
		{"superblocks, root record", o.dev, o.want, func(d devices.Device) {
			destroy(t, d, clearAll)
			p := place1("root record")
			change(t, d, p.block, p.blocks, clearAll)
		}, false},
		{"refs inner", x.dev, x.want, func(d devices.Device) { p := x.first("refs inner"); change(t, d, p.block, p.blocks, clearAll) }, false},
		{"clones: superblocks, root record", x.dev, x.want, func(d devices.Device) {
			destroy(t, d, clearAll)
			p := x.first("root record")
			change(t, d, p.block, p.blocks, clearAll)
		}, false},
		{"shared data", x.dev, x.want, func(d devices.Device) { p := x.first("shared data"); change(t, d, p.block, p.blocks, clearAll) }, true},
		{"log", base, wantLog, func(d devices.Device) { change(t, d, 0, 1, clearAll) }, false},
		{"superblocks, log", base, wantLog, func(d devices.Device) { destroy(t, d, clearAll) }, false},
	}
	states, nested := 0, 0
	for _, c := range cases {
		if testing.Short() && c.name != "zone table" && c.name != "superblocks" && c.name != "refs inner" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			image := c.dev.Snapshot()
			c.harm(image)
			was := image.Hash()
			mounts := func(dev *devices.Mem) bool {
				s, err := ebofs.Open(bg, dev, ebofs.Options{Inline: true})
				return err == nil && s.Close(bg) == nil
			}
			hurtFirst, mounted := map[string]bool{}, mounts(image.Snapshot())
			if mounted {
				hurtFirst = compare(t, image.Snapshot(), c.want)
			}
			dev := crashdev.New(image)
			file := new(memFile)
			opt := Options{Mode: All, Overwrite: true, Deep: true}
			if _, err := runUndo(dev, file, opt); err != nil {
				t.Fatal(err)
			}
			file = unfinished(t, file)
			hurtBefore := len(compare(t, dev.Snapshot(), c.want))
			if (hurtBefore > 0) != c.lost {
				t.Fatalf("%d objects hurt", hurtBefore)
			}
			// finish repairs a state and takes all repairs back, this one first.
			finish := func(what string, mem *devices.Mem, older ...*memFile) {
				last := new(memFile)
				if _, err := runUndo(mem, last, opt); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				clean(t, mem)
				if hurt := compare(t, mem, c.want); len(hurt) != hurtBefore {
					t.Errorf("%s: %d objects hurt: %v", what, len(hurt), hurt)
				}
				if t.Failed() {
					t.Fatal(what)
				}
				for _, f := range append([]*memFile{last}, older...) {
					if len(f.p) == 0 {
						continue
					}
					if _, err := ApplyUndo(bg, f, mem); err != nil {
						t.Fatalf("%s: undo: %v", what, err)
					}
				}
				if mem.Hash() != was {
					t.Fatalf("%s: undo: the image is not what it was", what)
				}
			}
			seen := new(crashdev.Seen)
			points := dev.Points()
			every := max(1, len(points)/40)
			for i, p := range points {
				if i%every != 0 && i < len(points)-12 {
					continue
				}
				for state := range dev.States(p, crashdev.Policy{Seen: seen, Limit: 12}) {
					if mounted {
						if !mounts(state.Snapshot()) {
							t.Fatalf("%v: the store cannot be mounted any more", state)
						}
						for name := range compare(t, state.Snapshot(), c.want) {
							if !hurtFirst[name] {
								t.Fatalf("%v: object %s cannot be read any more", state, name)
							}
						}
					}
					if states++; states%7 == 0 {
						inner, undo := crashAgain(t, state.Mem, opt, uint64(states))
						finish(fmt.Sprintf("%v: repaired again: %v", state, inner), inner.Mem, undo, file)
						nested++
					}
					finish(state.String(), state.Mem, file)
				}
			}
		})
	}
	fmt.Printf("crash states: %d nested: %d\n", states+nested, nested)
}

// crashAgain repairs a copy of mem and crashes that, too. It returns the undo file
// with the state.
func crashAgain(t *testing.T, mem *devices.Mem, opt Options, seed uint64) (*crashdev.State, *memFile) {
	t.Helper()
	dev, undo := crashdev.New(mem), new(memFile)
	if _, err := runUndo(dev, undo, opt); err != nil {
		t.Fatal(err)
	}
	undo = unfinished(t, undo)
	points := dev.Points()
	if len(points) == 0 { // nothing was left to repair
		return dev.Clone(seed), undo
	}
	var last *crashdev.State
	for st := range dev.States(points[seed*7919%uint64(len(points))], crashdev.Policy{Limit: 3, Seed: seed}) {
		last = st
	}
	return last, undo
}

// unfinished returns an undo file as it was before its repair came to the end.
func unfinished(t *testing.T, f *memFile) *memFile {
	t.Helper()
	f = &memFile{bytes.Clone(f.p)}
	if len(f.p) == 0 {
		return f
	}
	u, err := openUndo(f)
	if err == nil {
		u.finished = false
		err = u.commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func clearAll(p []byte) { clear(p) }
