package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrSyntax is returned for a text that is no configuration.
var ErrSyntax = errors.New("bad configuration")

// Line is one value of a section.
type Line struct {
	Section, Key, Value string
	Path                string // "" for a text that is no file
	Number              int    // from 1
}

// Where says where the line is, as "ceph.conf:12".
func (l Line) Where() string { return fmt.Sprintf("%s:%d", l.Path, l.Number) }

// File is a configuration as it is written.
type File struct {
	Path  string
	Lines []Line // in their order
}

// maxFileBytes bounds a file, maxInclude how deep files may include others.
const (
	maxFileBytes = 4 << 20
	maxInclude   = 8
)

// Read reads the file at path and those it includes.
func Read(path string) (*File, error) {
	f := &File{Path: path}
	return f, f.read(path, "", 0)
}

// Parse reads a text. path stands in its errors; what it includes is refused.
func Parse(path, text string) (*File, error) {
	f := &File{Path: path}
	_, err := f.parse(path, text, "", maxInclude)
	return f, err
}

func (f *File) read(path, section string, depth int) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFileBytes {
		return fmt.Errorf("%s: not a file of at most %d bytes: %w", path, maxFileBytes, ErrSyntax)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = f.parse(path, string(p), section, depth)
	return err
}

// Key returns a key in its one form: lower case is kept, blanks and dashes become
// underscores.
func Key(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '_' || r == '-' }), "_")
}

// parse appends the lines of a text, which begins in section, and returns the
// section it ends in.
func (f *File) parse(path, text, section string, depth int) (string, error) {
	bad := func(n int, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s: %w", path, n, fmt.Sprintf(format, args...), ErrSyntax)
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		n, line := i+1, lines[i]
		for strings.HasSuffix(line, "\\") && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, "\\") + lines[i]
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if strings.ContainsRune(line, 0) {
			return section, bad(n, "a NUL byte")
		}
		if rest, ok := strings.CutPrefix(line, "["); ok {
			name, after, ok := strings.Cut(rest, "]")
			if after = strip(after); !ok || after != "" || strings.TrimSpace(name) == "" {
				return section, bad(n, "a section is written [name]")
			}
			section = strings.TrimSpace(name)
			continue
		}
		if rest, ok := strings.CutPrefix(line, "include"); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') && !strings.Contains(strip(rest), "=") {
			other := strings.TrimSpace(strip(rest))
			if depth >= maxInclude {
				return section, bad(n, "include %s: files include each other too deeply", other)
			}
			if !filepath.IsAbs(other) {
				other = filepath.Join(filepath.Dir(path), other)
			}
			if err := f.read(other, section, depth+1); err != nil {
				return section, fmt.Errorf("%s:%d: include: %w", path, n, err)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || Key(key) == "" {
			return section, bad(n, "want key = value, found %q", clip(line))
		}
		value, err := unquote(strings.TrimSpace(value))
		if err != nil {
			return section, bad(n, "%s: %v", Key(key), err)
		}
		where := section
		if where == "" {
			where = "global"
		}
		f.Lines = append(f.Lines, Line{Section: where, Key: Key(key), Value: value, Path: path, Number: n})
	}
	return section, nil
}

// strip takes a comment off the end of a line.
func strip(s string) string {
	if i := strings.IndexAny(s, "#;"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

// unquote takes the quotes off a value, or a comment off its end; a backslash keeps
// what follows as it is.
func unquote(s string) (string, error) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			if strip(s[i+1:]) != "" {
				return "", fmt.Errorf("text after the closing quote")
			}
			return b.String(), nil
		case quote == 0 && i == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == '#' || c == ';'):
			return strings.TrimSpace(b.String()), nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", fmt.Errorf("the quote is not closed")
	}
	return strings.TrimSpace(b.String()), nil
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// Find returns the line that decides a key for the first of sections that has it.
func (f *File) Find(key string, sections ...string) (Line, bool) {
	for _, s := range sections {
		for i := len(f.Lines) - 1; i >= 0; i-- {
			if f.Lines[i].Section == s && f.Lines[i].Key == key {
				return f.Lines[i], true
			}
		}
	}
	return Line{}, false
}
