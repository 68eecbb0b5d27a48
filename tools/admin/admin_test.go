package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ebofs/internal/asok"
	"ebofs/tools/verb"
)

// TestMatch: words become a command and its arguments, as the process described
// them. The descriptions are in the forms Ceph 16.2 gives.
func TestMatch(t *testing.T) {
	known := []described{
		{words: []string{"config", "set"}, args: []arg{toArg(map[string]any{"name": "var", "type": "CephString"}), toArg(map[string]any{"name": "val", "type": "CephString", "n": "N"})}},
		{words: []string{"config", "show"}},
		{words: []string{"bench"}, args: []arg{
			toArg(map[string]any{"name": "count", "type": "CephInt", "req": "false"}), toArg(map[string]any{"name": "share", "type": "CephFloat", "req": false}),
			toArg(map[string]any{"name": "how", "type": "CephChoices", "strings": "seq|rand", "req": false}), toArg(map[string]any{"name": "sync", "type": "CephBool", "req": false}),
		}},
		{words: []string{"bench", "stop"}},
	}
	for line, want := range map[string]string{
		"config show":                  `config show {}`,
		"config set debug_osd 5 20":    `config set {"val":["5","20"],"var":"debug_osd"}`,
		"bench":                        `bench {}`,
		"bench stop":                   `bench stop {}`,
		"bench 5 0.5 rand yes":         `bench {"count":5,"how":"rand","share":0.5,"sync":true}`,
		"bench how=seq 7":              `bench {"count":7,"how":"seq"}`,
		"bench x":                      `bench: count: "x" is no number`,
		"bench share=x":                `bench: share: "x" is no number`,
		"bench how=odd":                `bench: how: "odd" is none of seq|rand`,
		"bench sync=maybe":             `bench: sync: "maybe" is neither true nor false`,
		"config show all":              `config show: too many words: "all"`,
		"config":                       `unknown command "config"; known: config set, config show`,
		"sing":                         `unknown command "sing"; known: bench, bench stop, config set, config show`,
		"bench 1 0.5 seq true further": `bench: too many words: "further"`,
	} {
		name, args, err := match(known, strings.Fields(line))
		p, _ := json.Marshal(args)
		got := name + " " + string(p)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	if got := known[2].usage(); got != "bench [COUNT] [SHARE] [seq|rand] [SYNC]" {
		t.Error(got)
	}
	if got := known[0].usage(); got != "config set VAR VAL..." {
		t.Error(got)
	}
}

func TestOutline(t *testing.T) {
	const in = `{"z":1,"text":"a\nb","long name":true,"none":{},"list":[],"in":{"x":null,"deep":{"y":1.50}},"rows":[{"a":1},{"a":2}],"words":["p","q"]}`
	const want = `z          1
text       "a\nb"
long name  true
none: none
list: none
in:
  x  -
  deep:
    y  1.50
rows:
  a  1

  a  2
words:
  p
  q
`
	if got := string(outline([]byte(in))); got != want {
		t.Errorf("%s", got)
	}
	for in, want := range map[string]string{`"x"`: "x\n", `[]`: "none\n", `{"a":`: `{"a":`} {
		if got := string(outline([]byte(in))); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// TestProcess: a process with an answer of its own kind, one that refuses, one that
// hangs.
func TestProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	s, err := asok.Listen(asok.Options{Dir: dir, Name: "0123abcd", Version: "1.0"},
		asok.Command{Name: "say", Help: "say it", Run: func(context.Context, *asok.Request) (any, error) { return asok.Text("plain\nwords\n"), nil }},
		asok.Command{Name: "fail", Help: "fail", Run: func(context.Context, *asok.Request) (any, error) { return nil, fmt.Errorf("cannot") }},
		asok.Command{Name: "hang", Help: "hang", Run: func(ctx context.Context, _ *asok.Request) (any, error) { <-ctx.Done(); return nil, nil }},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := Main(context.Background(), args, verb.Streams{Out: &out, Err: &errs, RunDir: dir, Now: time.Now})
		return out.String(), errs.String(), code
	}
	for _, x := range []struct {
		args      []string
		out, errs string
		code      int
	}{
		{[]string{"0123abcd-9999-0000-0000-000000000000", "say"}, "plain\nwords\n", "", 0},
		{[]string{"01", "version"}, "version  1.0\n", "", 0},
		{[]string{"02", "version"}, "", "02: no process with an admin socket has it", 1},
		{[]string{"01", "fail"}, "", "01: cannot", 1},
		{[]string{"--timeout", "20ms", "01", "hang"}, "", "01: no answer within 20 ms", 1},
	} {
		out, errs, code := run(x.args...)
		if out != x.out || !strings.Contains(errs, x.errs) || code != x.code {
			t.Errorf("%v: exit %d: %q %q", x.args, code, out, errs)
		}
	}
	other, err := asok.Listen(asok.Options{Dir: dir, Name: "0123abce"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, errs, code := run("0123", "version"); code != 1 || !strings.Contains(errs, "could be any of") {
		t.Error(code, errs)
	}
	out, errs, code := run("--format", "json")
	var v struct {
		Processes []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !reflect.DeepEqual(v.Processes, []struct{ Name string }{{"0123abcd"}, {"0123abce"}}) {
		t.Error(code, out, errs)
	}
}
