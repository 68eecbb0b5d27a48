package local

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/conf"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/tools/daemon"
)

// Options say what cluster is wanted. The zero value of each but Dir works.
type Options struct {
	Dir string
	// OSDs and their size in bytes. Default: one of 1 GiB.
	OSDs     int
	OSDBytes uint64
	// Devices, if given, are used instead of images, one an OSD; they have been
	// formatted.
	Devices []string
	// Auth is "cephx", the default, or "none". Mode is "secure", the default, or
	// "crc", for all connections.
	Auth, Mode string
	// Port is where the monitor listens. Default: one that is free.
	Port int
	// Memory of each OSD, in bytes. Default 256 MiB.
	Memory int64
	// Set are further lines of [global], "key = value".
	Set []string
	daemon.Tuning
	Log *slog.Logger
	Now func() time.Time
}

// Cluster is a cluster that runs.
type Cluster struct {
	o    Options
	Mon  *daemon.Monitor // nil while stopped
	OSDs []*daemon.OSD   // likewise each
}

// Make makes the cluster in Dir, or finds it there. Nothing runs yet.
func Make(ctx context.Context, o Options) (*Cluster, error) {
	o.OSDs, o.OSDBytes = cmp.Or(len(o.Devices), o.OSDs, 1), cmp.Or(o.OSDBytes, 1<<30)
	o.Auth, o.Mode, o.Memory = cmp.Or(o.Auth, "cephx"), cmp.Or(o.Mode, "secure"), cmp.Or(o.Memory, 256<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	c := &Cluster{o: o}
	// run is for the sockets of clients, too, which make no directory.
	if err := os.MkdirAll(filepath.Join(o.Dir, "run"), 0o700); err != nil {
		return nil, err
	}
	if n, err := c.found(); err != nil {
		return nil, err
	} else if n > 0 {
		o.OSDs = n
	}
	for i := range o.OSDs {
		if err := c.image(ctx, i); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(c.Conf()); errors.Is(err, fs.ErrNotExist) {
		if err := c.write(); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	c.OSDs = make([]*daemon.OSD, o.OSDs)
	return c, nil
}

// found returns how many OSDs the cluster in the directory has, 0 if there is none.
func (c *Cluster) found() (n int, err error) {
	f, err := conf.Read(c.Conf())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, l := range f.Lines {
		if strings.HasPrefix(l.Section, "osd.") && l.Key == "ebofs_osd_device" {
			n++
		}
	}
	return n, nil
}

// Conf is the path of the configuration: what CEPH_CONF is to be.
func (c *Cluster) Conf() string { return filepath.Join(c.o.Dir, "ceph.conf") }

func (c *Cluster) keyring() string { return filepath.Join(c.o.Dir, "keyring") }

// Device is where the store of an OSD is.
func (c *Cluster) Device(i int) string {
	if i < len(c.o.Devices) {
		return c.o.Devices[i]
	}
	return filepath.Join(c.o.Dir, fmt.Sprintf("osd.%d.img", i))
}

// image makes and formats an image that is not there.
func (c *Cluster) image(ctx context.Context, i int) error {
	if i < len(c.o.Devices) {
		return nil
	}
	path := c.Device(i)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	// Under another name until it is formatted: a kill leaves no half image.
	f, err := os.CreateTemp(c.o.Dir, "new-*.img")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(f.Truncate(int64(c.o.OSDBytes)), f.Close()); err != nil {
		return err
	}
	dev, err := devices.OpenFile(f.Name(), devices.FileOptions{})
	if err != nil {
		return err
	}
	_, err = ebofs.Format(ctx, dev, ebofs.FormatOptions{})
	if err := errors.Join(err, dev.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// write makes the keys, the monitor's directory and the configuration, which comes
// last: a directory without it holds no cluster.
func (c *Cluster) write() error {
	port, err := c.port()
	if err != nil {
		return err
	}
	var id ceph.UUID
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	ring := cephx.Keyring{}
	for i := range c.o.OSDs {
		k, err := cephx.NewKey(rand.Reader, c.o.Now())
		if err != nil {
			return err
		}
		ring[osdName(i)] = cephx.Entity{Key: k, Caps: map[ceph.EntityType]string{ceph.TypeMon: "allow profile osd", ceph.TypeMgr: "allow profile osd", ceph.TypeOSD: "allow *"}}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by ebofs; export CEPH_CONF=%s\n[global]\n", c.Conf())
	for _, l := range append([]string{
		"fsid = " + id.String(),
		fmt.Sprintf("mon_host = v2:127.0.0.1:%d", port),
		"mon_initial_members = a",
		"public_addr = 127.0.0.1",
		"keyring = " + c.keyring(),
		"auth_cluster_required = " + c.o.Auth, "auth_service_required = " + c.o.Auth, "auth_client_required = " + c.o.Auth,
		"ms_cluster_mode = " + c.o.Mode, "ms_service_mode = " + c.o.Mode, "ms_client_mode = " + c.o.Mode,
		"ms_mon_cluster_mode = " + c.o.Mode, "ms_mon_service_mode = " + c.o.Mode, "ms_mon_client_mode = " + c.o.Mode,
		"run_dir = " + filepath.Join(c.o.Dir, "run"),
		"admin_socket = $run_dir/$cluster-$name.asok",
		"osd_crush_chooseleaf_type = 0",
		"osd_pool_default_size = 1", "osd_pool_default_min_size = 1",
		"mon_allow_pool_size_one = true", "mon_allow_pool_delete = true", "mon_warn_on_pool_no_redundancy = false",
	}, c.o.Set...) {
		b.WriteString(l + "\n")
	}
	// A client would take the socket of a daemon for its own.
	fmt.Fprintf(&b, "[client]\nadmin_socket = $run_dir/$cluster-$name.$pid.$cctid.asok\n")
	fmt.Fprintf(&b, "[mon]\nmon_data = %s/mon.$id\npublic_addr = 127.0.0.1:%d\n", c.o.Dir, port)
	fmt.Fprintf(&b, "[osd]\nosd_data = %s\nosd_memory_target = %d\n", c.o.Dir, c.o.Memory)
	for i := range c.o.OSDs {
		fmt.Fprintf(&b, "[osd.%d]\nebofs_osd_device = %s\n", i, c.Device(i))
	}
	tmp := filepath.Join(c.o.Dir, "new.conf")
	if err := os.WriteFile(tmp, []byte(b.String()), 0o644); err != nil {
		return err
	}
	cfg, err := c.config(tmp, ceph.EntityName{Type: ceph.TypeMon, ID: "a"})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(cfg.Text("mon_data")); err != nil { // of a Make that did not end
		return err
	}
	_, ring, err = daemon.MakeMonitor(cfg, ring, c.o.Now())
	if err != nil {
		return err
	}
	if err := cephx.ReplaceKeyring(c.keyring(), ring); err != nil {
		return err
	}
	return os.Rename(tmp, c.Conf())
}

// port is where the monitor is to listen: a port that is free now, and that no
// outgoing connection is given while the monitor is stopped.
func (c *Cluster) port() (int, error) {
	if c.o.Port != 0 {
		return c.o.Port, nil
	}
	var last error
	for range 100 {
		p := firstPort + mathrand.IntN(ports)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err == nil {
			return p, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("no port for a monitor: %w", last)
}

// Linux gives outgoing connections ports from 32768 on.
const (
	firstPort = 10000
	ports     = 20000
)

func (c *Cluster) config(path string, n ceph.EntityName) (*conf.Config, error) {
	cfg, _, err := conf.New(conf.Load{Name: n, Path: path})
	return cfg, err
}

func osdName(i int) ceph.EntityName {
	return ceph.EntityName{Type: ceph.TypeOSD, ID: fmt.Sprint(i)}
}

// Start starts the monitor and every OSD that do not run.
func (c *Cluster) Start(ctx context.Context) error {
	if err := c.StartMon(ctx); err != nil {
		return err
	}
	errs := make([]error, len(c.OSDs))
	var wg sync.WaitGroup
	for i := range c.OSDs {
		wg.Go(func() { errs[i] = c.StartOSD(ctx, i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// StartMon starts the monitor if it does not run.
func (c *Cluster) StartMon(ctx context.Context) error {
	if c.Mon != nil {
		return nil
	}
	cfg, err := c.config(c.Conf(), ceph.EntityName{Type: ceph.TypeMon, ID: "a"})
	if err != nil {
		return err
	}
	c.Mon, err = daemon.OpenMonitor(ctx, cfg, c.o.Tuning, c.o.Log.With("daemon", "mon.a"), c.o.Now)
	return err
}

// StartOSD starts an OSD if it does not run.
func (c *Cluster) StartOSD(ctx context.Context, i int) error {
	if c.OSDs[i] != nil {
		return nil
	}
	cfg, err := c.config(c.Conf(), osdName(i))
	if err != nil {
		return err
	}
	log := c.o.Log.With("daemon", osdName(i).String())
	o, err := daemon.OpenOSD(ctx, cfg, c.o.Tuning, log, c.o.Now)
	if err != nil {
		return err
	}
	if err := o.Begin(ctx, log, func(time.Duration) error { return nil }); err != nil {
		return errors.Join(err, o.Stop(context.Background()))
	}
	c.OSDs[i] = o
	return nil
}

// StopMon stops the monitor.
func (c *Cluster) StopMon() {
	if c.Mon != nil {
		c.Mon.Close()
		c.Mon = nil
	}
}

// StopOSD stops an OSD.
func (c *Cluster) StopOSD(ctx context.Context, i int) error {
	o := c.OSDs[i]
	if o == nil {
		return nil
	}
	c.OSDs[i] = nil
	return o.Stop(ctx)
}

// Stop stops everything.
func (c *Cluster) Stop(ctx context.Context) error {
	errs := make([]error, len(c.OSDs))
	var wg sync.WaitGroup
	for i := range c.OSDs {
		wg.Go(func() { errs[i] = c.StopOSD(ctx, i) })
	}
	wg.Wait()
	c.StopMon()
	return errors.Join(errs...)
}

// Command runs a command of the monitor as client.admin: its prefix, and its
// arguments in pairs. It returns the JSON.
func (c *Cluster) Command(ctx context.Context, prefix string, args ...any) ([]byte, error) {
	if c.Mon == nil {
		return nil, errors.New("the monitor does not run")
	}
	m := map[string]any{"prefix": prefix, "format": "json"}
	for i := 0; i+1 < len(args); i += 2 {
		m[args[i].(string)] = args[i+1]
	}
	p, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	out, _, err := c.Mon.Run(ctx, string(p), nil)
	return out, err
}

// WaitClean waits until every PG of every pool is active and clean.
func (c *Cluster) WaitClean(ctx context.Context) error {
	for {
		p, err := c.Command(ctx, "status")
		if err != nil {
			return err
		}
		var st struct {
			PGs struct {
				N      int `json:"num_pgs"`
				States []struct {
					Name  string `json:"state_name"`
					Count int    `json:"count"`
				} `json:"pgs_by_state"`
			} `json:"pgmap"`
		}
		if err := json.NewDecoder(bytes.NewReader(p)).Decode(&st); err != nil {
			return err
		}
		clean := 0
		for _, s := range st.PGs.States {
			if s.Name == "active+clean" {
				clean += s.Count
			}
		}
		if clean == st.PGs.N {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d PGs are active and clean: %w", clean, st.PGs.N, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
