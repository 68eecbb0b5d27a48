package verb

import (
	"bufio"
	"context"
	"fmt"
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
		fmt.Fprint(c.out, HelpText(c.described()))
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
	c.Level = new(slog.LevelVar)
	c.Level.Set(level)
	c.Log = slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: c.Level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // a tool's log is read while it runs
		}
		return a
	}}))
	return nil
}

// described is the verb for --help: with one action only if it was named.
func (c *Call) described() Verb {
	v := *c.verb
	if c.action != nil {
		v.Actions = []Action{*c.action}
	}
	return v
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
