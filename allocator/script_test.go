package allocator

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts replays testdata. After -rewrite the diff is the review.
//
//	new zones=4 zone=64 stripe=16 [first=0] [blocks=N] [align=0] [hard] [resident=N]
//	open zones=... [free=(40,64)] [stripes=(2,4)]    as new, from summaries
//	alloc CLASS blocks=N [hint=N]
//	stripes CLASS blocks=N [hint=N]
//	run CLASS least=N [most=N] [hint=N]
//	mark|free|release start~length... [epoch=N]
//	durable epoch=N
//	load zone=N [start~length...]                    used blocks, device-absolute
//	snapshot zone=N epoch=N [except=(start~length)]
//	grow blocks=N
//	runs zone=N                                      free runs of a zone
//	evict zone=N | victim | changed | reserve n=N | unreserve n=N | stats | show
//
// Every command is followed by Check; all but the last two lines' answer with
// the state.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		var a *Allocator
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" || d.Cmd == "open" {
				var err error
				if a, err = scriptNew(t, d); err != nil {
					return err.Error()
				}
				return a.String()
			}
			out := scriptCommand(t, a, d)
			if err := a.Check(); err != nil {
				return out + "\n" + err.Error()
			}
			return out
		})
	})
}

func scriptNew(t *testing.T, d *datadriven.TestData) (*Allocator, error) {
	cfg := Config{Hard: d.HasArg("hard")}
	var zones int
	d.ScanArgs(t, "zones", &zones)
	d.ScanArgs(t, "zone", &cfg.ZoneBlocks)
	d.ScanArgs(t, "stripe", &cfg.StripeBlocks)
	d.MaybeScanArgs(t, "first", &cfg.First)
	d.MaybeScanArgs(t, "align", &cfg.AlignBlocks)
	d.MaybeScanArgs(t, "resident", &cfg.MaxResidentZones)
	cfg.Blocks = uint64(zones) * uint64(cfg.ZoneBlocks)
	d.MaybeScanArgs(t, "blocks", &cfg.Blocks)
	var sums []ZoneSummary
	for i := 0; d.Cmd == "open" && i < zones; i++ {
		var s ZoneSummary
		d.ScanArgs(t, "zone"+strconv.Itoa(i), &s.Free, &s.FreeStripes)
		sums = append(sums, s)
	}
	return New(cfg, sums)
}

func scriptCommand(t *testing.T, a *Allocator, d *datadriven.TestData) string {
	answer := func(v any, err error) string {
		if err != nil {
			return "error: " + err.Error()
		}
		if v == nil {
			return a.String()
		}
		return fmt.Sprintf("%v\n%v", v, a)
	}
	num := func(name string, def uint64) uint64 {
		d.MaybeScanArgs(t, name, &def)
		return def
	}
	class := func() Class {
		for c := range Class(classes) {
			if d.HasArg(c.String()) {
				return c
			}
		}
		d.Fatalf(t, "no class")
		return 0
	}
	extents := scriptExtents(t, d)
	hint, zone := num("hint", 0), int(num("zone", 0))
	switch d.Cmd {
	case "alloc":
		return answer(a.Alloc(class(), int(num("blocks", 0)), hint, nil))
	case "stripes":
		return answer(a.AllocStripes(class(), int(num("blocks", 0)), hint))
	case "run":
		least := num("least", 1)
		return answer(a.AllocRun(class(), int(least), int(num("most", least)), hint))
	case "mark", "free", "release":
		for _, e := range extents {
			err := map[string]func() error{
				"mark":    func() error { return a.MarkUsed(e) },
				"free":    func() error { return a.Free(e, num("epoch", 0)) },
				"release": func() error { return a.Release(e) },
			}[d.Cmd]()
			if err != nil {
				return answer(nil, err)
			}
		}
		return answer(nil, nil)
	case "durable":
		return answer(fmt.Sprint("released ", a.Durable(num("epoch", 0))), nil)
	case "load":
		used := make([]uint64, wordsFor(a.zoneBlocks(zone)))
		for _, e := range extents {
			setBits(used, uint32(e.Start-a.zoneStart(zone)), uint32(e.Blocks))
		}
		return answer(nil, a.Load(zone, used))
	case "snapshot":
		bm, sum, err := a.Snapshot(zone, num("epoch", 0), nil, extents)
		if err != nil {
			return answer(nil, err)
		}
		var used []Extent
		for i := range a.zoneBlocks(zone) {
			if !allClear(bm, i, 1) {
				used = appendExtent(used, a.extent(zone, i, 1))
			}
		}
		return fmt.Sprintf("used   %v, %d blocks and %d stripes free", used, sum.Free, sum.FreeStripes)
	case "grow":
		return answer(nil, a.Grow(num("blocks", 0)))
	case "runs":
		runs, err := a.RunsOf(zone, nil)
		return answer(runs, err)
	case "evict":
		return answer(nil, a.Evict(zone))
	case "victim":
		return fmt.Sprint(a.Victim())
	case "changed":
		return fmt.Sprint(a.Changed(nil))
	case "reserve":
		ok := a.Reserve(num("n", 0))
		return fmt.Sprintf("%v: reserved %d, available %d", ok, a.Reserved(), a.Avail())
	case "unreserve":
		a.Unreserve(num("n", 0))
		return fmt.Sprintf("reserved %d, available %d", a.Reserved(), a.Avail())
	case "stats":
		return scriptStats(a)
	case "show":
		return answer(nil, nil)
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

// scriptExtents returns the arguments of the form start~length.
func scriptExtents(t *testing.T, d *datadriven.TestData) (out []Extent) {
	for _, arg := range d.CmdArgs {
		if start, length, ok := strings.Cut(arg.Key, "~"); ok {
			s, err1 := strconv.ParseUint(start, 10, 64)
			n, err2 := strconv.ParseUint(length, 10, 64)
			if err := errors.Join(err1, err2); err != nil {
				d.Fatalf(t, "%v", err)
			}
			out = append(out, Extent{s, n})
		}
	}
	return out
}

func scriptStats(a *Allocator) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "free %d limbo %d used %d, %d stripes free, longest run %d, score %.2f\n",
		a.FreeBlocks(), a.LimboBlocks(), a.UsedBlocks(), a.FreeStripes(), a.LargestFree(), a.Score())
	h := a.Histogram()
	for k, n := range h.Runs {
		if n > 0 {
			fmt.Fprintf(&sb, "%d runs of %d..%d: %d blocks\n", n, 1<<k, 2<<k-1, h.Blocks[k])
		}
	}
	if h.UnknownZones > 0 {
		fmt.Fprintf(&sb, "%d zones not loaded: %d blocks\n", h.UnknownZones, h.UnknownBlocks)
	}
	return sb.String()
}
