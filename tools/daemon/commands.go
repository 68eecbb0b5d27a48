package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"

	"ebofs/cluster/conf"
	"ebofs/internal/asok"
)

// configCommands are those about options, on the admin socket and by ceph tell.
func configCommands(cfg *conf.Config) []asok.Command {
	key := asok.Arg{Name: "var", Kind: asok.String, Required: true, Help: "name of the option"}
	known := func(r *asok.Request) (conf.Setting, error) {
		name := r.String("var")
		if _, ok := conf.Lookup(name); !ok {
			text := fmt.Sprintf("no option %s", name)
			if n := conf.Nearest(name); n != "" {
				text += "; did you mean " + n + "?"
			}
			return conf.Setting{}, fmt.Errorf("%s: %w", text, syscall.ENOENT)
		}
		return cfg.Get(name), nil
	}
	return []asok.Command{
		{Name: "config show", Help: "every option and its value", Run: func(context.Context, *asok.Request) (any, error) {
			all := map[string]string{"name": cfg.Name.String(), "cluster": cfg.Cluster}
			for _, s := range cfg.All() {
				all[s.Name] = s.Shown()
			}
			return all, nil
		}},
		{Name: "config diff", Help: "options that differ from their default, and where the value is from", Run: func(context.Context, *asok.Request) (any, error) {
			type values map[string]string
			diff := map[string]values{}
			for _, s := range cfg.Changed() {
				diff[s.Name] = values{"default": s.Default, s.Source.String(): s.Shown(), "final": s.Shown()}
			}
			return map[string]any{"diff": diff}, nil
		}},
		{Name: "config get", Help: "the value of an option", Args: []asok.Arg{key}, Run: func(_ context.Context, r *asok.Request) (any, error) {
			s, err := known(r)
			if err != nil {
				return nil, err
			}
			return map[string]string{s.Name: s.Shown()}, nil
		}},
		{Name: "config set", Help: "change an option until the next start", Args: []asok.Arg{key, {Name: "val", Kind: asok.String, Required: true, Help: "its value"}},
			Run: func(_ context.Context, r *asok.Request) (any, error) {
				s, err := known(r)
				if err != nil {
					return nil, err
				}
				if err := cfg.Set(conf.Override, s.Name, r.String("val")); err != nil {
					return nil, fmt.Errorf("%w: %w", err, syscall.EINVAL)
				}
				text := ""
				if !s.Live {
					text = s.Name + " = '' (not observed, change may require restart)"
				}
				return map[string]string{"success": text}, nil
			}},
		{Name: "config unset", Help: "undo config set", Args: []asok.Arg{key}, Run: func(_ context.Context, r *asok.Request) (any, error) {
			s, err := known(r)
			if err != nil {
				return nil, err
			}
			err = cfg.Set(conf.Override, s.Name, "")
			return map[string]string{"success": ""}, err
		}},
	}
}

// logCommands are those about the log.
func logCommands(reopen func() error, level *slog.LevelVar) []asok.Command {
	return []asok.Command{
		{Name: "log reopen", Help: "open the log file anew", Run: func(context.Context, *asok.Request) (any, error) {
			return map[string]string{}, reopen()
		}},
		{Name: "log level", Help: "show or change what is logged", Args: []asok.Arg{{Name: "level", Kind: asok.Choice, Choices: []string{"debug", "info", "warn", "error"}, Help: "from which level on"}},
			Run: func(_ context.Context, r *asok.Request) (any, error) {
				if r.Has("level") {
					if err := level.UnmarshalText([]byte(r.String("level"))); err != nil {
						return nil, err
					}
				}
				return map[string]string{"level": level.Level().String()}, nil
			}},
	}
}
