package verb

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Synopsis returns the usage lines of v, one for each action; name is how the
// verb is called there.
func Synopsis(v Verb, name string) []string {
	if len(v.Actions) == 0 {
		return []string{join(name, "[OPTION]...", v.Args)}
	}
	var lines []string
	for _, a := range v.Actions {
		lines = append(lines, join(name, v.Args, a.Name, "[OPTION]...", a.Args))
	}
	return lines
}

func join(words ...string) string {
	var kept []string
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// FlagDoc is one flag as help, manual page and completion show it.
type FlagDoc struct {
	Name, Shorthand string
	Value           string // name of its value; "" for a switch
	Usage           string
	Default         string // "" if it says nothing
	Action          string // the action it belongs to; "" for all
	Common          bool   // every verb has it
	Later           bool   // not in this release
}

// Choices returns the words a value is chosen from, or nil.
func (d FlagDoc) Choices() []string {
	if strings.Contains(d.Value, "|") {
		return strings.Split(d.Value, "|")
	}
	return nil
}

// Flags lists the flags of v: its own, those of its actions, the common ones.
func Flags(v Verb) []FlagDoc {
	var docs []FlagDoc
	add := func(fs *pflag.FlagSet, action string, common bool) {
		fs.SortFlags = false
		fs.VisitAll(func(f *pflag.Flag) {
			value, usage := pflag.UnquoteUsage(f)
			d := FlagDoc{Name: f.Name, Shorthand: f.Shorthand, Value: value, Usage: usage, Action: action, Common: common, Later: isLater(f)}
			if strings.Contains(value, "|") {
				// `a|b`: what it means
				usage = strings.TrimPrefix(strings.TrimPrefix(usage, value), ": ")
				d.Usage = usage
			}
			if f.NoOptDefVal != "" {
				d.Value = ""
			} else {
				d.Value = strings.ToUpper(d.Value)
				if strings.Contains(d.Value, "|") {
					d.Value = strings.ToLower(d.Value)
				}
			}
			switch f.DefValue {
			case "", "false", "0", "[]":
			default:
				d.Default = f.DefValue
			}
			docs = append(docs, d)
		})
	}
	own := pflag.NewFlagSet(v.Name, pflag.ContinueOnError)
	if v.Flags != nil {
		v.Flags(own)
	}
	if v.New != nil {
		v.New(own)
	}
	add(own, "", false)
	for _, a := range v.Actions {
		fs := pflag.NewFlagSet(a.Name, pflag.ContinueOnError)
		if a.New != nil {
			a.New(fs)
		}
		add(fs, a.Name, false)
	}
	shared := pflag.NewFlagSet(v.Name, pflag.ContinueOnError)
	new(common).register(shared)
	add(shared, "", true)
	return docs
}

// label returns "-f, --force", "    --size SIZE".
func (d FlagDoc) label() string {
	s := "    "
	if d.Shorthand != "" {
		s = "-" + d.Shorthand + ", "
	}
	return strings.TrimRight(s+"--"+d.Name+" "+d.Value, " ")
}

// text returns the usage with default and release note.
func (d FlagDoc) text() string {
	s := d.Usage
	if d.Default != "" {
		s += " (default " + d.Default + ")"
	}
	if d.Later {
		s += " (not in this release)"
	}
	return s
}

const helpWidth = 100

// HelpText is what --help prints.
func HelpText(v Verb) string {
	var b strings.Builder
	name := "ebofs " + v.Name
	if v.Link != "" {
		name = v.Link
	}
	for i, line := range Synopsis(v, name) {
		lead := "Usage: "
		if i > 0 {
			lead = "       "
		}
		fmt.Fprintf(&b, "%s%s\n", lead, line)
	}
	fmt.Fprintf(&b, "%s%s.\n", strings.ToUpper(v.Short[:1]), v.Short[1:])
	if v.Later {
		b.WriteString("\nThis verb is not in this release.\n")
		return b.String()
	}
	if v.Long != "" {
		b.WriteString("\n")
		b.WriteString(fill(v.Long, "", helpWidth))
	}
	if len(v.Actions) > 0 {
		b.WriteString("\nActions:\n")
		for _, a := range v.Actions {
			short := a.Short
			if a.Later {
				short += " (not in this release)"
			}
			item(&b, join(a.Name, a.Args), short)
		}
	}
	section := ""
	for _, d := range Flags(v) {
		head := "Options:"
		switch {
		case d.Common:
			head = "Options of every verb:"
		case d.Action != "":
			head = "Options of " + d.Action + ":"
		}
		if head != section {
			fmt.Fprintf(&b, "\n%s\n", head)
			section = head
		}
		item(&b, d.label(), d.text())
	}
	if len(v.Examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, e := range v.Examples {
			fmt.Fprintf(&b, "  %s\n      %s\n", e.Command, e.Text)
		}
	}
	b.WriteString("\nExit status:\n")
	for _, e := range v.ExitTable() {
		fmt.Fprintf(&b, "  %3d  %s\n", e.Code, e.Text)
	}
	return b.String()
}

// item writes a term and its description, the latter from column 30 on.
func item(b *strings.Builder, term, text string) {
	const column = 30
	lines := strings.Split(strings.TrimRight(fill(text, "", helpWidth-column), "\n"), "\n")
	if len(term)+2 > column-2 {
		fmt.Fprintf(b, "  %s\n", term)
	} else {
		fmt.Fprintf(b, "  %-*s%s\n", column-2, term, lines[0])
		lines = lines[1:]
	}
	for _, l := range lines {
		fmt.Fprintf(b, "%*s%s\n", column, "", l)
	}
}

// fill breaks paragraphs at width; lines that begin with two blanks are kept.
func fill(text, indent string, width int) string {
	var b strings.Builder
	line := ""
	end := func() {
		if line != "" {
			b.WriteString(indent + line + "\n")
		}
		line = ""
	}
	for raw := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(raw, "  "):
			end()
			b.WriteString(indent + raw + "\n")
		case strings.TrimSpace(raw) == "":
			end()
			b.WriteString("\n")
		default:
			for _, w := range strings.Fields(raw) {
				if line != "" && len([]rune(line))+1+len([]rune(w)) > width-len(indent) {
					end()
				}
				if line != "" {
					line += " "
				}
				line += w
			}
		}
	}
	end()
	return b.String()
}
