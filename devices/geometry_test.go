package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cockroachdb/datadriven"
)

// TestGeometry probes small sysfs trees. Each line of input is a path, an
// equals sign and the content of the file, or "->" and the target of a link.
// Arguments: dev, the device number; size, in KiB. "reported" lists what the
// device says of itself.
func TestGeometry(t *testing.T) {
	datadriven.Walk(t, "testdata/geometry", func(t *testing.T, path string) {
		tree := fstest.MapFS{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "tree":
				for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
					if name, to, ok := strings.Cut(line, " -> "); ok {
						tree[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
						continue
					}
					name, value, ok := strings.Cut(line, " = ")
					if !ok {
						d.Fatalf(t, "line %q", line)
					}
					tree[name] = &fstest.MapFile{Data: []byte(value + "\n"), Mode: 0o444}
				}
				return ""
			case "probe", "reported":
				var dev string
				var kib uint64
				d.ScanArgs(t, "dev", &dev)
				var major, minor uint32
				if _, err := fmt.Sscanf(dev, "%d:%d", &major, &minor); err != nil {
					d.Fatalf(t, "dev: %v", err)
				}
				if d.Cmd == "reported" {
					dir, err := sysBlock(tree, major, minor)
					if err != nil {
						d.Fatalf(t, "%v", err)
					}
					l := dir.limits()
					return strings.Join(l.reported(), "\n") + "\n"
				}
				d.ScanArgs(t, "size", &kib)
				return probeString(tree, major, minor, kib<<10)
			}
			d.Fatalf(t, "unknown command")
			return ""
		})
	})
}

func probeString(tree fs.FS, major, minor uint32, bytes uint64) string {
	dir, err := sysBlock(tree, major, minor)
	if err != nil {
		return err.Error() + "\n"
	}
	l := dir.limits()
	g, from, notes := l.geometry(bytes)
	var s strings.Builder
	hard := "soft"
	if g.Hard {
		hard = "hard"
	}
	fmt.Fprintf(&s, "blocks %d, logical %d, physical %d, tear %d\n", g.Blocks, g.LogicalBytes, g.PhysicalBytes, g.TearBytes)
	fmt.Fprintf(&s, "stripe %d %s, unit %d, align %d: %s\n", g.StripeBytes, hard, g.UnitBytes, g.AlignBytes, from)
	fmt.Fprintf(&s, "volatile %v, fua %v, rotational %v, discard %d, zero %d, max %d\n", g.CacheVolatile, g.FUA, g.Rotational, g.DiscardBytes, g.ZeroBytes, g.MaxIOBytes)
	if model, serial := dir.identity(); model+serial != "" {
		fmt.Fprintf(&s, "model %q, serial %q\n", model, serial)
	}
	if l.sequential {
		s.WriteString("host-managed zones\n")
	}
	for _, n := range notes {
		fmt.Fprintf(&s, "note: %s\n", n)
	}
	if err := g.Validate(); err != nil {
		fmt.Fprintf(&s, "invalid: %v\n", err)
	}
	return s.String()
}

func TestValidate(t *testing.T) {
	good := DefaultGeometry(100)
	if err := good.Validate(); err != nil || good.Bytes() != 409600 {
		t.Fatalf("default geometry: %v", err)
	}
	for want, breakIt := range map[string]func(*Geometry){
		"no whole block":           func(g *Geometry) { g.Blocks = 0 },
		"more than an address":     func(g *Geometry) { g.Blocks = 1 << 56 },
		"logical block 8192":       func(g *Geometry) { g.LogicalBytes = 8192 },
		"tear at 100":              func(g *Geometry) { g.TearBytes = 100 },
		"unit 512":                 func(g *Geometry) { g.UnitBytes = 512 },
		"stripe 12288 is no mult":  func(g *Geometry) { g.UnitBytes, g.StripeBytes = 8192, 12288 },
		"stripe 33554432 above":    func(g *Geometry) { g.StripeBytes = 32 << 20 },
		"alignment 100 is no":      func(g *Geometry) { g.AlignBytes = 100 },
		"alignment 65536 not belo": func(g *Geometry) { g.AlignBytes = 65536 },
	} {
		g := good
		breakIt(&g)
		if err := g.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestOverrides(t *testing.T) {
	yes, align := true, uint64(8192)
	g := DefaultGeometry(100)
	g.AlignBytes = 61440
	for _, c := range []struct {
		o    Overrides
		want string
	}{
		{Overrides{}, "65536 4096 61440 false 512"},
		{Overrides{StripeBytes: 24 << 10}, "24576 4096 12288 false 512"},
		{Overrides{StripeBytes: 192 << 10, UnitBytes: 64 << 10, Hard: &yes, AlignBytes: &align}, "196608 65536 8192 true 512"},
		{Overrides{TearBytes: 4096}, "65536 4096 61440 false 4096"},
		{Overrides{UnitBytes: 128 << 10}, "stripe 65536 is no multiple of unit 131072"},
	} {
		g, err := c.o.Apply(g)
		got := fmt.Sprint(g.StripeBytes, g.UnitBytes, g.AlignBytes, g.Hard, g.TearBytes)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.o, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	g := DefaultGeometry(10)
	p := heapAligned(3 * BlockSize)
	for _, c := range []struct {
		name string
		b    Block
		v    Vec
		ok   bool
	}{
		{"whole device", 7, Vec{p}, true},
		{"two slices", 7, Vec{p[:BlockSize], p[BlockSize:]}, true},
		{"one too far", 8, Vec{p}, false},
		{"behind the end", 10, Vec{p}, false},
		{"overflow", 1<<64 - 1, Vec{p}, false},
		{"nothing", 0, nil, false},
		{"empty slice", 0, Vec{p, {}}, false},
		{"part of a block", 0, Vec{p[:1000]}, false},
		{"not aligned", 0, Vec{p[512 : 512+BlockSize]}, false},
	} {
		if err := g.Check(c.b, c.v); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
