package ebofs

import (
	"fmt"
	"time"

	"ebofs/internal/perf"
)

// Stage is a part of a transaction's time, from the call until its caller knows that
// it is durable. The stages follow one another without a gap.
type Stage uint8

const (
	StageAdmit  Stage = iota // its cost, and waiting for room in the log and in space
	StageDirect              // writing what does not go through the log; most have none
	StageOrder               // its turn in the collection, and objects that must be known
	StageApply               // copies, encoding, applying, appending to the log
	StageLog                 // until the log's write and flush are over, those before it too
	StageNotice              // until the callback is called; Apply has none
	Stages                   // how many there are
)

var stages = [Stages]string{"admit", "direct", "order", "apply", "log", "notice"}

// String is the stage's name.
func (g Stage) String() string {
	if g < Stages {
		return stages[g]
	}
	return fmt.Sprintf("stage %d", uint8(g))
}

// watchEvery is the share of transactions that are watched: looking at the clock five
// times costs a small one some per cent.
const watchEvery = 8

// stopwatch follows one transaction; the zero value follows none.
type stopwatch struct {
	into *[Stages]perf.Histogram
	last time.Time
}

// lap ends a stage.
func (w *stopwatch) lap(g Stage) {
	if w.into == nil {
		return
	}
	now := time.Now()
	w.into[g].Record(uint64(now.Sub(w.last)))
	w.last = now
}
