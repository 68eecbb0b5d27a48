package status

import (
	"time"

	"ebofs/cluster/conf"
	"ebofs/cluster/mon"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/osd/daemon"
	"ebofs/osd/track"
	"ebofs/tools/metrics"
)

// Source is what a process shows. Functions may be called at any time by any
// goroutine, also after what they tell of was stopped. All are optional.
type Source struct {
	Daemon  string // as "osd.3", or "demo"
	Version string
	Started time.Time
	// Cluster is what a monitor knows; nil: there is none here, or, if it returns nil,
	// none at the moment.
	Cluster func() *mon.Overview
	// OSDs are those of this process that run.
	OSDs func() []OSD
	// Options are the process's own.
	Options func() []conf.Setting
	// Ready returns why the process does not serve.
	Ready func() error
	Now   func() time.Time // default time.Now
}

// OSD is an OSD of this process.
type OSD struct {
	ID       int32
	Path     string // of its device
	Counters func() *daemon.Counters
	Requests func() *track.Tracker // nil: nobody follows them
	Store    *ebofs.Store          // nil: it has another
	Device   devices.Device        // of the store; nil: there is no picture
}

// metrics is what Prometheus is told of s.
func (s *Source) metrics(cluster func() *mon.Overview) metrics.Source {
	m := metrics.Source{Daemon: s.Daemon, Version: s.Version, Started: s.Started, Now: s.Now}
	if s.Cluster != nil {
		m.Cluster = cluster
	}
	if s.OSDs != nil {
		m.OSDs = func() (list []metrics.OSD) {
			for _, o := range s.OSDs() {
				list = append(list, metrics.OSD{ID: o.ID, Counters: o.Counters, Store: o.Store})
			}
			return list
		}
	}
	return m
}
