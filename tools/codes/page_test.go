package codes

import (
	"regexp"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	form := regexp.MustCompile(`^[EW]-[A-Z0-9]+(-[A-Z0-9]+)*$`)
	seen := map[string]bool{}
	for _, p := range All() {
		if !form.MatchString(p.Code) || seen[p.Code] {
			t.Errorf("%q: malformed or twice", p.Code)
		}
		seen[p.Code] = true
		if p.Title == "" || strings.HasSuffix(p.Title, ".") {
			t.Errorf("%s: title %q", p.Code, p.Title)
		}
		for _, s := range []string{p.Meaning, p.Danger, p.Cure} {
			if !strings.HasSuffix(s, ".") {
				t.Errorf("%s: %q is no sentence", p.Code, s)
			}
		}
		if got, ok := Find(strings.ToLower(p.Code)); !ok || got != p || !strings.Contains(p.Text(), p.Cure) {
			t.Errorf("%s: not found by its own name", p.Code)
		}
	}
	if _, ok := Find("E-NO-SUCH-CODE"); ok {
		t.Error("a page for a code that is none")
	}
}
