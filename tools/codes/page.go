package codes

import (
	"fmt"
	"slices"
	"strings"
)

// Page explains one code. The texts are sentences.
type Page struct {
	Code    string
	Title   string // one line, lower case, no full stop
	Meaning string
	Danger  string
	Cure    string
}

// All returns every page, sorted by code.
func All() []Page {
	all := slices.Concat(toolPages(), storePages())
	slices.SortFunc(all, func(a, b Page) int { return strings.Compare(a.Code, b.Code) })
	return all
}

// Find returns the page of code, in whatever case it is written.
func Find(code string) (Page, bool) {
	for _, p := range All() {
		if strings.EqualFold(p.Code, code) {
			return p, true
		}
	}
	return Page{}, false
}

// Text is the page for a terminal.
func (p Page) Text() string {
	return fmt.Sprintf("%s: %s\n\nMeaning: %s\nDanger:  %s\nCure:    %s\n", p.Code, p.Title, p.Meaning, p.Danger, p.Cure)
}
