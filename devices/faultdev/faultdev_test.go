package faultdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/ncw/directio"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/devices/devicetest"
)

var ctx = context.Background()

func TestDevice(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return New(devices.NewMem(devices.MemOptions{Blocks: blocks}), Options{})
		},
		Reopen: func(t *testing.T, d devices.Device) devices.Device {
			return New(d.(*Device).base.(*devices.Mem).Snapshot(), Options{})
		},
	})
}

// TestFaults runs the scripts in testdata against a device of 8 blocks. A
// block is shown as the digit it is filled with, "*" if it is no one digit.
//
//	faults      adds rules
//	do          one line an I/O: "write 2~3 x [site]", "read 0~8 [site]",
//	            "zero 2~3", "discard 2~3", "flush", "clear"
//	medium      shows what is really there
//	unhit       lists rules never hit
//	counts      lists the counts by site
func TestFaults(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		base := devices.NewMem(devices.MemOptions{Blocks: 8})
		delays := 0
		d := New(base, Options{Seed: 1, Delay: func(context.Context, devices.Op) { delays++ }})
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			switch td.Cmd {
			case "faults":
				if err := d.Script(td.Input); err != nil {
					return err.Error() + "\n"
				}
				return ""
			case "do":
				var out strings.Builder
				for _, line := range strings.Split(td.Input, "\n") {
					fmt.Fprintln(&out, do(t, d, line))
				}
				if delays > 0 {
					fmt.Fprintf(&out, "%d delays\n", delays)
					delays = 0
				}
				return out.String()
			case "medium":
				return do(t, base, "read 0~8") + "\n"
			case "unhit":
				return fmt.Sprintln(d.Unhit())
			case "counts":
				c := d.Counts()
				return fmt.Sprintf("%v, %d in all, %d rules hit\n%v\n", c, c.All(), d.Hits(), d.Sites())
			}
			td.Fatalf(t, "unknown command")
			return ""
		})
	})
}

type spacer interface {
	devices.Zeroer
	devices.Discarder
}

func do(t *testing.T, d devices.Device, line string) string {
	f := strings.Fields(line)
	var b devices.Block
	var n uint64
	if len(f) > 1 {
		if _, err := fmt.Sscanf(f[1], "%d~%d", &b, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	site := func(i int) context.Context {
		if len(f) > i {
			return devices.WithSite(ctx, f[i])
		}
		return ctx
	}
	var err error
	got := "ok"
	switch f[0] {
	case "write":
		p := directio.AlignedBlock(int(n) * devices.BlockSize)
		for i := range p {
			p[i] = f[2][0]
		}
		err = d.Write(site(3), b, vec(p))
	case "read":
		p := directio.AlignedBlock(int(n) * devices.BlockSize)
		err = d.Read(site(2), b, vec(p))
		got = digits(p)
		if err != nil {
			err = fmt.Errorf("%s, %w", got, err)
		}
	case "zero":
		err = d.(spacer).Zero(ctx, b, n)
	case "discard":
		err = d.(spacer).Discard(ctx, b, n)
	case "flush":
		err = d.Flush(ctx)
	case "clear":
		d.(*Device).Clear()
	default:
		t.Fatalf("%q", line)
	}
	if err != nil {
		return err.Error()
	}
	return got
}

// vec cuts p in two slices if it can.
func vec(p []byte) devices.Vec {
	if len(p) > devices.BlockSize {
		return devices.Vec{p[:devices.BlockSize], p[devices.BlockSize:]}
	}
	return devices.Vec{p}
}

func digits(p []byte) string {
	s := ""
	for ; len(p) > 0; p = p[devices.BlockSize:] {
		c := p[0]
		if strings.Trim(string(p[:devices.BlockSize]), string(p[:1])) != "" {
			c = '*'
		} else if c == 0 {
			c = '.'
		}
		s += string(rune(c))
	}
	return s
}

// TestErrors: tests can tell what was injected, and errors look like those of
// the kernel.
func TestErrors(t *testing.T) {
	for script, want := range map[string]error{
		"write eio": syscall.EIO, "write full": syscall.ENOSPC, "write short": io.ErrShortWrite, "write drop": nil,
	} {
		d := New(devices.NewMem(devices.MemOptions{Blocks: 8}), Options{})
		if err := d.Script(script); err != nil {
			t.Fatal(err)
		}
		err := d.Write(ctx, 0, vec(directio.AlignedBlock(devices.BlockSize)))
		if !errors.Is(err, want) || (err != nil) != errors.Is(err, ErrInjected) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// TestFlip: one bit is wrong, in what a read returns or on the medium, and the
// caller's memory is left alone.
func TestFlip(t *testing.T) {
	for _, script := range []string{"read flip", "write flip"} {
		base := devices.NewMem(devices.MemOptions{Blocks: 8})
		d := New(base, Options{Seed: 4})
		if err := d.Script(script); err != nil {
			t.Fatal(err)
		}
		p, q := directio.AlignedBlock(3*devices.BlockSize), directio.AlignedBlock(3*devices.BlockSize)
		if err := errors.Join(d.Write(ctx, 0, vec(p)), d.Read(ctx, 0, vec(q))); err != nil {
			t.Fatal(err)
		}
		wrong := 0
		for i := range q {
			for x := q[i]; x != 0; x &= x - 1 {
				wrong++
			}
			if p[i] != 0 {
				t.Fatalf("%s changed the caller's memory", script)
			}
		}
		again := directio.AlignedBlock(3 * devices.BlockSize)
		if err := d.Read(ctx, 0, vec(again)); err != nil {
			t.Fatal(err)
		}
		if onMedium := string(again) == string(q); wrong != 1 || onMedium != (script == "write flip") {
			t.Errorf("%s: %d bits wrong, on the medium: %v", script, wrong, onMedium)
		}
	}
}

// TestProbability: about as many hits as told, and the same ones again (I2).
func TestProbability(t *testing.T) {
	hits := func(seed uint64) (s string) {
		d := New(devices.NewMem(devices.MemOptions{Blocks: 8}), Options{Seed: seed})
		if err := d.Script("read p=0.25 eio always"); err != nil {
			t.Fatal(err)
		}
		v := vec(directio.AlignedBlock(devices.BlockSize))
		for range 400 {
			if d.Read(ctx, 0, v) != nil {
				s += "x"
			} else {
				s += "."
			}
		}
		return s
	}
	a := hits(1)
	if n := strings.Count(a, "x"); n < 60 || n > 140 {
		t.Errorf("%d of 400 with probability 0.25", n)
	}
	if hits(1) != a || hits(2) == a {
		t.Error("the seed does not decide")
	}
}

// TestHang: an I/O that hangs ends with its context or with Release.
func TestHang(t *testing.T) {
	d := New(devices.NewMem(devices.MemOptions{Blocks: 8}), Options{})
	if err := d.Script("any hang always"); err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(ctx)
	result := make(chan error)
	go func() { result <- d.Flush(stop) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go func() { result <- d.Write(ctx, 0, vec(directio.AlignedBlock(devices.BlockSize))) }()
	d.Release()
	if err := <-result; err != nil {
		t.Errorf("released: %v", err)
	}
	d.Release()
	if err := d.Flush(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestLie: a flush that lies leaves the writes at the mercy of a crash.
func TestLie(t *testing.T) {
	base := crashdev.New(devices.NewMem(devices.MemOptions{Blocks: 8}))
	d := New(base, Options{})
	if err := d.Script("flush lie"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Write(ctx, 0, vec(directio.AlignedBlock(devices.BlockSize))), d.Flush(ctx)); err != nil {
		t.Fatal(err)
	}
	if base.Pending() != 1 {
		t.Error("the flush that lies was none")
	}
	if err := d.Flush(ctx); err != nil || base.Pending() != 0 {
		t.Errorf("honest flush: %v", err)
	}
}

// plain is a device without abilities.
type plain struct{ devices.Device }

func TestUnsupported(t *testing.T) {
	d := New(plain{devices.NewMem(devices.MemOptions{Blocks: 8})}, Options{})
	if err := d.Zero(ctx, 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("zero: %v", err)
	}
	if err := d.Discard(ctx, 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("discard: %v", err)
	}
	if err := d.Add(Rule{Ops: AnyOp, Kind: Lie}); err == nil {
		t.Error("a write that lies was accepted")
	}
	if Kind(200).String() != "kind(200)" || Only(devices.OpRead, devices.OpFlush).String() != "read|flush" {
		t.Error(Kind(200), Only(devices.OpRead, devices.OpFlush))
	}
}

// FuzzParse: no script panics, and every rule that parses prints as a script
// of itself.
func FuzzParse(f *testing.F) {
	f.Add("write nth=3 eio # third\nany nth=7 eio always; read range=100~8 flip always")
	f.Add("read p=0.01 zeros always\nwrite site=wal by=-16 misdirect once")
	f.Add("read p=NaN eio; read p=1e-300 eio; read p=-0 eio")
	f.Add("flush range=1~18446744073709551615 lie; write eio=eio; discard drop drop")
	f.Fuzz(func(t *testing.T, script string) {
		rules, err := Parse(script)
		if err != nil {
			return
		}
		for _, r := range rules {
			again, err := Parse(r.String())
			if err != nil || len(again) != 1 || again[0] != r {
				t.Errorf("%+v prints as %q, which reads as %+v, %v", r, r.String(), again, err)
			}
		}
	})
}
