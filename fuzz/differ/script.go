package differ

import (
	"fmt"
	"os"
	"strings"
)

// line is a line of a script: an operation with its result, or a comment.
type line struct {
	op, result string
}

// section is a case with its lines; the lines before the first case are one
// without a name.
type section struct {
	name  string
	lines []line
}

// parse reads a script.
func parse(path string) ([]section, error) {
	p, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := []section{{}}
	for i, text := range strings.Split(strings.TrimRight(string(p), "\n"), "\n") {
		last := &s[len(s)-1]
		switch {
		case strings.HasPrefix(text, "case "):
			s = append(s, section{name: strings.TrimPrefix(text, "case ")})
		case strings.HasPrefix(text, "= "):
			if len(last.lines) == 0 || !last.lines[len(last.lines)-1].operation() || last.lines[len(last.lines)-1].result != "" {
				return nil, fmt.Errorf("%s:%d: a result of nothing", path, i+1)
			}
			last.lines[len(last.lines)-1].result = strings.TrimPrefix(text, "= ")
		default:
			last.lines = append(last.lines, line{op: text})
		}
	}
	return s, nil
}

func (l line) operation() bool { return l.op != "" && l.op[0] != '#' }

// format is the text of a script.
func format(s []section) string {
	var b strings.Builder
	for _, c := range s {
		if c.name != "" {
			fmt.Fprintf(&b, "case %s\n", c.name)
		}
		for _, l := range c.lines {
			fmt.Fprintln(&b, l.op)
			if l.result != "" {
				fmt.Fprintf(&b, "= %s\n", l.result)
			}
		}
	}
	return b.String()
}
