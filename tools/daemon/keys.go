package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ebofs/cluster/cephx"
	"ebofs/cluster/conf"
)

// methods reads an option as "cephx" or "cephx, none".
func methods(cfg *conf.Config, option string) ([]cephx.Method, error) {
	return choices(cfg, option, "cephx or none", map[string]cephx.Method{"cephx": cephx.MethodCephX, "none": cephx.MethodNone})
}

// modes reads an option as "secure crc".
func modes(cfg *conf.Config, option string) ([]cephx.Mode, error) {
	return choices(cfg, option, "crc or secure", map[string]cephx.Mode{"crc": cephx.ModeCRC, "secure": cephx.ModeSecure})
}

// choices reads an option whose words are names of values, in order of preference.
func choices[T any](cfg *conf.Config, option, want string, of map[string]T) (list []T, err error) {
	for _, w := range cfg.Words(option) {
		v, ok := of[w]
		if !ok {
			return nil, fmt.Errorf("%s: %q: want %s", option, w, want)
		}
		list = append(list, v)
	}
	if list == nil {
		return nil, fmt.Errorf("%s is empty: want %s", option, want)
	}
	return list, nil
}

// key finds the secret of the entity: the option key, a keyfile, the first keyring
// that exists.
func key(cfg *conf.Config) (cephx.Key, error) {
	if v := cfg.Text("key"); v != "" {
		k, err := cephx.ParseKey(v)
		if err != nil {
			return k, fmt.Errorf("option key: %w", err)
		}
		return k, nil
	}
	if path := cfg.Text("keyfile"); path != "" {
		p, err := os.ReadFile(path)
		if err != nil {
			return cephx.Key{}, fmt.Errorf("keyfile: %w", err)
		}
		k, err := cephx.ParseKey(strings.TrimSpace(string(p)))
		if err != nil {
			return k, fmt.Errorf("keyfile %s: %w", path, err)
		}
		return k, nil
	}
	paths := cfg.Keyrings()
	for _, path := range paths {
		ring, err := cephx.ReadKeyring(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return cephx.Key{}, err
		}
		e, ok := ring[cfg.Name]
		if !ok {
			return cephx.Key{}, fmt.Errorf("keyring %s has no key of %v; get it from a monitor: ceph auth get-or-create %v %s -o %s", path, cfg.Name, cfg.Name, capsOf(cfg), path)
		}
		return e.Key, nil
	}
	return cephx.Key{}, fmt.Errorf("no keyring of %v: looked for %s; get it from a monitor: ceph auth get-or-create %v %s -o %s", cfg.Name, strings.Join(paths, ", "), cfg.Name, capsOf(cfg), first(paths))
}

// capsOf are the capabilities that a daemon of the entity's type wants.
func capsOf(cfg *conf.Config) string {
	if cfg.Name.Type.String() == "osd" {
		return "mon 'allow profile osd' mgr 'allow profile osd' osd 'allow *'"
	}
	return "mon 'allow *'"
}

func first(list []string) string {
	if len(list) == 0 {
		return "FILE"
	}
	return list[0]
}

// needsKey reports whether one of the methods proves something.
func needsKey(list []cephx.Method) bool { return slices.Contains(list, cephx.MethodCephX) }
