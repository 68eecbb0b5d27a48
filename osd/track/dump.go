package track

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ebofs/cluster/ceph"
)

// The JSON of what is shown has the members that Ceph's OSDs give it; durations are
// in seconds.
type (
	opJSON struct {
		Text     string  `json:"description"`
		Began    string  `json:"initiated_at"`
		Age      float64 `json:"age"`
		Duration float64 `json:"duration"`
		Data     opData  `json:"type_data"`
	}
	opData struct {
		Point  string      `json:"flag_point"` // what it waits for, or the last event
		Client clientJSON  `json:"client_info"`
		Events []eventJSON `json:"events"`
	}
	clientJSON struct {
		Client string `json:"client"`
		Addr   string `json:"client_addr"`
		Tid    uint64 `json:"tid"`
	}
	eventJSON struct {
		Event    string  `json:"event"`
		Time     string  `json:"time"`
		Duration float64 `json:"duration"`
	}
	inFlightJSON struct {
		Ops []opJSON `json:"ops"`
		Num int      `json:"num_ops"`
	}
	blockedJSON struct {
		Ops      []opJSON `json:"ops"`
		Complain float64  `json:"complaint_time"`
		Num      int      `json:"num_blocked_ops"`
	}
	historyJSON struct {
		Size     int      `json:"size"`
		Duration float64  `json:"duration"`
		Ops      []opJSON `json:"ops"`
	}
	slowJSON struct {
		Keep      int      `json:"num to keep"`
		Threshold float64  `json:"threshold to keep"`
		Ops       []opJSON `json:"Ops"`
	}
)

// JSON returns the record as it is shown at now.
func (r *Record) json(now time.Time) opJSON {
	stamp := func(d time.Duration) string { return stamp(r.Began.Add(d)) }
	out := opJSON{Text: r.String(), Began: stamp(0), Age: now.Sub(r.Began).Seconds(), Duration: r.Duration.Seconds()}
	out.Data.Client = clientJSON{r.ReqID.Name.String(), fmt.Sprintf("%v/%d", r.Addr.IP, r.Addr.Nonce), r.ReqID.Tid}
	for i, m := range r.Marks {
		e := eventJSON{m.Stage.String(), stamp(m.At), 0}
		if i+1 < len(r.Marks) {
			e.Duration = (r.Marks[i+1].At - m.At).Seconds()
		} else if m.Stage == Done {
			e.Duration = r.Duration.Seconds()
		} else {
			e.Duration = (r.Duration - m.At).Seconds()
		}
		out.Data.Events = append(out.Data.Events, e)
		if m.Stage != Done {
			out.Data.Point = m.Stage.String()
		}
	}
	return out
}

// stamp writes a time as Ceph does.
func stamp(t time.Time) string { return ceph.MakeTime(t).String() }

func (t *Tracker) list(records []Record) []opJSON {
	now := t.now()
	out := []opJSON{}
	for i := range records {
		out = append(out, records[i].json(now))
	}
	return out
}

// DumpInFlight is the answer of `dump_ops_in_flight`.
func (t *Tracker) DumpInFlight() any {
	l := t.list(t.InFlight(0))
	return inFlightJSON{l, len(l)}
}

// DumpBlocked is the answer of `dump_blocked_ops`.
func (t *Tracker) DumpBlocked() any {
	l := t.list(t.InFlight(t.opt.Complain))
	return blockedJSON{l, t.opt.Complain.Seconds(), len(l)}
}

// DumpHistory is the answer of `dump_historic_ops`, or, the slowest first, of
// `dump_historic_ops_by_duration`.
func (t *Tracker) DumpHistory(byDuration bool) any {
	records := t.History()
	if byDuration {
		slices.SortStableFunc(records, func(a, b Record) int { return cmp.Compare(b.Duration, a.Duration) })
	}
	return historyJSON{t.opt.Keep, t.opt.KeepFor.Seconds(), t.list(records)}
}

// DumpSlow is the answer of `dump_historic_slow_ops`.
func (t *Tracker) DumpSlow() any {
	return slowJSON{t.opt.SlowKeep, t.opt.SlowAfter.Seconds(), t.list(t.SlowHistory())}
}
