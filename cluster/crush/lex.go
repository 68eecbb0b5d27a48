package crush

import (
	"fmt"
	"strconv"
	"strings"
)

// token is a word or one of { } [ ] of a text, and its line.
type token struct {
	text string
	line int
}

// lex splits a text into tokens; # starts a comment.
func lex(text string) []token {
	var tokens []token
	line := 0
	for l := range strings.Lines(text) {
		line++
		l, _, _ = strings.Cut(l, "#")
		for _, word := range strings.Fields(l) {
			for word != "" {
				n := strings.IndexAny(word, "{}[]")
				switch {
				case n == 0:
					n = 1
				case n < 0:
					n = len(word)
				}
				tokens = append(tokens, token{word[:n], line})
				word = word[n:]
			}
		}
	}
	return append(tokens, token{"", line})
}

// parser takes tokens; after the first error it stands at the end.
type parser struct {
	tokens []token // the last is empty
	at     int
	err    error
}

func (p *parser) peek() string { return p.tokens[p.at].text }

func (p *parser) next() string {
	t := p.tokens[p.at].text
	if t != "" {
		p.at++
	}
	return t
}

// failf makes the parser fail at the token it took last, unless it already has.
func (p *parser) failf(format string, args ...any) {
	p.fail(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrInvalid))
}

// fail is failf with an error that wraps ErrInvalid.
func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = fmt.Errorf("line %d: %w", p.tokens[max(p.at-1, 0)].line, err)
	}
	p.at = len(p.tokens) - 1
}

// accept takes the next token if it is want.
func (p *parser) accept(want string) bool {
	if p.peek() == want && want != "" {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(want string) {
	if got := p.next(); got != want && p.err == nil {
		p.failf("%q where %q is due", got, want)
	}
}

// word takes a name.
func (p *parser) word(what string) string {
	w := p.next()
	if !validWord(w) {
		p.failf("%q where %s is due", w, what)
	}
	return w
}

// number takes an integer from low to high.
func (p *parser) number(what string, low, high int64) int64 {
	w := p.next()
	n, err := strconv.ParseInt(w, 10, 64)
	if err != nil || n < low || n > high {
		p.failf("%q where %s is due, a number from %d to %d", w, what, low, high)
		return low
	}
	return n
}

// weight takes a weight, in single precision as Ceph's own compiler does.
func (p *parser) weight() Weight {
	s := p.next()
	f, err := strconv.ParseFloat(s, 32)
	if err != nil || !(f >= 0 && f < 0x10000) {
		p.failf("%q where a weight is due, a number from 0 to 65535", s)
		return 0
	}
	return Weight(float32(f) * float32(One))
}
