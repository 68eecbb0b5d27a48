package verb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// echo is a verb without actions that can be made to end in every way.
func echo() Verb {
	return Verb{Name: "echo", Args: "WORD [MORE]", Short: "say a word", Schema: "ebofs.echo/1", Rows: "words",
		Long: "Says WORD.\n\n  kept as it is\n\nThe 'end'.",
		New: func(fs *pflag.FlagSet) Run {
			times := fs.IntP("times", "t", 1, "say it `N` times")
			fs.String("how", "low", "`low|loud`: the voice")
			Later(fs, "sing", "s", "sing it")
			LaterValue(fs, "choir", "", "with `N` voices")
			return func(ctx context.Context, c *Call) error {
				switch c.Args[0] {
				case "fail":
					return &Failure{Code: "E-X", Message: "it broke", Hint: "Nothing was written.\nTry: " + c.Command("echo", "a b"), Err: fmt.Errorf("open: %w", syscall.EBUSY)}
				case "errno":
					return fmt.Errorf("read x: %w", syscall.EIO)
				case "cancel":
					return fmt.Errorf("deep: %w", context.Canceled)
				case "found":
					c.Exit(4)
				}
				for range *times {
					c.Printf("%s\n", c.Args[0])
					c.Row(map[string]string{"word": c.Args[0]})
				}
				c.Notef("said")
				c.Set(struct {
					Times int `json:"times"`
				}{*times})
				return nil
			}
		},
		Examples: []Example{{"ebofs echo hello", "says hello"}},
	}
}

// box is a verb with actions.
func box() Verb {
	return Verb{Name: "box", Args: "DEV", Short: "keep things", Schema: "ebofs.box/1",
		Flags: func(fs *pflag.FlagSet) { fs.Bool("quiet", false, "say less") },
		Actions: []Action{
			{Name: "put", Args: "FILE...", Short: "put files in", New: func(fs *pflag.FlagSet) Run {
				n := fs.Int("jobs", 4, "at once")
				return func(_ context.Context, c *Call) error {
					quiet, _ := c.Flags.GetBool("quiet")
					c.Printf("put %v jobs %d quiet %v\n", c.Args, *n, quiet)
					return nil
				}
			}},
			{Name: "ls", Short: "list", Schema: "ebofs.box.ls/1", Rows: "items", New: func(fs *pflag.FlagSet) Run {
				return func(_ context.Context, c *Call) error { c.Printf("ls %v\n", c.Args); return nil }
			}},
			{Name: "burn", Short: "burn it", Later: true, New: func(*pflag.FlagSet) Run { return nil }},
		},
	}
}

func run(v Verb, program string, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = Main(context.Background(), v, args, Streams{Out: &o, Err: &e, Program: program})
	return o.String(), e.String(), code
}

func TestVerbMain(t *testing.T) {
	const usage = "  Usage: ebofs echo [OPTION]... WORD [MORE]\n"
	for _, c := range []struct {
		args      string
		out, errs string
		code      int
	}{
		{"hi", "hi\n", "ebofs echo: said\n", 0},
		{"hi -t2", "hi\nhi\n", "ebofs echo: said\n", 0},
		{"hi --format json", `{"schema":"ebofs.echo/1","ok":true,"exit":0,"error":null,"times":1,"words":[{"word":"hi"}]}` + "\n", "ebofs echo: said\n", 0},
		{"hi --format jsonl --times 2", `{"word":"hi"}` + "\n" + `{"word":"hi"}` + "\n" + `{"schema":"ebofs.echo/1","ok":true,"exit":0,"error":null,"times":2}` + "\n", "ebofs echo: said\n", 0},
		{"hi -t0 --format json", `{"schema":"ebofs.echo/1","ok":true,"exit":0,"error":null,"times":0,"words":[]}` + "\n", "ebofs echo: said\n", 0},
		{"found --format=json", `{"schema":"ebofs.echo/1","ok":false,"exit":4,"error":null,"times":1,"words":[{"word":"found"}]}` + "\n", "ebofs echo: said\n", 4},
		{"fail", "", "ebofs echo: it broke\n  Nothing was written.\n  Try: ebofs echo 'a b'\n", 1},
		{"fail --format json", `{"schema":"ebofs.echo/1","ok":false,"exit":1,"error":{"code":"E-X","message":"it broke","errno":"EBUSY","hint":"Nothing was written.\nTry: ebofs echo 'a b'"}}` + "\n",
			"ebofs echo: it broke\n  Nothing was written.\n  Try: ebofs echo 'a b'\n", 1},
		{"errno --format json", `{"schema":"ebofs.echo/1","ok":false,"exit":1,"error":{"code":"E-IO","message":"read x: input/output error","errno":"EIO"}}` + "\n", "ebofs echo: read x: input/output error\n", 1},
		{"cancel", "", "ebofs echo: interrupted\n", 130},
		{"", "", "ebofs echo: WORD is missing\n" + usage, 2},
		{"a b c", "", "ebofs echo: too many words: \"c\"\n" + usage, 2},
		{"a --nope", "", "ebofs echo: unknown flag: --nope\n" + usage, 2},
		{"a --format xml", "", "ebofs echo: --format \"xml\": it is plain, json, json-pretty or jsonl\n" + usage, 2},
		{"a --color x", "", "ebofs echo: --color \"x\": it is auto, always or never\n" + usage, 2},
		{"a --log-level x", "", "ebofs echo: --log-level \"x\": it is debug, info, warn or error\n" + usage, 2},
		{"a --sing", "", "ebofs echo: --sing: not in this release\n  Nothing was done.\n", 2},
		{"a -s", "", "ebofs echo: --sing: not in this release\n  Nothing was done.\n", 2},
		{"a --choir 4", "", "ebofs echo: --choir: not in this release\n  Nothing was done.\n", 2},
		{"--nope --format json", `{"schema":"ebofs.echo/1","ok":false,"exit":2,"error":{"code":"E-USAGE","message":"unknown flag: --nope","hint":"Usage: ebofs echo [OPTION]... WORD [MORE]"}}` + "\n",
			"ebofs echo: unknown flag: --nope\n" + usage, 2},
	} {
		out, errs, code := run(echo(), "ebofs", strings.Fields(c.args)...)
		if out != c.out || errs != c.errs || code != c.code {
			t.Errorf("echo %s:\nout  %q\nwant %q\nerr  %q\nwant %q\ncode %d want %d", c.args, out, c.out, errs, c.errs, code, c.code)
		}
		if strings.Count(errs, "\n") > 3 {
			t.Errorf("echo %s: more than three lines: %q", c.args, errs)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		args, out, errs string
		code            int
	}{
		{"/dev/x put a b --jobs 2", "put [/dev/x a b] jobs 2 quiet false\n", "", 0},
		{"--quiet /dev/x put --jobs=3 a", "put [/dev/x a] jobs 3 quiet true\n", "", 0},
		{"/dev/x ls", "ls [/dev/x]\n", "", 0},
		{"/dev/x ls --format json", `{"schema":"ebofs.box.ls/1","ok":true,"exit":0,"error":null,"items":[]}` + "\n", "", 0},
		{"/dev/x ls --jobs 2", "", "ebofs box: unknown flag: --jobs\n  Usage: ebofs box DEV ls [OPTION]...\n", 2},
		{"/dev/x put", "", "ebofs box: FILE is missing\n  Usage: ebofs box DEV put [OPTION]... FILE...\n", 2},
		{"", "", "ebofs box: DEV is missing\n  See: ebofs box --help\n", 2},
		{"/dev/x", "", "ebofs box: the action is missing; known: put ls\n  See: ebofs box --help\n", 2},
		{"/dev/x burn", "", "ebofs box: burn: not in this release\n  Nothing was done.\n", 2},
		{"/dev/x dance", "", "ebofs box: unknown action \"dance\"; known: put ls\n  See: ebofs box --help\n", 2},
	} {
		out, errs, code := run(box(), "ebofs", strings.Fields(c.args)...)
		if out != c.out || errs != c.errs || code != c.code {
			t.Errorf("box %s:\nout  %q\nwant %q\nerr  %q\nwant %q\ncode %d want %d", c.args, out, c.out, errs, c.errs, code, c.code)
		}
	}
}

func TestCodesOfItsOwn(t *testing.T) {
	v := echo()
	v.Codes = Codes{Failure: 8, Usage: 16, Cancelled: 32}
	for args, want := range map[string]int{"fail": 8, "": 16, "cancel": 32, "a --sing": 16} {
		if _, _, code := run(v, "ebofs", strings.Fields(args)...); code != want {
			t.Errorf("echo %q exits %d, want %d", args, code, want)
		}
	}
	v.Later = true
	if out, errs, code := run(v, "ebofs", "x"); out != "" || code != 16 || errs != "ebofs echo: not in this release\n  Nothing was done.\n" {
		t.Errorf("a later verb: %q %q %d", out, errs, code)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"x", "--nope", "-h"}, {"--format", "json", "--help"}} {
		out, errs, code := run(echo(), "ebofs", args...)
		if code != 0 || errs != "" || !strings.HasPrefix(out, "Usage: ebofs echo [OPTION]... WORD [MORE]\nSay a word.\n\nSays WORD.\n\n  kept as it is\n\nThe 'end'.\n") {
			t.Errorf("%v: code %d, %q, %q", args, code, errs, out)
		}
		for _, want := range []string{"  -t, --times N               say it N times (default 1)\n", "--how low|loud", "the voice (default low)", "sing it (not in this release)", "Exit status:\n    0  done"} {
			if !strings.Contains(out, want) {
				t.Errorf("help lacks %q:\n%s", want, out)
			}
		}
	}
	if out, _, code := run(box(), "ebofs", "put", "--help"); code != 0 || strings.Contains(out, " ls ") || !strings.HasPrefix(out, "Usage: ebofs box DEV put [OPTION]... FILE...\nKeep things.\n") || !strings.Contains(out, "--jobs") {
		t.Errorf("help of one action: exit %d: %s", code, out)
	}
	out, _, _ := run(box(), "ebofs", "-h")
	for _, want := range []string{"Usage: ebofs box DEV put [OPTION]... FILE...\n       ebofs box DEV ls [OPTION]...\n", "Options of put:\n      --jobs INT", "burn it (not in this release)"} {
		if !strings.Contains(out, want) {
			t.Errorf("help lacks %q:\n%s", want, out)
		}
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct{ program, verb, want string }{
		{"ebofs", "mkfs", "ebofs mkfs /dev/x"},
		{"./bin/ebofs", "fsck", "./bin/ebofs fsck /dev/x"},
		{"mkfs.ebofs", "mkfs", "mkfs.ebofs /dev/x"},
		{"/sbin/mkfs.ebofs", "fsck", "/sbin/fsck.ebofs /dev/x"},
		{"/sbin/mkfs.ebofs", "map", "/sbin/ebofs map /dev/x"},
	} {
		if got := (Streams{Program: c.program}).Command(c.verb, "/dev/x"); got != c.want {
			t.Errorf("%s: Command(%s) = %q, want %q", c.program, c.verb, got, c.want)
		}
	}
	for in, want := range map[string]string{"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "/dev/sdb1": "/dev/sdb1", "$x": "'$x'"} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A result that could not be written is a failure even if the work was done.
func TestBrokenStdout(t *testing.T) {
	for _, format := range []string{"plain", "json", "jsonl"} {
		var e bytes.Buffer
		code := Main(context.Background(), echo(), []string{"hi", "--format", format}, Streams{Out: fullDisk{}, Err: &e})
		if code != 1 || !strings.Contains(e.String(), "writing the result: no space left on device") {
			t.Errorf("%s: code %d, %q", format, code, e.String())
		}
	}
}

func TestColour(t *testing.T) {
	for _, c := range []struct {
		args     string
		terminal bool
		env      string
		want     bool
	}{
		{"x", true, "", true}, {"x", false, "", false}, {"x --color=always", false, "", true}, {"x --color=never", true, "", false},
		{"x", true, "NO_COLOR=1", false}, {"x", true, "TERM=dumb", false}, {"x", true, "TERM=xterm", true}, {"x --color=always", true, "NO_COLOR=1", true},
	} {
		var got bool
		v := Verb{Name: "c", Args: "X", Short: "c", New: func(*pflag.FlagSet) Run {
			return func(_ context.Context, c *Call) error { got = c.Color; return nil }
		}}
		Main(context.Background(), v, strings.Fields(c.args), Streams{OutTerminal: c.terminal, Getenv: func(k string) string {
			if v, ok := strings.CutPrefix(c.env, k+"="); ok {
				return v
			}
			return ""
		}})
		if got != c.want {
			t.Errorf("%+v: colour %v", c, got)
		}
	}
}

func TestJSONPretty(t *testing.T) {
	out, _, _ := run(echo(), "ebofs", "hi", "--format", "json-pretty")
	var v map[string]any
	if err := json.Unmarshal([]byte(out), &v); err != nil || !strings.Contains(out, "\n  \"ok\": true,\n") {
		t.Fatalf("%v: %s", err, out)
	}
}

// A shell that is here reads the script without complaint, and bash offers
// what it should.
func TestCompletion(t *testing.T) {
	verbs := []Verb{echo(), box(), {Name: "soon", Short: "later", Later: true}}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, err := Completion(shell, verbs)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"echo", "box", "times", "jobs", "put", "loud"} {
			if !strings.Contains(script, want) {
				t.Errorf("%s script lacks %q", shell, want)
			}
		}
		for _, no := range []string{"sing", "soon", "burn"} {
			if strings.Contains(script, no) {
				t.Errorf("%s script offers %q of a later release", shell, no)
			}
		}
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if bin, err := exec.LookPath(shell); err == nil {
			if out, err := exec.Command(bin, "-n", path).CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		}
		if bin, err := exec.LookPath("bash"); err == nil && shell == "bash" {
			out, err := exec.Command(bin, "-c", `. "$1"; COMP_WORDS=(ebofs box x --j); COMP_CWORD=3; _ebofs; echo ${COMPREPLY[*]}; COMP_WORDS=(ebofs e); COMP_CWORD=1; _ebofs; echo ${COMPREPLY[*]}
				COMP_WORDS=(ebofs echo --how l); COMP_CWORD=3; _ebofs; echo ${COMPREPLY[*]}`, "-", path).Output()
			if err != nil || string(out) != "--jobs\necho\nlow loud\n" {
				t.Errorf("bash completes %q, %v", out, err)
			}
		}
	}
	if _, err := Completion("cmd", verbs); !IsUsage(err) {
		t.Errorf("Completion(cmd): %v", err)
	}
}

// The page's structure, and no line that roff would take for a request.
func TestRoff(t *testing.T) {
	for _, v := range []Verb{echo(), box()} {
		page := Roff(v, "1.0")
		for _, want := range []string{".TH \"EBOFS\\-", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH OPTIONS\n", ".SH EXIT STATUS\n", ".SH SEE ALSO\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: page lacks %q", v.Name, want)
			}
		}
		for line := range strings.SplitSeq(page, "\n") {
			if strings.HasPrefix(line, ".") && !strings.ContainsAny(line[1:2], "TSBNFRnfP") {
				t.Errorf("%s: stray request %q", v.Name, line)
			}
			if strings.HasPrefix(line, "'") {
				t.Errorf("%s: line begins with a quote: %q", v.Name, line)
			}
		}
	}
}

func TestFailureChain(t *testing.T) {
	err := fmt.Errorf("layer: %w", &Failure{Code: "E-X", Message: "m", Err: syscall.EBUSY})
	if !errors.Is(err, syscall.EBUSY) {
		t.Error("the cause is not in the chain")
	}
	if f := asFailure(err, Codes{}.withDefaults()); f.Exit != 1 || f.Code != "E-X" {
		t.Errorf("asFailure: %+v", f)
	}
}
