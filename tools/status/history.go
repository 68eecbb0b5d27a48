package status

import (
	"slices"
	"time"
)

// series is one kind of latency for a plot: milliseconds, null where nothing
// happened.
type series struct {
	Rate []float64  `json:"rate"`
	P50  []*float64 `json:"p50_ms"`
	P99  []*float64 `json:"p99_ms"`
}

// History is ten minutes of an OSD, or of all, as the plots want it.
type History struct {
	OSD    int32     `json:"osd"`  // -1: all of this process
	Time   []float64 `json:"time"` // Unix seconds
	Write  series    `json:"write"`
	Read   series    `json:"read"`
	Commit series    `json:"commit"`
	Marks  []Mark    `json:"marks"`
}

// Mark is when the map of the OSDs changed; epoch 0 is not known.
type Mark struct {
	Time  float64 `json:"time"`
	Epoch uint32  `json:"epoch"`
}

// history returns the points of an OSD after a time.
func (r *recorder) history(id int32, after time.Time) *History {
	r.mu.Lock()
	points, marks := slices.Clone(r.mu.points[id]), slices.Clone(r.mu.marks)
	r.mu.Unlock()
	h := &History{OSD: id, Time: []float64{}, Marks: []Mark{}}
	for _, s := range []*series{&h.Write, &h.Read, &h.Commit} {
		*s = series{[]float64{}, []*float64{}, []*float64{}}
	}
	for _, p := range points {
		if !p.At.After(after) {
			continue
		}
		h.Time = append(h.Time, unix(p.At))
		h.Write.add(p.Write)
		h.Read.add(p.Read)
		h.Commit.add(p.Commit)
	}
	for _, m := range marks {
		if m.At.After(after) && len(h.Time) > 0 {
			h.Marks = append(h.Marks, Mark{unix(m.At), uint32(m.Epoch)})
		}
	}
	return h
}

func (s *series) add(l latency) {
	s.Rate = append(s.Rate, l.Rate)
	s.P50 = append(s.P50, millis(l.P50))
	s.P99 = append(s.P99, millis(l.P99))
}

func millis(seconds float64) *float64 {
	if seconds == 0 {
		return nil
	}
	seconds *= 1000
	return &seconds
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
