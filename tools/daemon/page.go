package daemon

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"ebofs/cluster/conf"
	"ebofs/tools/status"
	"ebofs/tools/verb"
)

// firstOSDPort is where the page of osd.0 is by default, that of osd.1 behind it: a
// host has several OSDs.
const firstOSDPort = 9300

// pageAddr is where a daemon's status page is, and whether its options say so; ""
// for nowhere.
func pageAddr(cfg *conf.Config) (addr string, asked bool) {
	switch a := cfg.Text("ebofs_http_addr"); a {
	case "none":
		return "", true
	case "":
		if cfg.Name.Type.String() == "mon" {
			return status.DefaultAddr, false
		}
		if id, err := strconv.ParseUint(cfg.Name.ID, 10, 15); err == nil && firstOSDPort+id < 1<<16 {
			return net.JoinHostPort("127.0.0.1", strconv.FormatUint(firstOSDPort+id, 10)), false
		}
		return "", false
	default:
		return a, true
	}
}

// page serves the status page. A port that is taken is an error if somebody asked for
// it, else the daemon goes on without. It returns nil if there is no page.
func (s *Service) page(c *verb.Call) (*status.Server, error) {
	if s.Source == nil {
		return nil, nil
	}
	addr, asked := pageAddr(s.Config)
	if addr == "" {
		return nil, nil
	}
	src := *s.Source
	src.Daemon, src.Version, src.Started, src.Now, src.Options = s.Config.Name.String(), "ebofs "+c.Version, c.Now(), c.Now, s.Config.Changed
	p, err := status.Serve(addr, 1, src, s.Log)
	switch {
	case err == nil:
		s.Log.Info("status page", "url", p.URL())
		return p, nil
	case errors.Is(err, syscall.EADDRINUSE) && !asked:
		s.Log.Warn("no status page: its default port is taken; give another as ebofs_http_addr", "err", explainPort(err))
		return nil, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("ebofs_http_addr: %w", explainPort(err))
	}
	return nil, fmt.Errorf("ebofs_http_addr: %w", err)
}

// Source is what the page shows of a monitor.
func (m *Monitor) Source() status.Source {
	return status.Source{Cluster: m.Overview, Ready: m.Ready}
}

// Shown is what the page shows of an OSD.
func (o *OSD) Shown() status.OSD {
	id, _ := strconv.ParseInt(o.Config.Name.ID, 10, 32)
	return status.OSD{ID: int32(id), Path: o.Path, Counters: o.Counters, Requests: o.Requests, Store: o.Store, Device: o.Device}
}

// Source is what the page shows of an OSD alone.
func (o *OSD) Source() status.Source {
	list := []status.OSD{o.Shown()}
	return status.Source{OSDs: func() []status.OSD { return list }, Ready: o.Ready}
}
