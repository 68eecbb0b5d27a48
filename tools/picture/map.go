package picture

import "math/bits"

// Kind is what a block is used for.
type Kind uint8

// The kinds, in the order legends show them.
const (
	Label   Kind = iota // label copies and superblock slots
	Log                 // WAL ring
	Node                // tree nodes and other metadata
	Data                // objects' bytes
	Limbo               // freed, but reachable from a durable root
	Damaged             // known to be wrong
	Free
	NumKinds = int(Free) + 1
)

// String names the kind as the legend does.
func (k Kind) String() string {
	return [...]string{"label", "log", "node", "data", "limbo", "damaged", "free"}[k]
}

// Cell counts the blocks of each kind in one cell.
type Cell [NumKinds]uint64

// Blocks returns the blocks counted in c.
func (c *Cell) Blocks() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Map collects the use of a device in cells.
type Map struct {
	Blocks  uint64 // of the device
	PerCell uint64 // blocks; the last cell may hold fewer
	Cells   []Cell
	Total   Cell

	// Runs[i] counts free runs of 2^i to 2^(i+1)-1 blocks, RunBlocks their blocks.
	Runs, RunBlocks [64]uint64
	LargestRun      uint64 // blocks
	Reserve         uint64 // of the free blocks: for removing and checkpoints; 0: not told

	stripe, align uint64
	whole         uint64 // free blocks in wholly free stripes
	run           struct{ start, n uint64 }
}

// New returns an empty map of a device of so many blocks in at most n cells.
// stripe and align, in blocks, are the device's stripes, for Score.
func New(blocks uint64, n int, stripe, align uint64) *Map {
	per := max(1, (blocks+uint64(n)-1)/uint64(n))
	return &Map{Blocks: blocks, PerCell: per, Cells: make([]Cell, (blocks+per-1)/per), stripe: max(1, stripe), align: align}
}

// Add counts n blocks from start as kind k. What lies beyond the device is
// cut off. Free extents must come in ascending order.
func (m *Map) Add(start, n uint64, k Kind) {
	if start >= m.Blocks {
		return
	}
	n = min(n, m.Blocks-start)
	m.Total[k] += n
	if k == Free {
		m.free(start, n)
	}
	for n > 0 {
		i := start / m.PerCell
		here := min(n, (i+1)*m.PerCell-start)
		m.Cells[i][k] += here
		start, n = start+here, n-here
	}
}

// free extends the open run or closes it and opens the next.
func (m *Map) free(start, n uint64) {
	if m.run.n > 0 && m.run.start+m.run.n == start {
		m.run.n += n
		return
	}
	m.Done()
	m.run.start, m.run.n = start, n
}

// Done closes the last free run; call it after the last Add.
func (m *Map) Done() {
	start, n := m.run.start, m.run.n
	m.run.n = 0
	if n == 0 {
		return
	}
	i := bits.Len64(n) - 1
	m.Runs[i]++
	m.RunBlocks[i] += n
	m.LargestRun = max(m.LargestRun, n)
	// Whole stripes inside the run.
	first := start + (m.stripe-(start+m.stripe-m.align%m.stripe)%m.stripe)%m.stripe
	if end := start + n; first < end {
		m.whole += (end - first) / m.stripe * m.stripe
	}
}

// Score is 1 - (free blocks in whole stripes / free blocks): 0 is a device
// whose free space is all in whole stripes, 1 one without a free stripe. It is 0
// if nothing is free.
func (m *Map) Score() float64 {
	if m.Total[Free] == 0 {
		return 0
	}
	return 1 - float64(m.whole)/float64(m.Total[Free])
}

// mark is the character of a cell.
func (m *Map) mark(c *Cell) rune {
	switch {
	case c[Damaged] > 0:
		return '!'
	case c[Label] > 0:
		return '@'
	}
	used, most := uint64(0), Free
	for k := Log; k < Damaged; k++ {
		used += c[k]
		if c[k] > 0 && (most == Free || c[k] > c[most]) {
			most = k
		}
	}
	switch most {
	case Log:
		return '='
	case Node:
		return '+'
	case Data:
		if 2*used < c.Blocks() {
			return ':'
		}
		return '#'
	case Limbo:
		return '/'
	}
	return '.'
}

// colors are those of the kinds: violet, green, amber, blue, slate, red, grey.
var colors = [NumKinds][3]uint8{
	Label: {148, 87, 235}, Log: {62, 160, 85}, Node: {226, 160, 40}, Data: {58, 110, 220},
	Limbo: {110, 140, 170}, Damaged: {215, 48, 39}, Free: {205, 205, 205},
}

// blend is the colour of a cell: the mean of its kinds by share. A damaged
// block turns the whole cell red.
func blend(c *Cell) (rgb [3]uint8) {
	if c[Damaged] > 0 {
		return colors[Damaged]
	}
	total := c.Blocks()
	if total == 0 {
		return colors[Free]
	}
	var sum [3]uint64
	for k, n := range c {
		for i := range sum {
			sum[i] += n * uint64(colors[k][i])
		}
	}
	for i := range rgb {
		rgb[i] = uint8(sum[i] / total)
	}
	return rgb
}
