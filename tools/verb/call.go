package verb

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Format is how the result is written.
type Format string

// The formats every verb knows.
const (
	Plain      Format = "plain"
	JSON       Format = "json"
	JSONPretty Format = "json-pretty"
	JSONLines  Format = "jsonl"
)

// Call is one run of a verb: its arguments, and where its output goes.
type Call struct {
	Streams
	Args   []string       // positional words, without the action's name
	Flags  *pflag.FlagSet // as parsed; for Changed
	Format Format
	Color  bool // the result may be coloured
	Log    *slog.Logger
	Level  *slog.LevelVar // of Log

	verb   *Verb
	action *Action
	out    *bufio.Writer
	result any
	rows   []json.RawMessage
	exit   int
	outErr error
}

// Plain reports whether the result is for a person.
func (c *Call) Plain() bool { return c.Format == Plain }

// Write puts p into the plain result; with a JSON format it is dropped. It
// never fails: an error of stdout fails the verb at its end.
func (c *Call) Write(p []byte) (int, error) {
	if c.Plain() {
		c.keep(c.out.Write(p))
		if c.OutTerminal {
			c.Flush()
		}
	}
	return len(p), nil
}

// Printf is Write of formatted text.
func (c *Call) Printf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// Binary returns a writer to stdout whatever the format, for verbs whose
// result is a stream of bytes. It is flushed at the end of the verb.
func (c *Call) Binary() *bufio.Writer { return c.out }

// Flush pushes out what was printed so far. A verb that goes on for long calls
// it after each stage.
func (c *Call) Flush() { c.keep(0, c.out.Flush()) }

func (c *Call) keep(_ int, err error) {
	if c.outErr == nil {
		c.outErr = err
	}
}

// Set makes v, which must encode as a JSON object, the fields of the envelope.
func (c *Call) Set(v any) { c.result = v }

// Row adds one item to the list of the result: at once with jsonl, else when
// the verb ends. In plain format it does nothing.
func (c *Call) Row(v any) {
	if c.Plain() {
		return
	}
	p, err := marshal(v)
	if err != nil {
		c.keep(0, err)
		return
	}
	if c.Format == JSONLines {
		c.keep(c.out.Write(append(p, '\n')))
		return
	}
	c.rows = append(c.rows, p)
}

// Exit sets the exit code of a verb that did its work but found something.
func (c *Call) Exit(code int) { c.exit = code }

// Notef says one line on stderr, in whatever format the result is.
func (c *Call) Notef(format string, args ...any) {
	fmt.Fprintf(c.Err, "%s: %s\n", c.Name(), fmt.Sprintf(format, args...))
}

// Name is how the verb calls itself in messages: "ebofs dump", "mkfs.ebofs".
func (c *Call) Name() string {
	base := filepath.Base(c.Program)
	if c.verb.Link != "" && base == c.verb.Link {
		return base
	}
	return strings.TrimSpace(base + " " + c.verb.Name)
}

// Given returns the flags as they were given, those named except left out: for a
// command line that is to be the same but for them.
func (c *Call) Given(except ...string) (flags []string) {
	c.Flags.Visit(func(f *pflag.Flag) {
		if slices.Contains(except, f.Name) {
			return
		}
		switch v, list := f.Value.(pflag.SliceValue); {
		case list:
			for _, one := range v.GetSlice() {
				flags = append(flags, "--"+f.Name, one)
			}
		case f.Value.Type() == "bool":
			flags = append(flags, "--"+f.Name+strings.TrimSuffix("="+f.Value.String(), "=true"))
		default:
			flags = append(flags, "--"+f.Name, f.Value.String())
		}
	})
	return flags
}

// Command returns a command line for another (or this) verb that works when
// pasted: called the way this program was, arguments quoted for the shell.
func (c *Call) Command(verb string, args ...string) string {
	return c.Streams.Command(verb, args...)
}

// links are the other names of the program.
func links() map[string]string { return map[string]string{"mkfs": "mkfs.ebofs", "fsck": "fsck.ebofs"} }

// Command returns a command line for verb that works when pasted.
func (s Streams) Command(verb string, args ...string) string {
	dir, base := filepath.Split(s.Program)
	var words []string
	switch link, ok := links()[verb]; {
	case ok && strings.HasSuffix(base, ".ebofs"):
		words = []string{dir + link}
	case strings.HasSuffix(base, ".ebofs"):
		words = []string{dir + "ebofs", verb}
	default:
		words = []string{dir + base, verb}
	}
	words = append(words, args...)
	for i, w := range words {
		words[i] = Quote(w)
	}
	return strings.Join(words, " ")
}

// Quote returns word so that a POSIX shell reads it as one word.
func Quote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
