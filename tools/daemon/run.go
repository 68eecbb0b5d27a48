package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/internal/asok"
	"ebofs/internal/sdnotify"
	"ebofs/tools/status"
	"ebofs/tools/verb"
)

// The codes of daemons.
const (
	CodeConfig  = "E-CONFIG"
	CodeRunning = "E-RUNNING"
)

// Flags are the flags of every daemon's verb.
type Flags struct {
	id, conf, cluster string
	set               []string
	http              string
	foreground, debug bool
}

// Add adds the flags to those of a verb.
func (f *Flags) Add(fs *pflag.FlagSet) {
	fs.StringVarP(&f.id, "id", "i", "", "`ID` of the daemon, as 0 or a")
	fs.StringVarP(&f.conf, "conf", "c", "", "`FILE` of the configuration; default: $CEPH_CONF, else /etc/ceph/CLUSTER.conf")
	fs.StringVar(&f.cluster, "cluster", "ceph", "`NAME` of the cluster, for default paths")
	fs.StringArrayVar(&f.set, "set", nil, "set option `NAME=VALUE`; may be given again")
	fs.StringVar(&f.http, "http", "", "serve the status page and metrics at `ADDR`, or none; default: the option ebofs_http_addr")
	fs.BoolVarP(&f.foreground, "foreground", "f", false, "stay in the foreground, as is done always")
	fs.BoolVarP(&f.debug, "debug", "d", false, "stay in the foreground and log to stderr")
}

// Set adds an option as --set does.
func (f *Flags) Set(s string) { f.set = append(f.set, s) }

// Load reads the options of the daemon that the flags name.
func (f *Flags) Load(c *verb.Call, t ceph.EntityType) (*conf.Config, error) {
	id := strings.TrimPrefix(f.id, t.String()+".")
	if id == "" {
		return nil, verb.Usage("which one? give its --id")
	}
	if strings.ContainsAny(id, "/ \t\n\x00") {
		return nil, verb.Usage(fmt.Sprintf("--id %q: not a name", id))
	}
	var args []string
	for _, s := range f.set {
		args = append(args, "--"+s)
	}
	if f.http != "" {
		args = append(args, "--ebofs_http_addr="+f.http)
	}
	cfg, warnings, err := conf.New(conf.Load{
		Name: ceph.EntityName{Type: t, ID: id}, Cluster: f.cluster, Path: f.conf, Getenv: c.Getenv, Args: args,
	})
	if err != nil {
		return nil, &verb.Failure{Code: CodeConfig, Message: err.Error(), Hint: "Every option: " + c.Command("config", "show", t.String()+"."+id), Err: err}
	}
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	return cfg, nil
}

// Log makes the log of the daemon; its level is the call's, unless the flag was not
// given: then that of the options.
func (f *Flags) Log(c *verb.Call, cfg *conf.Config) (*slog.Logger, func() error, error) {
	if !c.Flags.Changed("log-level") {
		c.Level.Set(levelOf(cfg))
	}
	path := cfg.Text("log_file")
	if f.debug {
		path = ""
	}
	l, err := newLogger(cfg, path, c.Err, c.Level, c.Getenv("JOURNAL_STREAM") != "")
	if err != nil {
		return nil, nil, &verb.Failure{Code: CodeConfig, Message: err.Error(), Err: err}
	}
	var set []any
	for _, s := range cfg.Changed() {
		from := s.Source.String()
		if s.Where != "" {
			from += " " + s.Where
		}
		set = append(set, slog.String(s.Name, fmt.Sprintf("%s (%s)", s.Shown(), from)))
	}
	l.Info("options that are not the default", set...)
	return l.Logger, l.Reopen, nil
}

// Service is a daemon that Run waits for.
type Service struct {
	Config   *conf.Config
	Log      *slog.Logger
	Reopen   func() error // of the log
	Commands []asok.Command
	// Status is one line about how it is.
	Status func() string
	// Failed returns a channel that is closed when something changes, and why the
	// service cannot go on; nil: it never fails.
	Failed func() (<-chan struct{}, error)
	// Alive does a piece of the daemon's work from end to end, for the watchdog.
	Alive func(context.Context) error
	// Source is what its status page shows; nil: it has none.
	Source *status.Source
	// Stop ends it.
	Stop func(context.Context) error
}

// stopTime bounds a clean stop.
const stopTime = 10 * time.Second

// Run serves the admin socket and waits until ctx ends, SIGTERM comes, or the
// service fails; then it stops the service.
func (s *Service) Run(ctx context.Context, c *verb.Call) error {
	s.Config.OnChange(func() { s.changed(c) })
	sock, err := s.socket(c)
	if err != nil {
		s.Log.Warn("no admin socket; going on without", "err", err)
	} else {
		defer func() {
			if err := sock.Close(); err != nil {
				s.Log.Warn("admin socket", "err", err)
			}
		}()
	}
	if p := s.Config.Text("pid_file"); p != "" {
		if err := replaceFile(p, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
			return errors.Join(fmt.Errorf("pid_file: %w", err), s.end())
		}
		defer os.Remove(p)
	}
	page, err := s.page(c)
	if err != nil {
		return errors.Join(err, s.end())
	}
	s.Log.Info("serves", "status", s.Status())
	s.notify(sdnotify.Ready())
	failed := s.wait(ctx, c)
	s.notify(sdnotify.Stopping())
	s.Log.Info("stops")
	if page != nil {
		if err := page.Close(); err != nil {
			s.Log.Warn("status page", "err", err)
		}
	}
	return errors.Join(failed, s.end())
}

// end stops the service, but does not wait for ever.
func (s *Service) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return s.Stop(ctx)
}

// notify logs that the service manager could not be told.
func (s *Service) notify(err error) {
	if err != nil {
		s.Log.Warn("service manager is not told", "err", err)
	}
}

// wait returns when the service is to end, with the reason if that is a failure.
func (s *Service) wait(ctx context.Context, c *verb.Call) error {
	hangup, again := c.TakeHangup()
	defer again()
	status := time.NewTicker(5 * time.Second)
	defer status.Stop()
	var alive <-chan time.Time
	if d, ok := sdnotify.Watchdog(); ok && s.Alive != nil {
		t := time.NewTicker(d / 2)
		defer t.Stop()
		alive = t.C
	}
	last := ""
	for {
		var changed <-chan struct{}
		if s.Failed != nil {
			var err error
			if changed, err = s.Failed(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-hangup:
			s.notify(sdnotify.Reloading())
			s.reload(c)
			s.notify(sdnotify.Ready())
		case <-c.Status:
			s.Log.Info("status", "status", s.Status())
		case <-status.C:
			if now := s.Status(); now != last {
				s.notify(sdnotify.Status("%s", now))
				last = now
			}
		case <-alive:
			if err := s.Alive(ctx); err != nil {
				s.Log.Error("the daemon does not get on", "err", err)
				continue
			}
			s.notify(sdnotify.Alive())
		}
	}
}

// reload opens the log anew and reads the configuration again.
func (s *Service) reload(c *verb.Call) {
	if err := s.Reopen(); err != nil {
		s.Log.Error("log", "err", err)
	}
	warnings, err := s.Config.Reload()
	if err != nil {
		s.Log.Error("configuration is not read again", "err", err)
	}
	for _, w := range warnings {
		s.Log.Warn("configuration", "warning", w)
	}
	s.changed(c)
}

// changed does what options ask for that may change while the daemon runs.
func (s *Service) changed(c *verb.Call) {
	if !c.Flags.Changed("log-level") {
		c.Level.Set(levelOf(s.Config))
	}
}

// socket serves the admin socket.
func (s *Service) socket(c *verb.Call) (*asok.Server, error) {
	path := s.Config.Text("admin_socket")
	name, ok := strings.CutSuffix(filepath.Base(path), ".asok")
	if !ok {
		return nil, fmt.Errorf("admin_socket %s: want a name that ends in .asok", path)
	}
	commands := configCommands(s.Config)
	commands = append(commands, logCommands(s.Reopen, c.Level)...)
	return asok.Listen(asok.Options{Dir: filepath.Dir(path), Shared: true, Name: name, Version: c.Version, Logger: s.Log, Now: c.Now}, append(commands, s.Commands...)...)
}

// Explain makes a failure of what Open returned.
func Explain(c *verb.Call, err error) error {
	var already *verb.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrRunning):
		return &verb.Failure{Code: CodeRunning, Message: err.Error(), Err: err}
	}
	return &verb.Failure{Code: verb.CodeFailed, Message: err.Error(), Err: err}
}
