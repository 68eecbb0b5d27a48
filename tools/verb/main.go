package verb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"
)

// common are the flags every verb takes.
type common struct {
	format, color, level string
	help                 bool
}

func (o *common) register(fs *pflag.FlagSet) {
	fs.StringVar(&o.format, "format", "plain", "`plain|json|json-pretty|jsonl`: how the result is printed")
	fs.StringVar(&o.color, "color", "auto", "`auto|always|never`: colour in the result; auto respects NO_COLOR and TERM")
	fs.StringVar(&o.level, "log-level", "warn", "`debug|info|warn|error`: what is logged to stderr")
	fs.BoolVarP(&o.help, "help", "h", false, "print this text and exit")
}

// Main parses args (the words after the verb's name), runs v and returns the
// exit code.
func Main(ctx context.Context, v Verb, args []string, s Streams) int {
	s = s.withDefaults()
	c := &Call{Streams: s, Format: Plain, verb: &v, out: bufio.NewWriter(s.Out), Log: slog.New(slog.DiscardHandler)}
	// The format holds even if the rest of the line is wrong.
	if f := scanFormat(args); f != "" {
		c.Format = f
	}
	err := c.main(ctx, args)
	if err == nil {
		return c.finish(nil)
	}
	f := asFailure(err, v.Codes.withDefaults())
	c.Flush()
	c.complain(f)
	return c.finish(f)
}

// main is Main up to the error.
func (c *Call) main(ctx context.Context, args []string) error {
	v := c.verb
	if v.Later {
		if helpAsked(args) {
			fmt.Fprint(c.out, HelpText(*v))
			return nil
		}
		return notYet("")
	}
	run, opts, err := c.parse(args)
	if opts.help {
		c.Format = Plain
		fmt.Fprint(c.out, HelpText(*v))
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.apply(opts); err != nil {
		return err
	}
	return run(ctx, c)
}

// parse finds the action, parses the flags that hold for it and checks the
// number of positional words.
func (c *Call) parse(args []string) (run Run, opts common, err error) {
	v := c.verb
	argSpec := v.Args
	if len(v.Actions) > 0 {
		// The action's name may stand behind flags, so a first pass that knows
		// the flags of all actions finds the words.
		fs := newFlagSet(*v)
		for _, a := range v.Actions {
			one := pflag.NewFlagSet(a.Name, pflag.ContinueOnError)
			a.New(one)
			one.VisitAll(func(f *pflag.Flag) {
				if fs.Lookup(f.Name) != nil {
					return
				}
				if f.Shorthand != "" && fs.ShorthandLookup(f.Shorthand) != nil {
					f.Shorthand = ""
				}
				fs.AddFlag(f)
			})
		}
		new(common).register(fs)
		if err := fs.Parse(args); err != nil {
			return nil, common{help: helpAsked(args)}, c.usage(err.Error())
		}
		if help, _ := fs.GetBool("help"); help {
			return nil, common{help: true}, nil
		}
		before := len(strings.Fields(v.Args))
		if fs.NArg() <= before {
			return nil, opts, c.usage(missing(v, fs.Args(), before))
		}
		word := fs.Arg(before)
		for i := range v.Actions {
			if v.Actions[i].Name == word {
				c.action = &v.Actions[i]
			}
		}
		if c.action == nil {
			return nil, opts, c.usage(fmt.Sprintf("unknown action %q; known: %s", word, strings.Join(actionNames(v), " ")))
		}
		argSpec = strings.TrimSpace(v.Args + " " + c.action.Args)
	}
	fs := newFlagSet(*v)
	switch {
	case c.action != nil:
		run = c.action.New(fs)
	default:
		run = v.New(fs)
	}
	opts.register(fs)
	c.Flags = fs
	if err := fs.Parse(args); err != nil {
		opts.help = opts.help || helpAsked(args)
		return nil, opts, c.usage(err.Error())
	}
	if opts.help {
		return nil, opts, nil
	}
	if c.action != nil && c.action.Later {
		return nil, opts, notYet(c.action.Name)
	}
	var later []string
	fs.Visit(func(f *pflag.Flag) {
		if isLater(f) {
			later = append(later, "--"+f.Name)
		}
	})
	if later != nil {
		return nil, opts, notYet(strings.Join(later, ", "))
	}
	c.Args = fs.Args()
	if c.action != nil {
		before := len(strings.Fields(v.Args))
		c.Args = append(append([]string(nil), c.Args[:before]...), c.Args[before+1:]...)
	}
	if err := checkCount(argSpec, c.Args); err != nil {
		return nil, opts, c.usage(err.Error())
	}
	return run, opts, nil
}

func newFlagSet(v Verb) *pflag.FlagSet {
	fs := pflag.NewFlagSet(v.Name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	fs.Usage = func() {}
	if v.Flags != nil {
		v.Flags(fs)
	}
	return fs
}

// apply checks and sets the common options.
func (c *Call) apply(o common) error {
	switch f := Format(o.format); f {
	case Plain, JSON, JSONPretty, JSONLines:
		c.Format = f
	default:
		return c.usage(fmt.Sprintf("--format %q: it is plain, json, json-pretty or jsonl", o.format))
	}
	switch o.color {
	case "auto":
		c.Color = c.OutTerminal && c.Getenv("NO_COLOR") == "" && c.Getenv("TERM") != "dumb"
	case "always", "never":
		c.Color = o.color == "always"
	default:
		return c.usage(fmt.Sprintf("--color %q: it is auto, always or never", o.color))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return c.usage(fmt.Sprintf("--log-level %q: it is debug, info, warn or error", o.level))
	}
	c.Log = slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // a tool's log is read while it runs
		}
		return a
	}}))
	return nil
}

// complain prints a failure for a person, whatever the format of the result.
func (c *Call) complain(f *Failure) {
	fmt.Fprintf(c.Err, "%s: %s\n", c.Name(), f.Message)
	for line := range strings.SplitSeq(f.Hint, "\n") {
		if line != "" {
			fmt.Fprintf(c.Err, "  %s\n", line)
		}
	}
}

// usage is the failure for a wrong command line of this call.
func (c *Call) usage(message string) error {
	f := Usage(message)
	f.Hint = "Usage: " + strings.Join(c.synopsis(), "\n       ")
	if lines := strings.Count(f.Hint, "\n"); lines > 1 {
		f.Hint = "See: " + c.Command(c.verb.Name, "--help")
	}
	return f
}

// synopsis returns the usage lines that concern the call.
func (c *Call) synopsis() []string {
	all := Synopsis(*c.verb, c.Name())
	if c.action == nil {
		return all
	}
	for i := range c.verb.Actions {
		if &c.verb.Actions[i] == c.action {
			return all[i : i+1]
		}
	}
	return all
}

// notYet is the one answer to everything a later release brings; what is the
// action or flag, "" for the verb itself.
func notYet(what string) error {
	message := "not in this release"
	if what != "" {
		message = what + ": " + message
	}
	return &Failure{Code: CodeLater, Message: message, Hint: "Nothing was done."}
}

// missing says which word the command line ends before.
func missing(v *Verb, got []string, before int) string {
	if len(got) < before {
		return fmt.Sprintf("%s is missing", strings.Fields(v.Args)[len(got)])
	}
	return "the action is missing; known: " + strings.Join(actionNames(v), " ")
}

func actionNames(v *Verb) []string {
	var names []string
	for _, a := range v.Actions {
		if !a.Later {
			names = append(names, a.Name)
		}
	}
	return names
}

// checkCount checks the number of words against a synopsis like "DEV [NAME] FILE...".
func checkCount(spec string, args []string) error {
	least, most := 0, 0
	words := strings.Fields(spec)
	for _, w := range words {
		if !strings.HasPrefix(w, "[") {
			least++
		}
		if strings.Contains(w, "...") {
			most = 1 << 30
		}
		most++
	}
	switch {
	case len(args) < least:
		required := make([]string, 0, least)
		for _, w := range words {
			if !strings.HasPrefix(w, "[") {
				required = append(required, strings.TrimSuffix(w, "..."))
			}
		}
		return fmt.Errorf("%s is missing", required[len(args)])
	case len(args) > most:
		return fmt.Errorf("too many words: %q", args[most])
	}
	return nil
}

// scanFormat finds a valid --format before anything is parsed, so that even a
// usage error is answered in it.
func scanFormat(args []string) Format {
	for i, a := range args {
		value, ok := strings.CutPrefix(a, "--format=")
		if a == "--" {
			break
		}
		if a == "--format" && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if f := Format(value); ok && (f == JSON || f == JSONPretty || f == JSONLines) {
			return f
		}
	}
	return ""
}

func helpAsked(args []string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "-h" || a == "--help" {
			return true
		}
	}
	return false
}

// IsUsage reports whether err says that the command line was wrong.
func IsUsage(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Code == CodeUsage
}

// Reject answers a command line that names no verb, in the format it asks for,
// and returns the exit code.
func Reject(message, hint string, args []string, s Streams) int {
	v := Verb{Schema: "ebofs/1", New: func(fs *pflag.FlagSet) Run { return nil }}
	c := &Call{Streams: s.withDefaults(), Format: Plain, verb: &v, out: bufio.NewWriter(s.Out)}
	if f := scanFormat(args); f != "" {
		c.Format = f
	}
	f := asFailure(&Failure{Code: CodeUsage, Message: message, Hint: hint}, Codes{}.withDefaults())
	c.complain(f)
	return c.finish(f)
}

// Parse checks a command line of v without running it: flags, action, number
// of words. Documentation is tested with it.
func Parse(v Verb, args []string) error {
	c := &Call{Streams: Streams{}.withDefaults(), verb: &v}
	if v.Later {
		return notYet("")
	}
	_, opts, err := c.parse(args)
	if err != nil || opts.help {
		return err
	}
	return c.apply(opts)
}
