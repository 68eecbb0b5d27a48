package blockmap

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/tools/output"
	"ebofs/tools/picture"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "map".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "map", Args: "DEV", Short: "a picture of what the blocks of a store are used for", Schema: "ebofs.map/1", Rows: "cells",
		Long: `Draws the device in cells, in reading order, each blending what it holds:

  @ label, superblock    violet      # : data (: less than half)    blue
  = log                  green       /   limbo: freed, not yet free slate, hatched
  + tree nodes           amber       !   damaged                    red
                                     .   free                       grey

Beside it: amounts, how much of the free space is reserved for removing and checkpoints, the largest free run, free runs by size, and the score, which is 0 if all free space lies in whole stripes. The store may be unclean; what its log holds is not in the picture.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			j := &job{}
			fs.IntVar(&j.columns, "columns", 0, "`N` cells in a row; default: what the terminal has room for, else 64")
			fs.IntVar(&j.rows, "rows", 20, "`N` rows")
			fs.StringVar(&j.png, "png", "", "write the picture to `FILE` as a PNG, too")
			verb.LaterValue(fs, "svg", "", "write the picture to `FILE` as an SVG")
			fs.StringVar(&j.level, "check", "none", "`none|quick|full|deep`: check the store first and show what is damaged")
			fs.StringVar(&j.logPath, "log", "", "the log is on `DEV`")
			store.EpochFlag(fs)
			return j.run
		},
		Examples: []verb.Example{
			{Command: "ebofs map disk.img", Text: "in the terminal"},
			{Command: "ebofs map --png map.png --check deep disk.img", Text: "as an image, damage in red"},
		},
		SeeAlso: []string{"fsck", "dump"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

type job struct {
	columns, rows int
	png           string
	level         string
	logPath       string
}

// panelColumns is the room the numbers beside the picture need.
const panelColumns = 36

// A PNG has cells of its own: small enough to show single files, few enough to
// fit a screen.
const (
	pngColumns = 128
	pngRows    = 64
)

// result is the JSON beside the cells; a cell is bytes by kind.
type result struct {
	Store          string            `json:"store"`
	Device         string            `json:"device"`
	Epoch          uint64            `json:"epoch"`
	Clean          bool              `json:"clean"`
	Bytes          uint64            `json:"bytes"`
	CellBytes      uint64            `json:"cell_bytes"`
	Totals         map[string]uint64 `json:"totals"` // bytes by kind
	LargestFreeRun uint64            `json:"largest_free_run_bytes"`
	ReserveBytes   uint64            `json:"reserve_bytes"` // of the free ones, for removing and checkpoints
	Score          float64           `json:"score"`
	FreeRuns       []run             `json:"free_runs"`
	Damaged        int               `json:"damaged_places"`
}

type run struct {
	FromBytes uint64 `json:"from_bytes"` // up to twice that
	Count     uint64 `json:"count"`
	Bytes     uint64 `json:"bytes"`
}

func (j *job) run(ctx context.Context, c *verb.Call) (err error) {
	path := c.Args[0]
	if j.columns < 0 || j.columns > 4096 || j.rows < 1 || j.rows > 4096 {
		return verb.Usage("--columns and --rows: 1 to 4096")
	}
	if j.columns == 0 {
		j.columns = 64
		if c.OutTerminal && c.Columns > 0 {
			j.columns = max(16, c.Columns-panelColumns)
		}
	}
	if err := store.Preflight(c, path, false); err != nil {
		return err
	}
	dev, err := store.Open(path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	found, err := store.FindEpoch(ctx, c, dev)
	if err != nil {
		return store.Explain(c, path, err)
	}
	sb := &found.Super
	damage, err := j.check(ctx, c, dev, sb)
	if err != nil {
		return err
	}
	maps, broken, err := draw(ctx, dev, sb, damage, j.columns*j.rows, pngColumns*pngRows)
	if err != nil {
		return store.Explain(c, path, err)
	}
	m := maps[0]
	m.Reserve = min(m.Total[picture.Free], ebofs.ReserveBlocks(sb.Placement()))
	if broken > 0 {
		c.Notef("%s: %d damaged tree nodes; what lies below them is shown as data", path, broken)
	}
	if !sb.Clean() {
		c.Notef("%s: not closed cleanly; shown is the last checkpoint, epoch %d", path, sb.Epoch)
	}
	style := picture.Style{Color: c.Color, Columns: j.columns, BlockBytes: layout.BlockSize}
	if j.png != "" {
		if err := j.writePNG(path, maps[1]); err != nil {
			return err
		}
		c.Notef("%s written", j.png)
	}
	c.Printf("%s: store %s, epoch %d, %s\n", path, sb.FSID.Short(), sb.Epoch, sizes.Human(sb.Blocks*layout.BlockSize))
	if c.Plain() {
		if err := m.Text(c, style); err != nil {
			return err
		}
	}
	c.Set(describe(path, sb, m, len(damage)+broken))
	for i := range m.Cells {
		c.Row(byKind(&m.Cells[i]))
	}
	return nil
}

// check runs fsck's checks and returns the places that are damaged.
func (j *job) check(ctx context.Context, c *verb.Call, dev devices.Device, sb *layout.Superblock) (damage []segment, err error) {
	if j.level == "none" {
		return nil, nil
	}
	level, err := check.ParseLevel(j.level)
	if err != nil {
		return nil, verb.Usage("--check: " + err.Error())
	}
	o := check.Options{Level: level, Now: c.Now}
	if store.AtEpoch(c.Flags) != 0 {
		o.Super = sb
	}
	if j.logPath != "" {
		log, err := store.Open(j.logPath, false)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		o.LogDevice = log
	}
	rep, err := check.Run(ctx, dev, o)
	if err != nil {
		return nil, store.Explain(c, c.Args[0], err)
	}
	for _, p := range rep.Problems {
		if p.Device == 0 && p.Severity == "error" && p.Blocks > 0 {
			damage = append(damage, segment{p.Address, p.Blocks, picture.Damaged})
		}
	}
	return damage, nil
}

// writePNG draws m into the file of --png.
func (j *job) writePNG(path string, m *picture.Map) error {
	f, err := output.Create(j.png, path, j.logPath)
	if err != nil {
		return err
	}
	return f.Done(m.PNG(f, picture.Style{Columns: pngColumns, BlockBytes: layout.BlockSize}))
}

func describe(path string, sb *layout.Superblock, m *picture.Map, damaged int) *result {
	r := &result{Store: sb.FSID.String(), Device: path, Epoch: sb.Epoch, Clean: sb.Clean(), Bytes: sb.Blocks * layout.BlockSize,
		CellBytes: m.PerCell * layout.BlockSize, Totals: byKind(&m.Total), LargestFreeRun: m.LargestRun * layout.BlockSize, ReserveBytes: m.Reserve * layout.BlockSize, Score: m.Score(), FreeRuns: []run{}, Damaged: damaged}
	for i, n := range m.Runs {
		if n > 0 {
			r.FreeRuns = append(r.FreeRuns, run{layout.BlockSize << i, n, m.RunBlocks[i] * layout.BlockSize})
		}
	}
	return r
}

func byKind(c *picture.Cell) map[string]uint64 {
	kinds := map[string]uint64{}
	for k, n := range c {
		if n > 0 {
			kinds[fmt.Sprint(picture.Kind(k))] = n * layout.BlockSize
		}
	}
	return kinds
}
