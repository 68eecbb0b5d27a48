package mon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/conf"
	"ebofs/tools/daemon"
	"ebofs/tools/verb"
)

// Verb describes "mon".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "mon", Short: "make and run a monitor", Schema: "ebofs.mon/1",
		Long: `Runs a monitor in the foreground: it keeps the maps of the cluster, lets clients and daemons in, and answers the ceph command. What it keeps is in mon_data; several monitors share it (ebofs_mon_peers), or it is in an etcd cluster of its own (ebofs_etcd_endpoints).

A monitor is made once, with --mkfs: of a new cluster, whose id is fsid of the configuration, or a new one. The keys of client.admin and of the monitors are made, and written where clients look for them; those of a keyring given with --keyring are taken as they are.

SIGTERM ends it, SIGHUP opens the log anew and reads the configuration again, SIGUSR1 logs its state. All options: ebofs config show mon.ID.`,
		New: func(flags *pflag.FlagSet) verb.Run {
			j := &job{}
			j.flags.Add(flags)
			flags.BoolVar(&j.mkfs, "mkfs", false, "make the monitor and end")
			flags.StringVar(&j.keyring, "keyring", "", "with --mkfs: `FILE` with keys the new cluster is to know")
			flags.StringVar(&j.admin, "admin-keyring", "", "with --mkfs: `FILE` for the key of client.admin; default: the first place clients look in")
			return j.run
		},
		Examples: []verb.Example{
			{Command: "ebofs mon -i a --mkfs", Text: "makes the first monitor of a new cluster"},
			{Command: "ebofs mon -i a", Text: "runs it"},
		},
		SeeAlso: []string{"osd", "config", "demo"},
	}
}

type job struct {
	flags          daemon.Flags
	mkfs           bool
	keyring, admin string
}

func (j *job) run(ctx context.Context, c *verb.Call) error {
	cfg, err := j.flags.Load(c, ceph.TypeMon)
	if err != nil {
		return err
	}
	if j.mkfs {
		return j.make(c, cfg)
	}
	log, reopen, err := j.flags.Log(c, cfg)
	if err != nil {
		return err
	}
	m, err := daemon.OpenMonitor(ctx, cfg, daemon.Tuning{}, log, c.Now)
	if errors.Is(err, daemon.ErrNoData) {
		return &verb.Failure{Code: daemon.CodeConfig, Message: err.Error(), Hint: "Make it: " + c.Command("mon", append(c.Given(), "--mkfs")...), Err: err}
	}
	if err != nil {
		return daemon.Explain(c, err)
	}
	src := m.Source()
	s := daemon.Service{
		Config: cfg, Log: log, Reopen: reopen, Status: m.Summary, Source: &src,
		Stop: func(context.Context) error { m.Close(); return nil },
	}
	return s.Run(ctx, c)
}

// made is the JSON of --mkfs.
type made struct {
	FSID    string `json:"fsid"`
	Data    string `json:"mon_data"`
	Keyring string `json:"admin_keyring"`
}

// make makes the monitor.
func (j *job) make(c *verb.Call, cfg *conf.Config) error {
	if daemon.Made(cfg) {
		return &verb.Failure{Code: daemon.CodeConfig, Message: fmt.Sprintf("mon.%s: %v in %s", cfg.Name.ID, daemon.ErrMade, cfg.Text("mon_data")),
			Hint: "Nothing was written. Run it: " + c.Command("mon", c.Given("mkfs", "keyring", "admin-keyring")...)}
	}
	keys := cephx.Keyring{}
	if j.keyring != "" {
		var err error
		if keys, err = cephx.ReadKeyring(j.keyring); err != nil {
			return err
		}
	}
	admin := j.admin
	if admin == "" {
		admin = adminKeyring(cfg)
	}
	name := ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}
	old, err := cephx.ReadKeyring(admin)
	switch {
	case err == nil && keys[name].Key.IsZero():
		return &verb.Failure{Code: daemon.CodeConfig, Message: admin + ": there is a keyring already, of another cluster perhaps",
			Hint: "Nothing was written. To use it here: --keyring " + verb.Quote(admin) + ". To keep it: --admin-keyring with another name."}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	seed, ring, err := daemon.MakeMonitor(cfg, keys, c.Now())
	if err != nil {
		return daemon.Explain(c, err)
	}
	if old == nil {
		if err := os.MkdirAll(filepath.Dir(admin), 0o755); err != nil {
			return err
		}
		if err := cephx.WriteKeyring(admin, cephx.Keyring{name: ring[name]}); err != nil {
			return fmt.Errorf("keyring of client.admin: %w", err)
		}
	}
	dir := cfg.Text("mon_data")
	c.Printf("mon.%s of cluster %s in %s\n", cfg.Name.ID, seed.FSID, dir)
	c.Printf("key of client.admin in %s\n", admin)
	if cfg.Text("fsid") == "" {
		c.Printf("for the configuration: fsid = %s\n", seed.FSID)
	}
	c.Printf("run it:  %s\n", c.Command("mon", c.Given("mkfs", "keyring", "admin-keyring")...))
	c.Set(made{seed.FSID, dir, admin})
	return nil
}

// adminKeyring is where clients look for the key of client.admin first.
func adminKeyring(cfg *conf.Config) string {
	a := cfg.As(ceph.EntityName{Type: ceph.TypeClient, ID: "admin"})
	if list := a.Keyrings(); len(list) > 0 {
		return list[0]
	}
	return "/etc/ceph/" + cfg.Cluster + ".client.admin.keyring"
}
