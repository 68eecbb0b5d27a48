package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/online"
	"ebofs/internal/asok"
	osd "ebofs/osd/daemon"
	"ebofs/osd/ebofsstore"
	"ebofs/tools/store"
)

// OSD is an OSD that serves, with what it stands on.
type OSD struct {
	*osd.OSD
	Config *conf.Config
	Path   string // of the device
	Store  *ebofs.Store
	Device devices.Device // of the store

	store  *ebofsstore.Store
	dev    *devices.File
	logDev *devices.File
}

// DevicePath is where the configuration says that the store of an OSD is.
func DevicePath(cfg *conf.Config) string {
	if p := cfg.Text("ebofs_osd_device"); p != "" {
		return p
	}
	return filepath.Join(cfg.Text("osd_data"), "block")
}

// OpenOSD opens the store of the OSD whose options are cfg; Start makes it serve.
func OpenOSD(ctx context.Context, cfg *conf.Config, t Tuning, log *slog.Logger, now func() time.Time) (_ *OSD, err error) {
	id, err := strconv.ParseInt(cfg.Name.ID, 10, 32)
	if err != nil || id < 0 {
		return nil, fmt.Errorf("%v: an OSD is named by a number from 0 on", cfg.Name)
	}
	c := osd.Config{ID: int32(id), Log: log, Now: now, Host: cfg.Text("host"), Report: t.Report}
	if c.Methods, err = methods(cfg, "auth_cluster_required"); err != nil {
		return nil, err
	}
	if c.Modes, err = modes(cfg, "ms_cluster_mode"); err != nil {
		return nil, err
	}
	if c.ServiceMethods, err = methods(cfg, "auth_service_required"); err != nil {
		return nil, err
	}
	if c.ServiceModes, err = modes(cfg, "ms_service_mode"); err != nil {
		return nil, err
	}
	c.IdleTimeout, c.Track.Complain, c.Stay = cfg.Duration("ms_connection_idle_timeout"), cfg.Duration("osd_op_complaint_time"), !cfg.Bool("osd_crush_update_on_start")
	c.Scrub.Every, c.Scrub.DeepEvery = cfg.Duration("osd_scrub_min_interval"), cfg.Duration("osd_deep_scrub_interval")
	c.Scrub.BytesPerSecond = int64(cfg.Bytes("ebofs_osd_scrub_bytes_per_second"))
	c.Track.Keep, c.Track.KeepFor = int(cfg.Int("osd_op_history_size")), cfg.Duration("osd_op_history_duration")
	c.Track.SlowKeep, c.Track.SlowAfter = int(cfg.Int("osd_op_history_slow_op_size")), cfg.Duration("osd_op_history_slow_op_threshold")
	if text := cfg.Text("fsid"); text != "" {
		if c.FSID, err = ceph.ParseUUID(text); err != nil {
			return nil, fmt.Errorf("%v: fsid: %w", cfg.Name, err)
		}
	}
	if c.Monitors, err = cfg.Monitors(); err != nil {
		return nil, err
	}
	if needsKey(c.Methods) {
		if c.Key, err = key(cfg); err != nil {
			return nil, err
		}
	}
	if err := place(cfg, &c); err != nil {
		return nil, err
	}
	o := &OSD{Config: cfg, Path: DevicePath(cfg)}
	defer func() {
		if err != nil {
			_ = o.closeStore(context.Background())
		}
	}()
	if err := o.openStore(ctx, log, now); err != nil {
		return nil, err
	}
	c.Store, c.Reclaim = o.store, o.reclaim
	c.Configure = func(values map[string]string) {
		if err := cfg.UseDatabase(values); err != nil {
			log.Warn("options in the monitors' database that make no sense are left out", "err", err)
		}
	}
	c.Commands = func() []asok.Command { return configCommands(cfg) }
	c.Metadata = o.devices()
	if o.OSD, err = bind(ctx, cfg, c); err != nil {
		return nil, explainPort(err)
	}
	return o, nil
}

// devices says which devices the store has, as `ceph osd metadata` shows it.
func (o *OSD) devices() map[string]string {
	path := o.Path
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	}
	m := map[string]string{"ebofs_device": path, "devices": filepath.Base(path)}
	if p := o.Config.Text("ebofs_osd_log_device"); p != "" {
		m["ebofs_log_device"] = p
	}
	return m
}

// place reads crush_location.
func place(cfg *conf.Config, c *osd.Config) error {
	for _, w := range cfg.Words("crush_location") {
		switch kind, name, _ := strings.Cut(w, "="); {
		case kind == "host" && name != "":
			c.Host = name
		case kind == "root" && name != "":
			c.Root = name
		default:
			return fmt.Errorf("crush_location: %q: want root=NAME host=NAME; other kinds of buckets are made with ceph osd crush", w)
		}
	}
	return nil
}

// bind makes the OSD on its port, or on the first that is free.
func bind(ctx context.Context, cfg *conf.Config, c osd.Config) (*osd.OSD, error) {
	at, err := address(cfg)
	if err != nil {
		return nil, err
	}
	if at.Port() != 0 {
		c.Addr = at
		return osd.New(ctx, c)
	}
	from, to := cfg.Int("ms_bind_port_min"), cfg.Int("ms_bind_port_max")
	if from < 1 || to > 65535 || from > to {
		return nil, fmt.Errorf("ms_bind_port_min %d, ms_bind_port_max %d: not a range of ports", from, to)
	}
	for p := from; p <= to; p++ {
		c.Addr = netip.AddrPortFrom(at.Addr(), uint16(p))
		if o, err := osd.New(ctx, c); !errors.Is(err, syscall.EADDRINUSE) {
			return o, err
		}
	}
	return nil, fmt.Errorf("%v: every port from %d to %d of %v is taken: %w", cfg.Name, from, to, at.Addr(), syscall.EADDRINUSE)
}

// address is where peers reach this host: public_addr, its address in
// public_network, or the address that its way to the monitors begins with.
func address(cfg *conf.Config) (netip.AddrPort, error) {
	if a := cfg.Address("public_addr"); a.IsValid() {
		return a, nil
	}
	if nets := cfg.Words("public_network"); nets != nil {
		return within(nets)
	}
	mons, err := cfg.Monitors()
	if err != nil {
		return netip.AddrPort{}, err
	}
	c, err := net.Dial("udp", mons[0].Msgr2().IP.String()) // sends nothing
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("public_addr is not set, and there is no way to the monitor: %w", err)
	}
	defer c.Close()
	local := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(local.Addr().Unmap(), 0), nil
}

// within finds an address of this host in one of the networks.
func within(nets []string) (netip.AddrPort, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, text := range nets {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("public_network: %q: want a network as 10.0.0.0/24", text)
		}
		for _, a := range own {
			if p, err := netip.ParsePrefix(a.String()); err == nil && n.Contains(p.Addr().Unmap()) {
				return netip.AddrPortFrom(p.Addr().Unmap(), 0), nil
			}
		}
	}
	return netip.AddrPort{}, fmt.Errorf("public_network: this host has no address in %s", strings.Join(nets, ", "))
}

// openStore mounts the store.
func (o *OSD) openStore(ctx context.Context, log *slog.Logger, now func() time.Time) (err error) {
	if o.dev, err = store.Open(o.Path, true); err != nil {
		return err
	}
	o.Device = o.dev
	opts := ebofs.Options{MemoryBytes: o.Config.Bytes("osd_memory_target"), Warm: true, Logger: log, Now: now}
	percent := o.Config.Int("ebofs_osd_defrag_percent")
	if percent < 0 || percent > 99 {
		return fmt.Errorf("ebofs_osd_defrag_percent: %d is not from 0 to 99", percent)
	}
	opts.Defrag = ebofs.DefragOptions{Score: float64(percent) / 100, BytesPerSecond: uint64(o.Config.Bytes("ebofs_osd_defrag_bytes_per_second"))}
	opts.DiscardBytesPerSecond = uint64(o.Config.Bytes("ebofs_osd_discard_bytes_per_second"))
	if p := o.Config.Text("ebofs_osd_log_device"); p != "" {
		if o.logDev, err = store.Open(p, true); err != nil {
			return err
		}
		opts.LogDevice = o.logDev
	}
	if o.Store, err = ebofs.Open(ctx, o.dev, opts); err != nil {
		return fmt.Errorf("%s: %w", o.Path, err)
	}
	o.store = ebofsstore.New(o.Store)
	return nil
}

// Online returns the commands by which others ask about the store and have it
// checked while it is in use.
func (o *OSD) Online(log *slog.Logger, level *slog.LevelVar, now func() time.Time) *online.Commands {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		path = o.Path
	}
	return online.New(online.Options{Store: o.Store, Path: path, Level: level, Logger: log, Now: now})
}

// Stop ends the OSD and closes its store, which is clean then.
func (o *OSD) Stop(ctx context.Context) error {
	o.Close()
	return o.closeStore(ctx)
}

func (o *OSD) closeStore(ctx context.Context) error {
	var err error
	if o.store != nil {
		err = o.store.Close(ctx)
	}
	for _, d := range []*devices.File{o.dev, o.logDev} {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	return err
}

// patience is how long a daemon waits for what it needs before it says so.
const patience = 5 * time.Second

// Begin makes the OSD serve. While it waits for the monitors it says why, and asks
// the service manager for more time.
func (o *OSD) Begin(ctx context.Context, log *slog.Logger, more func(time.Duration) error) error {
	started := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { started <- o.Start(ctx) }()
	t := time.NewTicker(patience)
	defer t.Stop()
	for {
		select {
		case err := <-started:
			return err
		case <-t.C:
		}
		mons, err := o.Config.Monitors()
		if err == nil {
			err = reach(ctx, mons)
		}
		switch refused := o.TurnedAway(); {
		case err != nil:
			log.Warn("no monitor is reached; trying on", "err", err)
		case refused != nil:
			log.Warn("the monitors refuse this OSD; is its key theirs? trying on", "err", refused, "keyrings", strings.Join(o.Config.Keyrings(), ", "))
		default:
			log.Warn("the monitors have not marked this OSD up; waiting")
		}
		if err := more(2 * patience); err != nil {
			log.Warn("service manager is not told", "err", err)
		}
	}
}

// reach tries to open a connection to a monitor and returns what the last try said.
func reach(ctx context.Context, list []ceph.AddrVec) error {
	var last error
	for _, v := range list {
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.DialContext(ctx, "tcp", v.Msgr2().IP.String())
		if err == nil {
			return c.Close()
		}
		last = err
	}
	return last
}

// reclaim makes a checkpoint if objects have changed since the last one.
func (o *OSD) reclaim(ctx context.Context) error {
	if o.Store.Metrics().DirtyOnodes == 0 {
		return nil
	}
	return o.Store.Checkpoint(ctx)
}

// Alive commits a transaction: a disk that hangs is noticed.
func (o *OSD) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return o.OSD.Touch(ctx)
}
