package osd

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/cluster/ceph"
	"ebofs/internal/asok"
	"ebofs/internal/sdnotify"
	"ebofs/tools/daemon"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "osd".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "osd", Short: "run an object storage daemon", Schema: "ebofs.osd/1",
		Long: `Runs an OSD in the foreground: it serves the store on a device that mkfs.ebofs has formatted. The device is the option ebofs_osd_device, else the link "block" in osd_data; its key is in the keyring in osd_data. The first start makes the store that of this OSD and this cluster, for good; the OSD tells the monitors of itself, and where it is (crush_location).

SIGTERM marks it down and closes the store, SIGHUP opens the log anew and reads the configuration again, SIGUSR1 logs its state. All options: ebofs config show osd.ID.`,
		New: func(flags *pflag.FlagSet) verb.Run {
			j := &job{}
			j.flags.Add(flags)
			flags.StringVar(&j.device, "device", "", "`DEV` with the store, instead of the option ebofs_osd_device")
			return j.run
		},
		Examples: []verb.Example{
			{Command: "ebofs osd -i 0", Text: "runs osd.0"},
			{Command: "ebofs osd -i 0 --device /dev/sdb", Text: "on this disk"},
		},
		SeeAlso: []string{"mkfs", "mon", "config", "admin", "demo"},
	}
}

type job struct {
	flags  daemon.Flags
	device string
}

func (j *job) run(ctx context.Context, c *verb.Call) error {
	if j.device != "" {
		j.flags.Set("ebofs_osd_device=" + j.device)
	}
	cfg, err := j.flags.Load(c, ceph.TypeOSD)
	if err != nil {
		return err
	}
	log, reopen, err := j.flags.Log(c, cfg)
	if err != nil {
		return err
	}
	path := daemon.DevicePath(cfg)
	if err := store.Preflight(c, path, true); err != nil {
		return unformatted(c, path, err)
	}
	store.TuneHeap(cfg.Bytes("osd_memory_target"))
	o, err := daemon.OpenOSD(ctx, cfg, daemon.Tuning{}, log, c.Now)
	if err != nil {
		return unformatted(c, path, store.Explain(c, path, daemon.Explain(c, err)))
	}
	if err := o.Begin(ctx, log, sdnotify.ExtendTimeout); err != nil {
		err = errors.Join(daemon.Explain(c, err), o.Stop(context.Background()))
		if ctx.Err() != nil {
			return context.Canceled
		}
		return err
	}
	online := o.Online(log, c.Level, c.Now)
	defer online.Close()
	if c.RunDir != "" { // fsck --online asks by the store's id
		sock, err := asok.Listen(asok.Options{Dir: c.RunDir, Name: o.Store.Superblock().FSID.Short(), Version: c.Version, Logger: log, Now: c.Now}, online.List()...)
		if err != nil {
			log.Warn("no admin socket of the store; going on without", "err", err)
		} else {
			defer sock.Close()
		}
	}
	src := o.Source()
	s := daemon.Service{
		Config: cfg, Log: log, Reopen: reopen, Commands: append(o.Commands(), online.List()...), Status: o.Summary, Failed: o.Failed, Alive: o.Alive, Stop: o.Stop, Source: &src,
	}
	return s.Run(ctx, c)
}

// unformatted says how to make the store that is not there.
func unformatted(c *verb.Call, path string, err error) error {
	var f *verb.Failure
	if errors.As(err, &f) && f.Code == store.CodeNoStore {
		g := *f
		g.Hint = strings.TrimSpace(g.Hint + "\nMake a store there: " + c.Command("mkfs", path))
		return &g
	}
	return err
}
