package check

import (
	"fmt"
	"strings"
	"sync"

	"ebofs/ebofs/layout"
)

// Level says how thorough a check is.
type Level int

// The levels, each with all before it.
const (
	Quick Level = iota
	Full
	Deep
)

// String returns the level's name.
func (l Level) String() string {
	switch l {
	case Quick:
		return "quick"
	case Full:
		return "full"
	case Deep:
		return "deep"
	}
	return fmt.Sprintf("level %d", int(l))
}

// ParseLevel returns the level of that name.
func ParseLevel(s string) (Level, error) {
	for l := Quick; l <= Deep; l++ {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("level %q: not quick, full or deep", s)
}

// Object is a part of an object that a problem costs.
type Object struct {
	Name   string `json:"name"`
	Key    string `json:"key"`    // full text form, see layout.ObjectKey.String
	Offset uint64 `json:"offset"` // bytes
	Length uint64 `json:"length"` // bytes; 0: the object as a whole
}

// Problem is one finding.
type Problem struct {
	Code     Code     `json:"code"`
	Severity string   `json:"severity"` // "error" or "warning"
	Repair   string   `json:"repair"`   // "here", "peer" or "none"
	Phase    string   `json:"phase"`    // of the check, as in Report.Phases
	Device   uint8    `json:"device"`   // index in the store's device table
	Address  uint64   `json:"address"`  // block on the device; 0 if the problem has no place
	Blocks   uint64   `json:"blocks"`
	Tree     string   `json:"tree,omitempty"`
	Where    string   `json:"where"` // the thing, for a person: "label copy", "zone 17"
	Expected string   `json:"expected"`
	Found    string   `json:"found"`
	Objects  []Object `json:"objects"`
}

// String is the problem in one line, without its severity.
func (p *Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-11s %s", p.Code, p.Where)
	if p.Address != 0 || p.Device != 0 {
		fmt.Fprintf(&b, " at %d:%d", p.Device, p.Address)
	}
	if p.Blocks > 0 {
		fmt.Fprintf(&b, " (%s)", size(p.Blocks*layout.BlockSize))
	}
	if p.Found != "" {
		fmt.Fprintf(&b, ": %s", p.Found)
	}
	if p.Expected != "" {
		fmt.Fprintf(&b, ", expected %s", p.Expected)
	}
	for i, o := range p.Objects {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more objects", len(p.Objects)-i)
			break
		}
		fmt.Fprintf(&b, "; object %s", o.Name)
		if o.Length > 0 {
			fmt.Fprintf(&b, ", bytes %d~%d", o.Offset, o.Length)
		}
	}
	return b.String()
}

// size prints bytes for a person: binary, one decimal.
func size(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i+1 < len(units) {
		v, i = v/1024, i+1
	}
	if v == float64(uint64(v)) {
		return fmt.Sprintf("%d %s", uint64(v), units[i])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// Counts is what was seen.
type Counts struct {
	Collections uint64 `json:"collections"`
	Objects     uint64 `json:"objects"`
	Bytes       uint64 `json:"bytes"` // sum of object sizes
	Attrs       uint64 `json:"attrs"`
	OmapKeys    uint64 `json:"omap_keys"`
	Nodes       uint64 `json:"nodes"`
	MetaBlocks  uint64 `json:"meta_blocks"` // of nodes
	DataBlocks  uint64 `json:"data_blocks"`
	OwnBlocks   uint64 `json:"own_blocks"` // root record, zone tables and bitmaps, space log
	FreeBlocks  uint64 `json:"free_blocks"`
	Trash       uint64 `json:"trash"` // removed objects whose space is not yet free
	TrashBlocks uint64 `json:"trash_blocks"`
	LogRecords  uint64 `json:"log_records"`  // to be replayed at the next mount
	LogReplayed uint64 `json:"log_replayed"` // of them, replayed in RAM to be checked
	DataChecked uint64 `json:"data_checked_blocks"`
	Kept        uint64 `json:"kept_epochs"` // that are whole
	Retried     uint64 `json:"retried_reads"`
	BytesRead   uint64 `json:"bytes_read"`
	Errors      uint64 `json:"errors"`
	Warnings    uint64 `json:"warnings"`
}

// Phase is a part of the check and how many problems it found.
type Phase struct {
	Name     string `json:"name"`
	Problems uint64 `json:"problems"`
	Note     string `json:"note,omitempty"` // "1204 records to replay"
}

// notChecked is the note of a phase that had nothing to do.
const notChecked = "not checked"

// Report is the result of Run. Its JSON is what fsck puts into its envelope.
type Report struct {
	Store    string `json:"store"`
	Label    string `json:"label,omitempty"`
	Level    string `json:"level"`
	Mode     string `json:"mode"` // "read-only", or "online": of a store in use
	Epoch    uint64 `json:"epoch"`
	Clean    bool   `json:"clean"`    // closed after a checkpoint
	Complete bool   `json:"complete"` // everything the level asks for could be looked at
	// Stopped is set if it is not complete for no other reason than that the check
	// was stopped: one that goes on where it was can complete it.
	Stopped  bool      `json:"stopped,omitempty"`
	Problems []Problem `json:"problems"`
	Omitted  uint64    `json:"omitted"` // problems beyond Options.MaxProblems
	Phases   []Phase   `json:"phases"`
	Counts   Counts    `json:"counts"`
	Passes   int       `json:"passes"` // over the trees
	Seconds  float64   `json:"seconds"`

	// Of a check of a store in use: what was checked at which epoch, and where one
	// that was cut short can go on.
	Parts    []Part    `json:"parts,omitempty"`
	Position *Position `json:"position,omitempty"`
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return r.Counts.Errors == 0 && r.Counts.Warnings == 0 }

// collector gathers problems from all workers.
type collector struct {
	mu      sync.Mutex // guards problems and phases of rep, what tells its store, and Complete
	rep     *Report
	max     int
	repairs map[Code]string
	phase   *Phase

	valid func() error // nil: what is found is believed
	stop  func(error)  // called with the error of valid
}

// add records p; Severity follows from its code, and Repair unless it is given.
func (c *collector) add(p Problem) {
	if c.valid != nil {
		if err := c.valid(); err != nil {
			c.stop(err)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Severity = "error"; p.Code[0] == 'W' {
		p.Severity = "warning"
		c.rep.Counts.Warnings++
	} else {
		c.rep.Counts.Errors++
	}
	if p.Repair == "" {
		p.Repair = c.repairs[p.Code]
	}
	if p.Objects == nil {
		p.Objects = []Object{}
	}
	if c.phase != nil {
		c.phase.Problems++
		p.Phase = c.phase.Name
	}
	if len(c.rep.Problems) >= c.max {
		c.rep.Omitted++
		return
	}
	c.rep.Problems = append(c.rep.Problems, p)
}

// incomplete notes that something could not be looked at.
func (c *checker) incomplete() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.rep.Complete = false
}

// begin opens a phase; the returned pointer takes its note.
func (c *collector) begin(name string) *Phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = &Phase{Name: name}
	return c.phase
}

// end closes the phase.
func (c *collector) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rep.Phases = append(c.rep.Phases, *c.phase)
	c.phase = nil
}
