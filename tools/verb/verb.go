package verb

import (
	"context"

	"github.com/spf13/pflag"
)

// Run does the work of a verb or action after its flags were parsed. An error
// becomes the message, the envelope's error and the exit code; see Failure.
type Run func(ctx context.Context, c *Call) error

// Verb describes one command.
type Verb struct {
	Name  string // the first word of the command line
	Short string // one line, lower case, no full stop
	Long  string // paragraphs separated by an empty line; a line that begins with two blanks is kept as it is
	// Args is the synopsis of the positional words: before the action's name
	// if there are actions, else all of them. Upper case words are operands,
	// brackets make optional, "..." repeats: "DEV", "[PAGE]", "FILE...".
	Args string
	// Schema of the JSON envelope, name and major: "ebofs.fsck/1".
	Schema string
	// Rows names the list in the envelope that Call.Row fills; "" if none.
	Rows string

	New     func(fs *pflag.FlagSet) Run // nil if there are actions
	Flags   func(fs *pflag.FlagSet)     // flags every action takes; nil if none
	Actions []Action

	Examples []Example
	Codes    Codes
	// Exits documents the exit codes; nil stands for the usual 0, 1, 2, 130.
	Exits   []Exit
	SeeAlso []string // names of other verbs
	// Link is the other name of the program that means this verb
	// ("mkfs.ebofs"); "" if none.
	Link string
	// Later marks a verb that is described but not in this release.
	Later bool
}

// Action is one of several things a verb does: its name is the word after the
// verb's own positional words.
type Action struct {
	Name  string
	Args  string // positional words after the action's name
	Short string
	// Schema and Rows, if not empty, stand instead of the verb's.
	Schema, Rows string
	New          func(fs *pflag.FlagSet) Run
	Later        bool
}

// Example is one command line that works as it stands, without the program's
// path, and what it does.
type Example struct {
	Command string
	Text    string
}

// Exit documents one exit code.
type Exit struct {
	Code int
	Text string
}

// Codes are the exit codes of the outcomes every verb has. The zero value
// means 1, 2 and 130.
type Codes struct {
	Failure   int
	Usage     int
	Cancelled int
}

func (c Codes) withDefaults() Codes {
	if c.Failure == 0 {
		c.Failure = 1
	}
	if c.Usage == 0 {
		c.Usage = 2
	}
	if c.Cancelled == 0 {
		c.Cancelled = 130
	}
	return c
}

// ExitTable returns the documented exit codes of v.
func (v Verb) ExitTable() []Exit {
	if v.Exits != nil {
		return v.Exits
	}
	return []Exit{
		{0, "done"},
		{1, "failed or refused; nothing half done"},
		{2, "wrong usage, or not in this release"},
		{130, "interrupted; what is on the disk is valid"},
	}
}

// Later registers a flag of a later release: it parses, is shown as such in
// the help, and using it is answered with "not in this release".
func Later(fs *pflag.FlagSet, name, shorthand, usage string) {
	fs.StringP(name, shorthand, "", usage)
	f := fs.Lookup(name)
	f.NoOptDefVal = "yes"
	f.Annotations = map[string][]string{laterKey: {"yes"}}
}

// LaterValue is Later for a flag that takes a value.
func LaterValue(fs *pflag.FlagSet, name, shorthand, usage string) {
	fs.StringP(name, shorthand, "", usage)
	fs.Lookup(name).Annotations = map[string][]string{laterKey: {"yes"}}
}

const laterKey = "later"

func isLater(f *pflag.Flag) bool { return len(f.Annotations[laterKey]) > 0 }
