package manual

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/tools/codes"
	"ebofs/tools/output"
	"ebofs/tools/verb"
)

// Verb describes "man". table returns all verbs, version names the release.
func Verb(table func() []verb.Verb, version string) verb.Verb {
	return verb.Verb{
		Name: "man", Args: "[PAGE]", Short: "print a manual page, or the page of a problem code", Schema: "ebofs.man/1",
		Long: `Without PAGE, lists the pages. PAGE is a verb (mkfs), a page's name (mkfs.ebofs, ebofs-map) or a problem code (E-NODE-CRC), in any case.

With --roff the page is printed as man(7) source, for man -l; --write DIR writes the source of every page into DIR.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			roff := fs.Bool("roff", false, "print man(7) source")
			dir := fs.String("write", "", "write all pages into `DIR`")
			return func(_ context.Context, c *verb.Call) error {
				pages := Pages(table(), version)
				if *dir != "" {
					return write(c, pages, *dir)
				}
				if len(c.Args) == 0 {
					for _, p := range pages {
						c.Printf("%-24s %s\n", p.File(), p.Short)
					}
					c.Printf("and a page for each code, such as `%s`\n", c.Command("man", "E-IN-USE"))
					return nil
				}
				return show(c, pages, c.Args[0], *roff)
			}
		},
		Examples: []verb.Example{
			{Command: "ebofs man fsck", Text: "the page of fsck.ebofs"},
			{Command: "ebofs man E-IN-USE", Text: "what the code means, what is in danger, what to do"},
			{Command: "ebofs man --roff map | man -l -", Text: "a page in the pager"},
		},
	}
}

// Page is one manual page.
type Page struct {
	Name    string // "mkfs.ebofs"
	Section int
	Short   string
	Text    string // for a terminal
	Roff    string // man(7) source
	verb    string
}

// File returns the page's file name, "mkfs.ebofs.8".
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Pages makes all pages of the verbs in table that are in this release.
func Pages(table []verb.Verb, version string) []Page {
	pages := []Page{overview(table, version)}
	for _, v := range table {
		if v.Later {
			continue
		}
		name := "ebofs-" + v.Name
		if v.Link != "" {
			name = v.Link
		}
		pages = append(pages, Page{Name: name, Section: 8, Short: v.Short, Text: verb.HelpText(v), Roff: verb.Roff(v, version), verb: v.Name})
	}
	return append(pages, codesPage(version))
}

// overview is ebofs(8).
func overview(table []verb.Verb, version string) Page {
	var text, roff strings.Builder
	const what = "an object store on raw block devices"
	text.WriteString(Overview(table))
	fmt.Fprintf(&roff, ".TH \"EBOFS\" 8 \"\" \"ebofs %s\" \"ebofs\"\n.SH NAME\nebofs \\- %s\n.SH SYNOPSIS\n.B ebofs\nVERB [OPTION]... [ARGUMENT]...\n.SH VERBS\n", verb.Escape(version), what)
	for _, v := range table {
		if !v.Later {
			fmt.Fprintf(&roff, ".TP\n.B %s\n%s.\n", verb.Escape(v.Name), verb.Escape(v.Short))
		}
	}
	roff.WriteString(".SH SEE ALSO\n.BR mkfs.ebofs (8),\n.BR fsck.ebofs (8),\n.BR ebofs\\-codes (7)\n")
	return Page{Name: "ebofs", Section: 8, Short: what, Text: text.String(), Roff: roff.String(), verb: "ebofs"}
}

// Overview is what `ebofs` and `ebofs --help` print.
func Overview(table []verb.Verb) string {
	var b strings.Builder
	b.WriteString("Usage: ebofs VERB [OPTION]... [ARGUMENT]...\nAn object store on raw block devices.\n\nVerbs:\n")
	var later []string
	for _, v := range table {
		if v.Later {
			later = append(later, v.Name)
			continue
		}
		fmt.Fprintf(&b, "  %-12s %s\n", v.Name, v.Short)
	}
	if later != nil {
		fmt.Fprintf(&b, "Not in this release: %s\n", strings.Join(later, " "))
	}
	b.WriteString("\n`ebofs VERB --help` says more; `ebofs demo` shows it all on an image file.\n")
	return b.String()
}

// codesPage is ebofs-codes(7).
func codesPage(version string) Page {
	var text, roff strings.Builder
	const what = "problem codes, their meaning and cure"
	fmt.Fprintf(&roff, ".TH \"EBOFS\\-CODES\" 7 \"\" \"ebofs %s\" \"ebofs\"\n.SH NAME\nebofs\\-codes \\- %s\n.SH CODES\n", verb.Escape(version), what)
	for _, p := range codes.All() {
		text.WriteString(p.Text() + "\n")
		fmt.Fprintf(&roff, ".SS %s \\- %s\n%s\n.PP\nDanger: %s\n.PP\nCure: %s\n", verb.Escape(p.Code), verb.Escape(p.Title), verb.Escape(p.Meaning), verb.Escape(p.Danger), verb.Escape(p.Cure))
	}
	roff.WriteString(".SH SEE ALSO\n.BR ebofs (8)\n")
	return Page{Name: "ebofs-codes", Section: 7, Short: what, Text: text.String(), Roff: roff.String(), verb: "codes"}
}

// show prints the page called name.
func show(c *verb.Call, pages []Page, name string, roff bool) error {
	if p, ok := codes.Find(name); ok {
		c.Printf("%s", p.Text())
		c.Set(map[string]string{"page": p.Code, "title": p.Title, "meaning": p.Meaning, "danger": p.Danger, "cure": p.Cure})
		return nil
	}
	for _, p := range pages {
		if name == p.Name || name == p.verb || name == p.File() {
			text := p.Text
			if roff {
				text = p.Roff
			}
			c.Printf("%s", text)
			c.Set(map[string]string{"page": p.File(), "title": p.Short, "text": text})
			return nil
		}
	}
	f := verb.Usage(fmt.Sprintf("no page %q", name))
	f.Hint = "List: " + c.Command("man")
	return f
}

// write stores the source of every page in dir.
func write(c *verb.Call, pages []Page, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var files []string
	for _, p := range pages {
		if err := output.Write(filepath.Join(dir, p.File()), []byte(p.Roff)); err != nil {
			return err
		}
		files = append(files, p.File())
	}
	c.Printf("%d pages in %s\n", len(files), dir)
	c.Set(map[string]any{"files": files})
	return nil
}
