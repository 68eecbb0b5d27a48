package check

import "slices"

// Merge returns what a check that was cut short and the one that went on where it
// ended found together; before may be nil. Totals are those of the later one, which
// has walked all trees again; work done is added up.
func Merge(before, after *Report) *Report {
	if before == nil {
		return after
	}
	all := *after
	all.Phases = slices.Clone(after.Phases)
	for _, ph := range before.Phases { // that the later one did not come to
		if !slices.ContainsFunc(all.Phases, func(q Phase) bool { return q.Name == ph.Name }) {
			all.Phases = append(all.Phases, ph)
		}
	}
	all.Problems = []Problem{}
	all.Omitted += before.Omitted
	n := &all.Counts
	n.Errors, n.Warnings = all.Omitted, 0
	seen := make(map[place]bool)
	for i := range all.Phases {
		ph := &all.Phases[i]
		if k := slices.IndexFunc(before.Phases, func(q Phase) bool { return q.Name == ph.Name }); k >= 0 && ph.Note == notChecked {
			ph.Note = before.Phases[k].Note
		}
		ph.Problems = 0
		for _, p := range slices.Concat(before.Problems, after.Problems) {
			if p.Phase != ph.Name || seen[p.place()] {
				continue
			}
			seen[p.place()] = true
			all.Problems = append(all.Problems, p)
			ph.Problems++
			if p.Severity == "error" {
				n.Errors++
			} else {
				n.Warnings++
			}
		}
	}
	n.DataChecked += before.Counts.DataChecked
	n.Retried += before.Counts.Retried
	n.BytesRead += before.Counts.BytesRead
	all.Passes += before.Passes
	all.Seconds += before.Seconds
	whole := before.Complete || before.Stopped // as far as it came
	all.Complete, all.Stopped = all.Complete && whole, all.Stopped && whole
	all.Parts = slices.Concat(before.Parts, after.Parts)
	return &all
}

// place tells whether two findings are one.
type place struct {
	code            Code
	device          uint8
	address, blocks uint64
	where, object   string
	offset          uint64
}

func (p *Problem) place() place {
	at := place{code: p.Code, device: p.Device, address: p.Address, blocks: p.Blocks, where: p.Where}
	if len(p.Objects) > 0 {
		at.object, at.offset = p.Objects[0].Key, p.Objects[0].Offset
	}
	return at
}
