package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/blockmap"
	"ebofs/tools/picture"
)

// A picture is this many cells wide and high: cells large enough to click.
const (
	mapColumns = 96
	mapRows    = 24
)

// drawAgain is how old a picture of the newest checkpoint may be. Drawing reads
// all tree nodes from the device, past the cache: nobody's reload may do that each
// second.
const drawAgain = 10 * time.Second

// keptPictures bounds how many are in RAM: a few dozen KiB each.
const keptPictures = 32

// drawn is a picture of one checkpoint.
type drawn struct {
	at    time.Time
	epoch uint64
	png   []byte
	m     *picture.Map
	err   error
}

// pictures draws devices, one at a time, and keeps what was drawn.
type pictures struct {
	src  *Source
	slot chan struct{} // holds one who draws
	mu   sync.Mutex
	kept map[pictureKey]*drawn
}

type pictureKey struct {
	osd   int32
	epoch uint64 // 0: the newest
}

func newPictures(src *Source) *pictures {
	return &pictures{src: src, slot: make(chan struct{}, 1), kept: map[pictureKey]*drawn{}}
}

// errNoPicture says that an OSD has no device that could be drawn.
var errNoPicture = errors.New("no such OSD here, or its store is none of ours")

// get returns the picture of a kept epoch, or of the newest for 0.
func (p *pictures) get(ctx context.Context, id int32, epoch uint64) (*drawn, error) {
	osd := p.find(id)
	if osd == nil {
		return nil, errNoPicture
	}
	key := pictureKey{id, epoch}
	if d := p.fresh(key); d != nil {
		return d, d.err
	}
	select {
	case p.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.slot }()
	if d := p.fresh(key); d != nil { // drawn while we waited
		return d, d.err
	}
	d := draw(ctx, osd, epoch)
	d.at = p.src.Now()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) >= keptPictures {
		var oldest pictureKey
		for k, x := range p.kept {
			if o := p.kept[oldest]; o == nil || x.at.Before(o.at) {
				oldest = k
			}
		}
		delete(p.kept, oldest)
	}
	p.kept[key] = d
	return d, d.err
}

// find returns an OSD whose device can be drawn; nil if there is none of that number.
func (p *pictures) find(id int32) *OSD {
	if p.src.OSDs != nil {
		for _, o := range p.src.OSDs() {
			if o.ID == id && o.Store != nil && o.Device != nil {
				return &o
			}
		}
	}
	return nil
}

// Bounds of a search for owners, which may have to look at every object.
const (
	maxOwners  = 8
	ownersTime = 5 * time.Second
)

// owners fills in whose blocks are in a cell. What cannot be found in time, or because
// the checkpoint is gone, is left out.
func (p *pictures) owners(ctx context.Context, id int32, epoch uint64, c *Cell) {
	osd := p.find(id)
	c.Objects = []blockmap.Owner{}
	if osd == nil || c.Kinds["data"] == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ownersTime)
	defer cancel()
	select {
	case p.slot <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-p.slot }()
	sb, pin, err := checkpoint(ctx, osd, epoch)
	if err != nil {
		return
	}
	defer pin.Close()
	list, more, err := blockmap.Owners(ctx, osd.Device, &sb, c.Start/layout.BlockSize, c.Length/layout.BlockSize, maxOwners)
	if err == nil && stillThere(osd, pin, sb.Epoch) == nil {
		c.Objects, c.More = append(c.Objects, list...), more
	}
}

func (p *pictures) fresh(key pictureKey) *drawn {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.kept[key]
	if d != nil && p.src.Now().Sub(d.at) < drawAgain {
		return d
	}
	return nil
}

// checkpoint pins the newest checkpoint and returns its superblock, or that of an
// epoch that is kept. The caller closes the pin.
func checkpoint(ctx context.Context, o *OSD, epoch uint64) (sb layout.Superblock, pin *ebofs.Pin, err error) {
	if pin, err = o.Store.Pin(); err != nil {
		return sb, nil, err
	}
	sb = pin.Superblock()
	if epoch != 0 && epoch != sb.Epoch {
		if sb, err = ebofs.FindEpoch(ctx, o.Device, &sb, epoch); err != nil {
			pin.Close()
			return sb, nil, err
		}
	}
	return sb, pin, nil
}

// stillThere returns why what was read of a checkpoint may be something else: a pin
// that expired, or a kept epoch that was given up meanwhile.
func stillThere(o *OSD, pin *ebofs.Pin, epoch uint64) error {
	if err := pin.Err(); err != nil {
		return err
	}
	if sb := pin.Superblock(); sb.Epoch == epoch {
		return nil
	}
	_, kept := o.Store.KeptEpochs()
	if !slices.ContainsFunc(kept, func(k layout.KeptEpoch) bool { return k.Epoch() == epoch }) {
		return fmt.Errorf("epoch %d is not kept any more: %w", epoch, ebofs.ErrNotFound)
	}
	return nil
}

// draw draws one checkpoint of an OSD's device.
func draw(ctx context.Context, o *OSD, epoch uint64) *drawn {
	sb, pin, err := checkpoint(ctx, o, epoch)
	if err != nil {
		return &drawn{err: err}
	}
	defer pin.Close()
	maps, _, err := blockmap.Draw(ctx, o.Device, &sb, mapColumns*mapRows)
	if err == nil {
		err = stillThere(o, pin, sb.Epoch)
	}
	if err != nil {
		return &drawn{err: fmt.Errorf("osd.%d: %w", o.ID, err)}
	}
	var b bytes.Buffer
	err = maps[0].PNG(&b, picture.Style{Columns: mapColumns, BlockBytes: layout.BlockSize, Bare: true})
	return &drawn{epoch: sb.Epoch, png: b.Bytes(), m: maps[0], err: err}
}

// Cell is what one cell of a picture holds, in bytes.
type Cell struct {
	Cell   int               `json:"cell"`
	Start  uint64            `json:"start_byte"`
	Length uint64            `json:"bytes"`
	Kinds  map[string]uint64 `json:"kinds"`
	// Objects that have blocks here, those with the most first; More: there are others.
	Objects []blockmap.Owner `json:"objects"`
	More    bool             `json:"more"`
}

// MapInfo is the numbers of a picture.
type MapInfo struct {
	OSD     int32             `json:"osd"`
	Epoch   uint64            `json:"epoch"`
	Columns int               `json:"columns"`
	Cells   int               `json:"cells"`
	Bytes   uint64            `json:"cell_bytes"`
	Totals  map[string]uint64 `json:"totals"`
	Largest uint64            `json:"largest_free_run_bytes"`
	Score   float64           `json:"fragmentation_score"`
}

func (d *drawn) info(id int32) *MapInfo {
	return &MapInfo{
		OSD: id, Epoch: d.epoch, Columns: mapColumns, Cells: len(d.m.Cells), Bytes: d.m.PerCell * layout.BlockSize, Totals: kinds(&d.m.Total),
		Largest: d.m.LargestRun * layout.BlockSize, Score: d.m.Score(),
	}
}

// cell returns one cell; nil if there is none of that number.
func (d *drawn) cell(i int) *Cell {
	if i < 0 || i >= len(d.m.Cells) {
		return nil
	}
	c := &d.m.Cells[i]
	return &Cell{Cell: i, Start: uint64(i) * d.m.PerCell * layout.BlockSize, Length: c.Blocks() * layout.BlockSize, Kinds: kinds(c)}
}

func kinds(c *picture.Cell) map[string]uint64 {
	out := map[string]uint64{}
	for k, n := range c {
		if n > 0 {
			out[fmt.Sprint(picture.Kind(k))] = n * layout.BlockSize
		}
	}
	return out
}
