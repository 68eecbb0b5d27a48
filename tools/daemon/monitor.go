package daemon

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/conf"
	"ebofs/cluster/mon"
	"ebofs/cluster/monmap"
	"ebofs/cluster/quorum"
	"ebofs/cluster/quorum/etcd"
)

// ErrMade is returned for making a monitor where there is one.
var ErrMade = errors.New("a monitor was made here already")

// Made reports whether the monitor has been made.
func Made(cfg *conf.Config) bool {
	_, err := os.Stat(filepath.Join(cfg.Text("mon_data"), "cluster.json"))
	return err == nil
}

// ErrNoData is returned for a monitor that has not been made.
var ErrNoData = errors.New("has not been made")

// Seed is what a monitor was made for.
type Seed struct {
	FSID     string            `json:"fsid"`
	Monitors map[string]string `json:"monitors"` // addresses by name
	Domain   string            `json:"failure_domain"`
	// Started is set once the cluster was there: from then on it is never made.
	Started bool `json:"started"`
}

// MakeMonitor makes the data directory of a monitor: it can be started then. keys
// are known to the new cluster from the start, with those of client.admin and mon.
// made where they are missing; what it returns has all of them.
func MakeMonitor(cfg *conf.Config, keys cephx.Keyring, now time.Time) (Seed, cephx.Keyring, error) {
	id, dir := cfg.Name.ID, cfg.Text("mon_data")
	seed := Seed{Monitors: map[string]string{}, Domain: "host"}
	if cfg.Int("osd_crush_chooseleaf_type") == 0 {
		seed.Domain = "osd"
	}
	fsid, err := clusterID(cfg)
	if err != nil {
		return seed, nil, err
	}
	seed.FSID = fsid.String()
	if seed.Monitors, err = members(cfg); err != nil {
		return seed, nil, err
	}
	if seed.Monitors[id] == "" {
		return seed, nil, fmt.Errorf("mon.%s is not among mon_initial_members: %s", id, cfg.Text("mon_initial_members"))
	}
	ring := cephx.Keyring{}
	for n, e := range keys {
		ring[n] = e
	}
	for _, n := range []ceph.EntityName{{Type: ceph.TypeClient, ID: "admin"}, {Type: ceph.TypeMon}} {
		if e := ring[n]; e.Key.IsZero() {
			if len(seed.Monitors) > 1 {
				return seed, nil, fmt.Errorf("the monitors of a new cluster share one keyring, which has no key of %v: make it with ceph-authtool, or make the first monitor alone", n)
			}
			if e.Key, err = cephx.NewKey(rand.Reader, now); err != nil {
				return seed, nil, err
			}
			e.Caps = map[ceph.EntityType]string{ceph.TypeMon: "allow *"}
			if n.ID == "admin" {
				e.Caps[ceph.TypeOSD], e.Caps[ceph.TypeMgr], e.Caps[ceph.TypeMDS] = "allow *", "allow *", "allow *"
			}
			ring[n] = e
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return seed, nil, err
	}
	l, err := lock("mon."+id, dir)
	if err != nil {
		return seed, nil, err
	}
	defer l.Close()
	switch _, err := os.Stat(filepath.Join(dir, "cluster.json")); {
	case err == nil:
		return seed, nil, fmt.Errorf("%s: %w", dir, ErrMade)
	case !errors.Is(err, fs.ErrNotExist):
		return seed, nil, err
	}
	if err := cephx.WriteKeyring(filepath.Join(dir, "keyring"), ring); err != nil {
		return seed, nil, err
	}
	return seed, ring, seed.write(dir)
}

// clusterID is the option fsid, or a new id.
func clusterID(cfg *conf.Config) (id ceph.UUID, err error) {
	if text := cfg.Text("fsid"); text != "" {
		if id, err = ceph.ParseUUID(text); err != nil {
			return id, fmt.Errorf("fsid: %w", err)
		}
		return id, nil
	}
	if _, err := rand.Read(id[:]); err != nil {
		return id, err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id, nil
}

// members are the monitors of a new cluster: the names of mon_initial_members have
// the addresses of mon_host, in their order. A monitor that is alone may have its
// address in public_addr instead.
func members(cfg *conf.Config) (map[string]string, error) {
	names := cfg.Words("mon_initial_members")
	if names == nil {
		names = []string{cfg.Name.ID}
	}
	addrs, err := cfg.Monitors()
	a := cfg.Address("public_addr")
	switch {
	case a.Port() != 0 && len(names) == 1:
		addrs = []ceph.AddrVec{{ceph.MsgrAddr(a, 0)}}
	case err != nil && a.IsValid() && len(names) == 1:
		addrs = []ceph.AddrVec{{ceph.MsgrAddr(netip.AddrPortFrom(a.Addr(), conf.MonitorPort), 0)}}
	case err != nil:
		return nil, err
	}
	if len(addrs) != len(names) {
		return nil, fmt.Errorf("mon_initial_members has %d names, mon_host %d addresses: the monitors of a new cluster need both", len(names), len(addrs))
	}
	out := map[string]string{}
	for i, n := range names {
		out[n] = addrs[i].String()
	}
	return out, nil
}

func (s Seed) write(dir string) error {
	p, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, "cluster.json"), append(p, '\n'), 0o600)
}

func readSeed(dir string) (s Seed, err error) {
	path := filepath.Join(dir, "cluster.json")
	p, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(p, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// cluster is what the seed makes.
func (s Seed) cluster(dir string, now time.Time) (mon.NewCluster, error) {
	n := mon.NewCluster{Domain: s.Domain, Now: now}
	var err error
	if n.FSID, err = ceph.ParseUUID(s.FSID); err != nil {
		return n, err
	}
	for name, text := range s.Monitors {
		v, err := ceph.ParseAddrVec(text)
		if err != nil {
			return n, err
		}
		n.Monitors = append(n.Monitors, monmap.Monitor{Name: name, Addrs: v})
	}
	n.Entities, err = cephx.ReadKeyring(filepath.Join(dir, "keyring"))
	return n, err
}

// Monitor is a monitor that serves, with what it stands on.
type Monitor struct {
	*mon.Monitor
	Config *conf.Config
	dir    *os.File
	quorum quorum.Store
}

// Tuning is what tests and demos want otherwise than operators.
type Tuning struct {
	Fast   bool // elections of members on one machine
	Unsafe bool // no fsync of the monitor's state
	// Report is how often OSDs send statistics; 0: the default.
	Report time.Duration
}

// OpenMonitor starts the monitor whose options are cfg.
func OpenMonitor(ctx context.Context, cfg *conf.Config, t Tuning, log *slog.Logger, now func() time.Time) (_ *Monitor, err error) {
	name, dir := cfg.Name.String(), cfg.Text("mon_data")
	seed, err := readSeed(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %w: no cluster.json in %s", name, ErrNoData, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id := cfg.Text("fsid"); id != "" && !strings.EqualFold(id, seed.FSID) {
		return nil, fmt.Errorf("%s: %s is of cluster %s, the configuration of cluster %s", name, dir, seed.FSID, id)
	}
	m := &Monitor{Config: cfg}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if m.dir, err = lock(name, dir); err != nil {
		return nil, err
	}
	if m.quorum, err = openQuorum(ctx, cfg, dir, t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := mon.Config{Name: cfg.Name.ID, Addr: cfg.Address("public_addr"), Quorum: m.quorum, Options: cfg, Now: now, Log: log}
	if c.Methods, err = methods(cfg, "auth_service_required"); err != nil {
		return nil, err
	}
	if c.Modes, err = modes(cfg, "ms_mon_service_mode"); err != nil {
		return nil, err
	}
	if m.Monitor, err = mon.New(ctx, c); errors.Is(err, mon.ErrNoCluster) {
		if err := seed.make(ctx, name, dir, m.quorum, now()); err != nil {
			return nil, err
		}
		m.Monitor, err = mon.New(ctx, c)
	}
	if err != nil {
		return nil, explainPort(err)
	}
	if at, a := m.State().MonMap.Monitors[cfg.Name.ID].Addrs.Msgr2().IP, cfg.Address("public_addr"); a.IsValid() && a.Addr() != at.Addr() {
		return nil, fmt.Errorf("%s: public_addr is %v, the map of the monitors has it at %v: a monitor is moved with ceph mon set-addrs", name, a.Addr(), at)
	}
	if id := m.State().OSD.FSID.String(); id != seed.FSID {
		return nil, fmt.Errorf("%s: %s is of cluster %s, what the monitors keep is of cluster %s", name, dir, seed.FSID, id)
	}
	if !seed.Started {
		seed.Started = true
		if err := seed.write(dir); err != nil {
			return nil, err
		}
	}
	return m, m.Start(ctx)
}

// make makes the cluster of the seed, unless another monitor of it was quicker.
func (s Seed) make(ctx context.Context, name, dir string, q quorum.Store, now time.Time) error {
	if s.Started {
		return fmt.Errorf("%s: its state is gone: the store in %s is empty, and this monitor has served cluster %s; restore it, or make a new monitor elsewhere", name, dir, s.FSID)
	}
	n, err := s.cluster(dir, now)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, err := mon.Make(ctx, q, n); err != nil && !errors.Is(err, quorum.ErrConflict) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// openQuorum opens the monitors' store: a member in this process, or somebody
// else's cluster.
func openQuorum(ctx context.Context, cfg *conf.Config, dir string, t Tuning) (quorum.Store, error) {
	if list := cfg.Words("ebofs_etcd_endpoints"); list != nil {
		return etcd.Dial(ctx, list)
	}
	o := etcd.EmbedOptions{Name: cfg.Name.ID, Dir: filepath.Join(dir, "store"), Fast: t.Fast, Unsafe: t.Unsafe}
	for _, w := range cfg.Words("ebofs_mon_peers") {
		name, addr, ok := strings.Cut(w, "=")
		if _, err := netip.ParseAddrPort(addr); !ok || err != nil {
			return nil, fmt.Errorf("ebofs_mon_peers: %q: want name=address:port", w)
		}
		if o.Members == nil {
			o.Members = map[string]string{}
		}
		o.Members[name] = addr
	}
	if o.Members != nil {
		if o.Peer = o.Members[cfg.Name.ID]; o.Peer == "" {
			return nil, fmt.Errorf("ebofs_mon_peers does not name %s", cfg.Name.ID)
		}
	}
	return etcd.Embed(ctx, o)
}

// Close ends the monitor.
func (m *Monitor) Close() {
	if m.Monitor != nil {
		m.Monitor.Close()
	}
	if m.quorum != nil {
		m.quorum.Close()
	}
	if m.dir != nil {
		m.dir.Close()
	}
}
