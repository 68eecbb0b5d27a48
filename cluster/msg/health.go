package msg

import "ebofs/cluster/denc"

// HealthMetric is a number of a daemon that the cluster's health depends on.
type HealthMetric struct {
	Kind          uint8
	Count, Second uint32 // of slow requests: their number, the age of the oldest in seconds
}

// HealthSlowOps is the kind of slow requests.
const HealthSlowOps uint8 = 0

func (h HealthMetric) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	e.U8(h.Kind)
	e.U32(h.Count)
	e.U32(h.Second)
	e.End(m)
}

// Metrics reads the health metrics of a report that was received.
func (m *MgrReport) Metrics() ([]HealthMetric, error) {
	if m.Body == nil {
		return m.Health, nil
	}
	d := denc.NewDecoder(m.Body)
	for range d.Count(6) { // types of counters
		d.End(d.Begin(255))
	}
	d.Bytes() // counters
	denc.Slice(d, 4, (*denc.Decoder).Str)
	d.Str()
	if d.Bool() {
		denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str)
	}
	list := denc.Slice(d, 15, func(d *denc.Decoder) (h HealthMetric) {
		s := d.Begin(1)
		h = HealthMetric{d.U8(), d.U32(), d.U32()}
		d.End(s)
		return h
	})
	return list, d.Err()
}
