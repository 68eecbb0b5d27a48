package mon_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/mon"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

var rewrite = flag.Bool("rewrite", false, "write what commands answer, and docs/commands.md, anew")

var raw = flag.String("raw", "", "file of testdata/capture.py: make testdata/real-16.2.15.json of it")

// step is a line of testdata/commands.txt: a command, its arguments, the name of
// its input.
type step struct {
	line, prefix, args, input string
}

// inputs are what commands read.
var inputs = map[string]string{
	"keyring": "[client.i]\n\tkey = AQCxAAAAAAAAABAAexd1Wwj9E6J1EJvR2LkXkw==\n\tcaps mon = \"allow r\"\n",
	"conf":    "[osd]\nosd_memory_target = 2G\n[global]\nfsid = x\n",
}

func steps(t *testing.T) (list []step) {
	t.Helper()
	p, err := os.ReadFile("testdata/commands.txt")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(bytes.NewReader(p))
	for in.Scan() {
		s := step{line: in.Text()}
		if s.line == "" || s.line[0] == '#' {
			continue
		}
		s.prefix, s.input, _ = strings.Cut(s.line, " <")
		if i := strings.Index(s.prefix, " {"); i >= 0 {
			s.prefix, s.args = s.prefix[:i], s.prefix[i+1:]
		}
		list = append(list, s)
	}
	return list
}

// run is what a command answered.
type run struct {
	Line   string `json:"command"`
	Result int32  `json:"result"`
	// Shape is that of a JSON answer; Text is what an answer is that is none.
	Shape any    `json:"shape,omitempty"`
	Text  string `json:"text,omitempty"`
}

// creating reports whether some pool is still to be made.
func creating(st *mon.State) bool {
	for _, p := range st.OSD.Pools {
		if p.Flags&osdmap.PoolCreating != 0 {
			return true
		}
	}
	return false
}

// play runs the script, OSDs reporting whenever maps have changed.
func play(t *testing.T) (list []run) {
	c, x, osds := withOSDs(t, 3)
	reported := ceph.Epoch(0)
	for _, s := range steps(t) {
		if creating(c.m.State()) {
			for _, o := range osds {
				if m := c.m.State().OSD; m.IsUp(o.id) {
					o.made(m)
				}
			}
			c.until(func(st *mon.State) bool { return !creating(st) })
		}
		if st := c.m.State(); st.OSD.Epoch != reported {
			for _, o := range osds {
				if st.OSD.IsUp(o.id) {
					o.report(st.OSD)
				}
			}
			reported = st.OSD.Epoch
		}
		pool, pg := 0, "0.0"
		for id, name := range c.m.State().OSD.PoolNames {
			if name == "p" {
				pool, pg = int(id), fmt.Sprintf("%d.0", id)
			}
		}
		args := map[string]any{}
		if s.args != "" {
			text := strings.NewReplacer(`"PG"`, `"`+pg+`"`, "POOL", fmt.Sprint(pool), "HOST", "host0").Replace(s.args)
			if err := json.Unmarshal([]byte(text), &args); err != nil {
				t.Fatalf("%s: %v", s.line, err)
			}
		}
		args["prefix"], args["format"] = s.prefix, "json"
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		input := []byte(inputs[s.input])
		if s.input == "crush" {
			input = c.m.State().OSD.Crush
		}
		a, err := x.ask(ctx, args, input)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", s.line, err)
		}
		list = append(list, answered(s, a.Result, a.Output))
	}
	return list
}

// ask runs a command, or tells one monitor if the prefix begins so.
func (x *client) ask(ctx context.Context, args map[string]any, input []byte) (msg.Answer, error) {
	prefix, one := strings.CutPrefix(args["prefix"].(string), "tell mon.a ")
	if !one {
		a, err := x.c.CommandWith(ctx, args, input)
		if err != nil {
			return msg.Answer{}, err
		}
		return msg.Answer{Result: a.Result, Text: a.Text, Output: a.Output}, nil
	}
	args["prefix"] = prefix
	p, err := json.Marshal(args)
	if err != nil {
		return msg.Answer{}, err
	}
	fsid, err := x.c.FSID(ctx)
	if err != nil {
		return msg.Answer{}, err
	}
	if err := x.c.Send(&msg.Command{Request: msg.Request{FSID: fsid, Words: []string{string(p)}, Input: input}}); err != nil {
		return msg.Answer{}, err
	}
	select {
	case p := <-x.other:
		r, ok := p.(*msg.CommandReply)
		if !ok {
			return msg.Answer{}, fmt.Errorf("%T for a reply", p)
		}
		return r.Answer, nil
	case <-ctx.Done():
		return msg.Answer{}, ctx.Err()
	}
}

// answered makes of an answer what is kept of it.
func answered(s step, result int32, out []byte) run {
	r := run{Line: s.line, Result: result}
	if len(bytes.TrimSpace(out)) == 0 {
		return r
	}
	var v any
	if err := json.Unmarshal(out, &v); err == nil {
		at := s.prefix
		if s.args != "" {
			at += " ARGS"
		}
		r.Shape = shape(at, v)
	} else if r.Text = "text"; bytes.ContainsRune(out, 0) {
		r.Text = "bytes"
	}
	return r
}

// TestRaw makes the shapes of what a real cluster answered.
func TestRaw(t *testing.T) {
	if *raw == "" {
		t.Skip("only with -raw")
	}
	p, err := os.ReadFile(*raw)
	if err != nil {
		t.Fatal(err)
	}
	var in []struct {
		R    int32
		Out  string
		Utf8 bool
	}
	if err := json.Unmarshal(p, &in); err != nil {
		t.Fatal(err)
	}
	list := steps(t)
	if len(in) != len(list) {
		t.Fatalf("%d answers to %d commands", len(in), len(list))
	}
	var b bytes.Buffer
	for i, s := range list {
		out := in[i].Out
		if !in[i].Utf8 {
			out = "\x00"
		}
		p, err := json.Marshal(answered(s, in[i].R, []byte(out)))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(word(i == 0, "[", ",\n") + string(p))
	}
	b.WriteString("]\n")
	if err := os.WriteFile("testdata/real-16.2.15.json", b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func word(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func fileOf(prefix string) string {
	return filepath.Join("testdata/commands", strings.ReplaceAll(prefix, " ", "_")+".json")
}

// TestAnswers runs every command of testdata/commands.txt: its result and the shape
// of its answer are those of the file of its name, and of a real cluster that was
// asked the same, but for what differences lists.
func TestAnswers(t *testing.T) {
	p, err := os.ReadFile("testdata/real-16.2.15.json")
	if err != nil {
		t.Fatal(err)
	}
	var real []run
	if err := json.Unmarshal(p, &real); err != nil {
		t.Fatal(err)
	}
	ours := play(t)
	if len(ours) != len(real) {
		t.Fatalf("%d answers, %d of the real cluster: capture them anew", len(ours), len(real))
	}
	files := map[string][]run{}
	used := map[string]bool{}
	for i, o := range ours {
		prefix := steps(t)[i].prefix
		files[prefix] = append(files[prefix], o)
		r := real[i]
		if r.Line != o.Line {
			t.Fatalf("line %q, of the real cluster %q", o.Line, r.Line)
		}
		var list []string
		if o.Result != r.Result {
			list = append(list, fmt.Sprintf("result %d, should be %d", o.Result, r.Result))
		} else if o.Text != r.Text {
			list = append(list, fmt.Sprintf("answer is %q, should be %q", o.Text, r.Text))
		} else {
			list = differ("", normal(o.Shape), r.Shape)
		}
		for _, d := range list {
			at, known := differences.find(prefix, d)
			if !known {
				t.Errorf("%s: %s", o.Line, d)
			}
			used[at] = true
		}
	}
	for _, d := range differences {
		if !used[d.key()] {
			t.Errorf("difference of %q at %q is none", d.Prefix, d.At)
		}
	}
	have := map[string]bool{}
	for prefix, runs := range files {
		p, err := json.MarshalIndent(runs, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, '\n')
		name := fileOf(prefix)
		have[name] = true
		if *rewrite {
			if err := os.WriteFile(name, p, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(name); err != nil || !bytes.Equal(want, p) {
			t.Errorf("%s: answers are not those of %s (%v); -rewrite shows what has changed", prefix, name, err)
		}
	}
	old, err := filepath.Glob("testdata/commands/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		if have[name] {
			continue
		}
		if !*rewrite {
			t.Errorf("%s: no command answers that", name)
		} else if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// normal is a shape as it comes out of a file.
func normal(v any) (out any) {
	p, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(p, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// TestCommandList: docs/commands.md lists the commands there are, and every one of
// them is in the script.
func TestCommandList(t *testing.T) {
	asked := map[string]bool{}
	for _, s := range steps(t) {
		asked[s.prefix] = true
	}
	var b strings.Builder
	b.WriteString(head)
	all := mon.Commands()
	slices.SortStableFunc(all, func(a, b mon.Listed) int {
		section := func(c mon.Listed) string { return word(c.Tell, "~", c.Module) }
		return cmp.Or(strings.Compare(section(a), section(b)), strings.Compare(a.Prefix, b.Prefix))
	})
	n := 0
	module := ""
	for _, c := range all {
		if !asked[word(c.Tell, "tell mon.a ", "")+c.Prefix] {
			t.Errorf("%q is in no test", c.Prefix)
		}
		if m := word(c.Tell, "Of one monitor: ceph tell mon.ID", c.Module); m != module {
			module = m
			fmt.Fprintf(&b, "\n## %s\n\n| command | what it does | unlike 16.2.15 |\n| --- | --- | --- |\n", module)
		}
		var unlike []string
		for _, d := range differences {
			if d.Prefix == word(c.Tell, "tell mon.a ", "")+c.Prefix && !slices.Contains(unlike, d.Why) {
				unlike = append(unlike, d.Why)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Prefix, strings.ReplaceAll(c.Help, "|", `\|`), strings.Join(unlike, "; "))
		n++
	}
	if n < 130 {
		t.Errorf("only %d commands", n)
	}
	b.WriteString("\n## Health checks\n\nThe codes that `ceph health detail` names, and what to do; `ceph health mute CODE` hides one.\n\n| code | what to do |\n| --- | --- |\n")
	advice := mon.Advice()
	for _, code := range slices.Sorted(maps.Keys(advice)) {
		fmt.Fprintf(&b, "| %s | %s |\n", code, strings.ReplaceAll(advice[code], "|", `\|`))
	}
	text := strings.Replace(b.String(), "COUNT", fmt.Sprint(n), 1)
	const file = "../../docs/commands.md"
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != text {
		t.Errorf("%s is not what the commands are (%v): go test ./cluster/mon -run TestCommandList -rewrite", file, err)
	}
}

const head = `# Commands

The COUNT commands that our monitors answer: those of the stock ` + "`ceph`" + ` tool of 16.2, which asks us for this list.
Each is run by a test; its answer has the same keys and types as that of a real cluster of three OSDs in the same state
(` + "`cluster/mon/testdata/real-16.2.15.json`" + `), but for what the last column says.
Written by ` + "`go test ./cluster/mon -run TestCommandList -rewrite`" + `.
`
