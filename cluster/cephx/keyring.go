package cephx

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ebofs/cluster/ceph"
)

// ErrKeyring is wrapped by errors about a keyring file that does not parse.
var ErrKeyring = errors.New("bad keyring")

// maxKeyring bounds a keyring file: some thousand entities.
const maxKeyring = 1 << 20

// Keyring is the keys of entities with their capabilities, as a keyring file has
// them.
type Keyring map[ceph.EntityName]Entity

// parseSection reads the name of a section; the monitors' own is "mon." without
// an id.
func parseSection(s string) (ceph.EntityName, error) {
	if s == "mon." {
		return ceph.EntityName{Type: ceph.TypeMon}, nil
	}
	return ceph.ParseEntityName(s)
}

// ParseKeyring reads the text of a keyring. Errors name a line and repeat no key.
func ParseKeyring(text string) (Keyring, error) {
	if len(text) > maxKeyring {
		return nil, fmt.Errorf("keyring of %d bytes, more than %d: %w", len(text), maxKeyring, ErrKeyring)
	}
	ring := Keyring{}
	var at ceph.EntityName
	in, n := false, 0
	bad := func(format string, args ...any) error {
		return fmt.Errorf("keyring line %d: %s: %w", n, fmt.Sprintf(format, args...), ErrKeyring)
	}
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name, ok := strings.CutSuffix(line[1:], "]")
			if !ok {
				return nil, bad("section without ]")
			}
			var err error
			if at, err = parseSection(strings.TrimSpace(name)); err != nil {
				return nil, bad("%v", err)
			}
			if _, twice := ring[at]; twice {
				return nil, bad("%v comes twice", at)
			}
			ring[at], in = Entity{}, true
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || !in {
			return nil, bad("want [NAME], key = … or caps SERVICE = …")
		}
		if err := ring.set(at, strings.Fields(name), value); err != nil {
			return nil, bad("%v", err)
		}
	}
	for name, e := range ring {
		if e.Key.IsZero() {
			return nil, fmt.Errorf("keyring: %v has no key: %w", name, ErrKeyring)
		}
	}
	return ring, nil
}

// set takes one setting of an entity.
func (r Keyring) set(at ceph.EntityName, name []string, value string) error {
	e := r[at]
	value, err := unquote(strings.TrimSpace(value))
	if err != nil {
		return err
	}
	switch {
	case len(name) == 1 && name[0] == "key":
		if !e.Key.IsZero() {
			return errors.New("second key")
		}
		if e.Key, err = ParseKey(value); err != nil {
			return err
		}
	case len(name) == 2 && name[0] == "caps":
		service, ok := ceph.ParseEntityType(name[1])
		if !ok || service == ceph.TypeClient || service == ceph.TypeAuth {
			return fmt.Errorf("caps for %q", name[1])
		}
		if _, twice := e.Caps[service]; twice {
			return fmt.Errorf("second caps for %v", service)
		}
		if e.Caps == nil {
			e.Caps = map[ceph.EntityType]string{}
		}
		e.Caps[service] = value
	default:
		return errors.New("want key or caps SERVICE")
	}
	r[at] = e
	return nil
}

// unquote takes a value out of double quotes, in which a backslash makes the next
// character itself; without quotes it ends at a comment.
func unquote(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexAny(s, "#;"); i >= 0 {
			s = strings.TrimSpace(s[:i])
		}
		return s, nil
	}
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			rest := strings.TrimSpace(s[i+1:])
			if rest != "" && rest[0] != '#' && rest[0] != ';' {
				return "", errors.New("text behind the closing quote")
			}
			return out.String(), nil
		case '\\':
			if i++; i == len(s) {
				return "", errors.New("backslash at the end")
			}
		}
		out.WriteByte(s[i])
	}
	return "", errors.New("quote without end")
}

// Text returns the keyring as a file has it: with its secrets.
func (r Keyring) Text() string {
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(r), ceph.EntityName.Compare) {
		e := r[name]
		fmt.Fprintf(&b, "[%v]\n\tkey = %s\n", name, e.Key.Base64())
		byName := func(a, b ceph.EntityType) int { return strings.Compare(a.String(), b.String()) }
		for _, service := range slices.SortedFunc(maps.Keys(e.Caps), byName) {
			caps := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(e.Caps[service])
			fmt.Fprintf(&b, "\tcaps %v = \"%s\"\n", service, caps)
		}
	}
	return b.String()
}

// ReadKeyring reads a keyring file.
func ReadKeyring(path string) (Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxKeyring+1))
	if err != nil {
		return nil, err
	}
	r, err := ParseKeyring(string(p))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// WriteKeyring creates a keyring file that only its owner reads. One that is
// there is an error.
func WriteKeyring(path string, r Keyring) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(r.Text())
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(path)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ReplaceKeyring puts a keyring in the place of another, or of none, so that
// after a crash one of the two is there.
func ReplaceKeyring(path string, r Keyring) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := WriteKeyring(next, r); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		os.Remove(next)
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
