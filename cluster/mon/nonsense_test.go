package mon_test

import (
	"context"
	"encoding/json"
	"testing"

	"ebofs/cluster/mon"
)

// TestNonsense gives every command arguments that make no sense, each in turn and
// all at once: it answers, with an error or without, and the monitor goes on.
func TestNonsense(t *testing.T) {
	c, x, _ := withOSDs(t, 1)
	x.ok(nil, "osd pool create", "pool", "p", "pg_num", 1)
	values := []any{
		"", "p", "osd.0", "0", "1.0", "-1", "nan", "1e400", "99999999999999999999", "a=b", "host=x", "1.ffffffff", "7777777.0", "osd.2147483647", "client.admin", "mon.", "../x", "[v2:1.2.3.4:5/6]", "1.2.3.4:5/6", "\x00\xff",
		"3f0c9a1e-4c0e-4b6e-9d5f-0f4f8e2a9b11", "detail", "all", -1, 0, 0.5, 1, 3, 1e18, 2147483647, 4294967296, true, nil, []any{}, []any{"a", "b"}, []any{0, 1}, []any{[]any{}}, map[string]any{"a": 1}, []string{"root=default", "host=h"},
	}
	run := func(args map[string]any, input string) {
		t.Helper()
		p, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = c.m.Run(context.Background(), string(p), []byte(input))
	}
	good := map[string]any{"pool": "p", "pgid": "1.0", "id": 0, "osd": 0, "who": "osd.0", "ids": []string{"0"}, "name": "x", "weight": 0.5}
	for n, cmd := range mon.Commands() {
		if cmd.Tell {
			continue
		}
		for _, format := range []string{"plain", "json", "json-pretty", "xml", "nonsense"} {
			run(map[string]any{"prefix": cmd.Prefix, "format": format}, "")
		}
		for i, v := range values {
			all := map[string]any{"prefix": cmd.Prefix, "format": "plain"}
			for _, a := range cmd.Args {
				all[a.Name] = v
			}
			run(all, "nonsense")
			if (n+i)%3 != 0 { // a third of them is quick enough
				continue
			}
			for _, a := range cmd.Args { // one wrong, the others right where that is known
				one := map[string]any{"prefix": cmd.Prefix, "format": "plain"}
				for _, b := range cmd.Args {
					if g, ok := good[b.Name]; ok {
						one[b.Name] = g
					}
				}
				one[a.Name] = v
				run(one, "\x01\x02")
			}
		}
	}
	for _, words := range []string{"", "{", "[]", "null", `"x"`, `{"prefix":null}`, `{"prefix":["a"]}`, `{"prefix":{}}`} {
		if _, _, err := c.m.Run(context.Background(), words, nil); err == nil {
			t.Errorf("%q is taken for a command", words)
		}
	}
	x.ok(nil, "status")
	if st := c.m.State(); len(st.OSD.Encode()) > 1<<20 {
		t.Errorf("the map has become %d bytes", len(st.OSD.Encode()))
	}
}
