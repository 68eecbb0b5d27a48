package verb

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

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
		before := len(strings.Fields(v.Args))
		if help, _ := fs.GetBool("help"); help {
			// "device bench --help": of the words only the action matters.
			for i := range v.Actions {
				for _, word := range fs.Args() {
					if v.Actions[i].Name == word && c.action == nil {
						c.action = &v.Actions[i]
					}
				}
			}
			return nil, common{help: true}, nil
		}
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
