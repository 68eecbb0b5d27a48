package cephx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/golden"
)

const sampleKeyring = `# made by hand
[client.admin]
	key = AQDL+wJrdmE0FhAAyifQdKJKoGXxyEokUIw/jw==
	caps mds = "allow *"
	caps mon = "allow command \"osd ls\" with a='b'"
[mon.]
key=AQDL+wJrpOZuExAACU1KnRCsYiKM4QPQhSwjNQ== ; the monitors' own
   caps mon = allow *
`

func TestKeyring(t *testing.T) {
	r, err := ParseKeyring(sampleKeyring)
	if err != nil {
		t.Fatal(err)
	}
	admin, mon := r[ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}], r[ceph.EntityName{Type: ceph.TypeMon}]
	if len(r) != 2 || !admin.Key.Equal(goldenKey(t, "client.admin")) || !mon.Key.Equal(goldenKey(t, "mon.")) {
		t.Errorf("keys are not those of the file")
	}
	if admin.Caps[ceph.TypeMon] != `allow command "osd ls" with a='b'` || mon.Caps[ceph.TypeMon] != "allow *" {
		t.Errorf("caps %q and %q", admin.Caps, mon.Caps)
	}
	again, err := ParseKeyring(r.Text())
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("%v: printed and read again: %v", err, again)
	}
	key := "AQDL+wJrdmE0FhAAyifQdKJKoGXxyEokUIw/jw=="
	for _, s := range []string{
		"key = " + key, "[client.admin]\nkey = " + key + "\nkey = " + key, "[client.admin]\n", "[client.admin\nkey = " + key,
		"[foo.a]\nkey = " + key, "[client.a]\nkey = AAAA", "[client.a]\nkey = " + key[:20], "[client.a]\nkey = !", "[client.a]\nfoo = 1",
		"[client.a]\nkey = " + key + "\ncaps foo = \"allow *\"", "[client.a]\nkey = " + key + "\ncaps mon = \"allow *",
		"[client.a]\nkey = " + key + "\ncaps mon = \"a\" b", "[client.a]\nkey = " + key + "\n[client.a]\nkey = " + key,
		strings.Repeat("#", maxKeyring+1),
	} {
		_, err := ParseKeyring(s)
		if !errors.Is(err, ErrKeyring) {
			t.Errorf("%.60q: %v", s, err)
		} else if strings.Contains(err.Error(), "AQDL") {
			t.Errorf("error shows a key: %v", err)
		}
	}
}

func TestKeyringFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring")
	r, _ := ParseKeyring(sampleKeyring)
	if err := WriteKeyring(path, r); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := WriteKeyring(path, r); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyring(link, r); err == nil {
		t.Error("written through a symbolic link")
	}
	delete(r, ceph.EntityName{Type: ceph.TypeMon})
	if err := ReplaceKeyring(path, r); err != nil {
		t.Fatal(err)
	}
	got, err := ReadKeyring(path)
	if err != nil || len(got) != 1 {
		t.Errorf("%d entities, %v", len(got), err)
	}
	if st, _ := os.Stat(path); st.Mode() != 0o600 {
		t.Errorf("mode %v after a replacement", st.Mode())
	}
	if _, err := ReadKeyring(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestRedacted prints secrets in every way there is.
func TestRedacted(t *testing.T) {
	k := goldenKey(t, "client.admin")
	raw := string(golden.Keys(t)["client.admin"][12:])
	values := []any{k, &k, k.Secret, Entity{Key: k}, Session{Key: k.Secret, Secret: k.Secret}, RotatingKey{Key: k}, ticketInfo{Session: k}}
	var out bytes.Buffer
	for _, v := range values {
		fmt.Fprintf(&out, "%v %+v %#v %s %x %q %d\n", v, v, v, v, v, v, v)
		p, _ := json.Marshal(v)
		out.Write(p)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, secret := range []string{raw, fmt.Sprintf("%x", raw), fmt.Sprintf("%d", []byte(raw))[1:20], k.Base64()[16:30]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("a secret shows: %q", secret)
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was redacted")
	}
}

func TestRotate(t *testing.T) {
	now := captured
	s := NewKeyServer(func() time.Time { return now }, newRandom())
	ids := func() string {
		var out []uint64
		for _, k := range s.Keys(ceph.TypeOSD) {
			out = append(out, k.ID)
		}
		return fmt.Sprint(out)
	}
	step := func(after time.Duration, changed bool, want string) {
		t.Helper()
		now = now.Add(after)
		got, err := s.Rotate()
		if err != nil || got != changed || ids() != want {
			t.Errorf("after %v: %v %v, secrets %s, want %s", after, got, err, ids(), want)
		}
	}
	step(0, true, "[1 2 3]")
	step(0, false, "[1 2 3]")
	step(ServiceTTL, false, "[1 2 3]")
	step(ServiceTTL, true, "[2 3 4]")
	step(time.Second, false, "[2 3 4]")
	step(1000*time.Hour, true, "[4 5 6]") // the machine slept
	if k := s.Keys(ceph.TypeOSD).current(); k.ID != 5 || !k.Expires.After(now) {
		t.Errorf("current secret is %d until %v", k.ID, k.Expires)
	}
	other := NewKeyServer(s.now, newRandom())
	if err := other.Import(s.Export()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(other.Export(), s.Export()) {
		t.Error("exported and imported is not the same")
	}
	var own ServiceKeys
	if !own.Stale(now) {
		t.Error("no secrets are not stale")
	}
	own.Service = ceph.TypeOSD
	own.Set(s.Keys(ceph.TypeOSD))
	if own.Stale(now) || !own.Stale(s.Keys(ceph.TypeOSD).current().Expires) {
		t.Error("stale at the wrong time")
	}
	if _, ok := own.TicketKey(ceph.TypeMDS, 5); ok {
		t.Error("a secret of another service")
	}
}
