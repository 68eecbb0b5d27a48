package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
)

var osd3 = ceph.EntityName{Type: ceph.TypeOSD, ID: "3"}

func load(t *testing.T, text string, edit ...func(*Load)) (*Config, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ceph.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := Load{Name: osd3, Path: path, Host: "h"}
	for _, e := range edit {
		e(&l)
	}
	return New(l)
}

// TestValues checks what a text gives for one option.
func TestValues(t *testing.T) {
	for _, c := range []struct{ name, text, key, want string }{
		{"default", "", "osd_pool_default_size", "3"},
		{"variables", "", "osd_data", "/var/lib/ceph/osd/ceph-3"},
		{"other option", "osd_data = /d\nebofs_osd_device = ${osd_data}/dev", "ebofs_osd_device", "/d/dev"},
		{"itself", "host = a$host", "host", "ah"},
		{"no such variable", "log_file = /l/$nothing", "log_file", "/l/$nothing"},
		{"spelling", "[global]\nosd pool-default_size=2", "osd_pool_default_size", "2"},
		{"narrower wins", "[osd.3]\nhost=a\n[osd]\nhost=b\n[global]\nhost=c", "host", "a"},
		{"type", "[osd]\nhost=b\n[global]\nhost=c\n[osd.4]\nhost=d\n[mon]\nhost=e", "host", "b"},
		{"last wins", "host=a\nhost=b", "host", "b"},
		{"comments", "# x\n; y\nhost = a ; z", "host", "a"},
		{"hash inside quotes", `host = "a # b" # c`, "host", "a # b"},
		{"escaped", `host = a\#b`, "host", "a#b"},
		{"continued", "mon_host = a, \\\n b", "mon_host", "a,  b"},
		{"empty", "host =", "host", ""},
		{"crlf", "[global]\r\nhost = a\r\n", "host", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, warn, err := load(t, c.text)
			if err != nil || len(warn) > 0 {
				t.Fatal(err, warn)
			}
			if got := cfg.Text(c.key); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestRefused checks that what is wrong is named with its line.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[global\nhost=a", "ceph.conf:1: a section"},
		{"\nnonsense", "ceph.conf:2: want key = value"},
		{"= b", "ceph.conf:1: want key"},
		{`host = "a`, "quote is not closed"},
		{`host = "a" b`, "after the closing quote"},
		{"osd_pool_default_size = many", "ceph.conf:1: option osd_pool_default_size: \"many\" is not a whole number"},
		{"osd_memory_target = 1Q", "is not a size"},
		{"public_addr = x:y", "is not an address"},
		{"osd_op_complaint_time = -1", "is not a time"},
		{"osd_op_complaint_time = nan", "is not a time"},
		{"osd_pool_default_pg_autoscale_mode = perhaps", "autoscale_mode"},
		{"include nowhere", "include:"},
		{"include ceph.conf", "too deeply"},
		{"host = a\x00b", "NUL"},
	} {
		if _, _, err := load(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	if _, _, err := New(Load{Name: osd3, Path: "/nowhere/ceph.conf"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestSources: the later source wins, and each value says where it is from.
func TestSources(t *testing.T) {
	env := map[string]string{}
	args := []string{}
	get := func() Setting {
		t.Helper()
		c, _, err := load(t, "osd_op_complaint_time = 3\nosd_memory_targte = 1G\n", func(l *Load) {
			l.Getenv, l.Args = func(k string) string { return env[k] }, args
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.UseDatabase(map[string]string{"osd_op_complaint_time": "2", "osd_memory_target": "x"}); err == nil || !strings.Contains(err.Error(), "osd_memory_target") {
			t.Error(err)
		}
		if got := c.Get("osd_memory_target"); got.Source != Default {
			t.Error(got)
		}
		return c.Get("osd-op-complaint-time")
	}
	want := func(v string, s Source, where string) {
		t.Helper()
		if g := get(); g.Value != v || g.Source != s || !strings.HasSuffix(g.Where, where) {
			t.Errorf("%+v", g)
		}
	}
	want("3", FromFile, "ceph.conf:1")
	env["CEPH_ARGS"] = "--osd_op_complaint_time 4"
	want("4", Environment, "CEPH_ARGS")
	env["EBOFS_OSD_OP_COMPLAINT_TIME"] = "5"
	want("5", Environment, "EBOFS_OSD_OP_COMPLAINT_TIME")
	args = []string{"--osd-op-complaint-time=6s", "--mon-allow-pool-delete"}
	want("6s", CommandLine, "")
	c, warn, err := load(t, "osd_memory_targte = 1G\nkey = s3cret")
	if err != nil || len(warn) != 1 || !strings.Contains(warn[0], "did you mean osd_memory_target?") {
		t.Error(warn, err)
	}
	if s := c.Get("key"); s.Shown() != "[redacted]" {
		t.Error(s.Shown())
	}
	if err := c.Set(Override, "osd_op_complaint_time", "7"); err != nil || c.Duration("osd_op_complaint_time") != 7*time.Second {
		t.Error(err)
	}
	if err := c.Set(Override, "osd_op_complaint_time", ""); err != nil || c.Get("osd_op_complaint_time").Source != Default {
		t.Error(err)
	}
	if got := fmt.Sprint(len(c.Changed()), c.Bytes("osd_memory_target"), c.Bool("mon_allow_pool_delete")); got != "1 1073741824 false" {
		t.Error(got)
	}
	for _, bad := range [][]string{{"x"}, {"--hots", "a"}, {"--host"}, {"--osd_pool_default_size", "x"}} {
		if _, _, err := load(t, "", func(l *Load) { l.Args = bad }); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestMonitors checks the forms of mon_host.
func TestMonitors(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1":               "v2:10.0.0.1:3300/0",
		"10.0.0.1,10.0.0.2:3301": "v2:10.0.0.1:3300/0 v2:10.0.0.2:3301/0",
		"[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]":   "v2:10.0.0.1:3300/0",
		"[v2:10.0.0.1:1,v1:10.0.0.1:2] v2:[::1]:30": "v2:10.0.0.1:1/0 v2:[::1]:30/0",
		"[::1]:3300 ::2": "v2:[::1]:3300/0 v2:[::2]:3300/0",
		"10.0.0.1:6789":  "mon_host: no address of messenger version 2",
		"host-a":         `mon_host: "host-a": not an address as 10.0.0.1 or v2:10.0.0.1:3300`,
		"":               "mon_host is not set: no monitor is known",
	} {
		c, _, err := load(t, "mon_host = "+text)
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Monitors()
		var words []string
		for _, v := range list {
			words = append(words, v.String())
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzParse: any text gives a file or an error, and values that come back whole.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "[a]\nb = c", "a=\"b\\\"c\" # d", "include x", "a = b\\\nc", "[", "=", "a = '", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("x", text)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			return
		}
		for _, l := range file.Lines {
			if l.Key == "" || l.Key != Key(l.Key) || l.Section == "" || l.Number < 1 {
				t.Fatalf("%+v", l)
			}
		}
	})
}
