package verb

import (
	"fmt"
	"strings"
)

// Roff returns the manual page of v in man(7) source, section 8. version
// stands in the page's foot.
func Roff(v Verb, version string) string {
	var b strings.Builder
	page, name := "ebofs-"+v.Name, "ebofs "+v.Name
	if v.Link != "" {
		page, name = v.Link, v.Link
	}
	fmt.Fprintf(&b, ".TH %s 8 \"\" \"ebofs %s\" \"ebofs\"\n", roffWord(strings.ToUpper(page)), roffText(version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roffText(page), roffText(v.Short))
	b.WriteString(".SH SYNOPSIS\n.nf\n")
	for _, line := range Synopsis(v, name) {
		b.WriteString(roffLine(line) + "\n")
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	b.WriteString(roffParagraphs(v.Long))
	if len(v.Actions) > 0 {
		b.WriteString(".SH ACTIONS\n")
		for _, a := range v.Actions {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s.\n", roffText(join(a.Name, a.Args)), roffLine(sentence(a.Short, a.Later)))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	action := ""
	for _, d := range Flags(v) {
		if d.Action != action {
			if action = d.Action; action != "" {
				fmt.Fprintf(&b, ".SS Options of %s\n", roffText(action))
			}
		}
		if d.Common && d.Name == "format" {
			b.WriteString(".SS Options of every verb\n")
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s.\n", roffText(strings.TrimSpace(d.label())), roffLine(sentence(d.text(), false)))
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, e := range v.ExitTable() {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s.\n", e.Code, roffLine(sentence(e.Text, false)))
	}
	if len(v.Examples) > 0 {
		b.WriteString(".SH EXAMPLES\n")
		for _, e := range v.Examples {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s.\n", roffText(e.Command), roffLine(sentence(e.Text, false)))
		}
	}
	b.WriteString(".SH SEE ALSO\n")
	var also []string
	for _, s := range v.SeeAlso {
		if link, ok := links()[s]; ok {
			also = append(also, ".BR "+roffText(link)+" (8)")
			continue
		}
		also = append(also, ".BR "+roffText("ebofs-"+s)+" (8)")
	}
	also = append(also, ".BR ebofs (8)", ".BR "+roffText("ebofs-codes")+" (7)")
	b.WriteString(strings.Join(also, ",\n") + "\n")
	return b.String()
}

// sentence makes s begin with a capital and notes a later release.
func sentence(s string, later bool) string {
	if later {
		s += " (not in this release)"
	}
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// roffParagraphs is text of paragraphs in man(7); lines that begin with two
// blanks become a literal block.
func roffParagraphs(text string) string {
	var b strings.Builder
	literal := false
	for raw := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		kept := strings.HasPrefix(raw, "  ")
		if literal && !kept {
			b.WriteString(".fi\n.RE\n")
			literal = false
		}
		switch {
		case kept:
			if !literal {
				b.WriteString(".RS\n.nf\n")
				literal = true
			}
			b.WriteString(roffLine(strings.TrimPrefix(raw, "  ")) + "\n")
		case strings.TrimSpace(raw) == "":
			b.WriteString(".PP\n")
		default:
			b.WriteString(roffLine(strings.TrimSpace(raw)) + "\n")
		}
	}
	if literal {
		b.WriteString(".fi\n.RE\n")
	}
	return b.String()
}

// roffText escapes s for use inside a line.
func roffText(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "·", `\(bu`, "≥", `\(>=`, "≤", `\(<=`, "×", `\(mu`, "µ", `\(mc`, "…", "...").Replace(s)
}

// roffLine escapes s for use as a line of its own, where a leading dot or
// quote would be a request.
func roffLine(s string) string {
	s = roffText(s)
	if strings.HasPrefix(s, ".") {
		return `\&` + s
	}
	return s
}

// roffWord quotes s as one argument of a request.
func roffWord(s string) string { return `"` + roffText(s) + `"` }

// Escape returns s as text of a manual page, for pages that are not of a verb.
func Escape(s string) string { return roffLine(s) }
