// Package verb is what every command of the ebofs program is made of: the
// description of a verb, and the one way to run it.
//
// A Verb says its name, arguments, flags, long text, examples and exit codes.
// Parsing, --help, the manual page and shell completion are all made from that
// one description. A verb with actions ("object DEV get") describes each
// action likewise; an action has its own flags beside the verb's.
//
//	func Verb() verb.Verb {
//		return verb.Verb{Name: "version", Short: "print the version", Schema: "ebofs.version/1",
//			New: func(fs *pflag.FlagSet) verb.Run {
//				all := fs.Bool("all", false, "also list the modules")
//				return func(ctx context.Context, c *verb.Call) error {
//					c.Printf("ebofs 1.0\n")        // plain output only
//					c.Set(map[string]any{…})       // JSON output only
//					return nil
//				}
//			}}
//	}
//	func Main(ctx context.Context, args []string, s verb.Streams) int { return verb.Main(ctx, Verb(), args, s) }
//
// Rules that hold for every verb:
//
//	I1  stdout carries the result and nothing else; everything said beside it goes to stderr.
//	I2  With --format json or json-pretty stdout is one JSON object, also on failure and
//	    on wrong usage; with jsonl it is one object a line, the last being that envelope.
//	I3  No verb asks a question. Nothing depends on a terminal but colour and progress.
//	I4  A failure is at most three lines: what was found, whether anything was written,
//	    the next command.
//
// A verb runs on the caller's goroutine and may start others, which end before
// it returns. Nothing here is stored: there is no durable state and no lock.
package verb
